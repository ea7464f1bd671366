using System.Globalization;
using Coppice.Trust;

namespace Coppice.Server.Trust;

/// <summary>The metadata that a tree publishes at one moment: what a client that reads it now would come to trust.</summary>
sealed record RepositoryState(
    MetadataFile<Root> Root, MetadataFile<Targets> Targets, MetadataFile<Targets> Releases, MetadataFile<Targets> Rollouts,
    MetadataFile<Snapshot> Snapshot, MetadataFile<Timestamp> Timestamp)
{
    // The tree is this server's own; the bound only keeps a mistaken file from filling the memory.
    const int MostBytes = 256 * 1024 * 1024;

    /// <summary>Reads the state from its timestamp down; null when there is no repository yet.</summary>
    /// <exception cref="UntrustedMetadataException">A file is damaged or missing.</exception>
    public static RepositoryState? Read(ITreeFiles files)
    {
        if (ReadFile(files, TopLevelRole.Timestamp, null) is not { } timestampBytes)
            return null;
        var timestamp = MetadataFile.ReadTimestamp(timestampBytes);
        var snapshot = MetadataFile.ReadSnapshot(Require(files, TopLevelRole.Snapshot, timestamp.Signed.Snapshot.Version));
        return new(
            MetadataFile.ReadRoot(Require(files, TopLevelRole.Root, NewestRoot(files))),
            ReadTargets(files, snapshot.Signed, TopLevelRole.Targets),
            ReadTargets(files, snapshot.Signed, RepositoryLayout.ReleasesRole),
            ReadTargets(files, snapshot.Signed, RepositoryLayout.RolloutsRole),
            snapshot, timestamp);
    }

    /// <summary>All of a file's bytes; null when it is not there.</summary>
    public static byte[]? ReadFile(ITreeFiles files, string path)
    {
        using var stream = files.Open(path);
        if (stream is null)
            return null;
        if (stream.Length > MostBytes)
            throw new InvalidDataException($"'{path}' has {stream.Length} bytes; a file of the repository's metadata has at most {MostBytes}.");
        var bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        return bytes;
    }

    static byte[]? ReadFile(ITreeFiles files, string role, long? version) =>
        ReadFile(files, RepositoryLayout.MetadataFileName(role, version));

    static byte[] Require(ITreeFiles files, string role, long version) => ReadFile(files, role, version)
        ?? throw new UntrustedMetadataException(
            role, Distrust.Missing, $"the tree has no '{RepositoryLayout.MetadataFileName(role, version)}'", "restore the tree from its backup");

    static MetadataFile<Targets> ReadTargets(ITreeFiles files, Snapshot snapshot, string role)
    {
        var named = snapshot.Of(role) ?? throw new UntrustedMetadataException(
            role, Distrust.NotInSnapshot, $"snapshot version {snapshot.Version} does not list it", "this is no repository of Coppice");
        return MetadataFile.ReadTargets(Require(files, role, named.Version), role);
    }

    static long NewestRoot(ITreeFiles files)
    {
        const string Ending = ".root.json";
        var newest = 0L;
        foreach (var name in files.List("metadata"))
        {
            if (name.EndsWith(Ending, StringComparison.Ordinal)
                && long.TryParse(name.AsSpan(0, name.Length - Ending.Length), NumberStyles.None, CultureInfo.InvariantCulture, out var version))
                newest = Math.Max(newest, version);
        }
        return newest;
    }
}
