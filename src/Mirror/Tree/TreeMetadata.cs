using System.Globalization;
using Coppice.Agent.Link.Tuf;
using Coppice.Agent.Storage;
using Coppice.Trust;

namespace Coppice.Mirror.Tree;

/// <summary>What a tree of this site publishes, as a client's trusted metadata: the floor under whatever comes next. Nothing is written through it.</summary>
/// <param name="disk">The tree.</param>
public sealed class TreeMetadata(IDisk disk) : IMetadataStore
{
    const int MostBytes = 64 << 20;
    const string Folder = "metadata";

    /// <summary>The newest root, the timestamp, and the snapshot that it names. Other roles are held against the snapshot when they come.</summary>
    public ReadOnlyMemory<byte>? Read(string role) => role switch
    {
        TopLevelRole.Root => NewestRoot() is { } version ? ReadFile($"{version}.root.json") : null,
        TopLevelRole.Timestamp => ReadFile("timestamp.json"),
        TopLevelRole.Snapshot => SnapshotVersion() is { } version ? ReadFile($"{version}.snapshot.json") : null,
        _ => null,
    };

    /// <inheritdoc/>
    public void Write(string role, ReadOnlyMemory<byte> bytes) => throw new NotSupportedException("A tree is a floor; lay a FloorStore over it.");

    /// <inheritdoc/>
    public void Delete(string role) => throw new NotSupportedException("A tree is a floor; lay a FloorStore over it.");

    long? NewestRoot()
    {
        long? newest = null;
        foreach (var name in disk.Files(Folder))
        {
            if (name.EndsWith(".root.json", StringComparison.Ordinal)
                && long.TryParse(name.AsSpan(0, name.Length - ".root.json".Length), NumberStyles.None, CultureInfo.InvariantCulture, out var version))
                newest = Math.Max(newest ?? 0, version);
        }

        return newest;
    }

    long? SnapshotVersion()
    {
        try
        {
            return ReadFile("timestamp.json") is { } bytes ? MetadataFile.ReadTimestamp(bytes).Signed.Snapshot.Version : null;
        }
        catch (UntrustedMetadataException) // damaged: whoever reads the timestamp itself says so
        {
            return null;
        }
    }

    ReadOnlyMemory<byte>? ReadFile(string name) => disk.ReadSmall($"{Folder}/{name}", MostBytes) is { } bytes ? bytes : (ReadOnlyMemory<byte>?)null; // a bare null would become empty memory
}

/// <summary>Metadata that is tried: reads what is trusted already, and keeps what is new in memory, so that nothing changes before all of it was accepted.</summary>
/// <param name="floor">What is trusted already; null for nothing.</param>
public sealed class FloorStore(IMetadataStore? floor) : IMetadataStore
{
    readonly Dictionary<string, ReadOnlyMemory<byte>?> files = new(StringComparer.Ordinal);

    /// <inheritdoc/>
    public ReadOnlyMemory<byte>? Read(string role) => files.TryGetValue(role, out var bytes) ? bytes : floor?.Read(role);

    /// <inheritdoc/>
    public void Write(string role, ReadOnlyMemory<byte> bytes) => files[role] = bytes;

    /// <inheritdoc/>
    public void Delete(string role) => files[role] = null;
}
