using Coppice.Trust;

namespace Coppice.Agent.Tests.Link.Tuf;

/// <summary>A signed repository in a folder, as a web server or a USB stick holds it.</summary>
sealed class SignedFolder : IDisposable
{
    public static readonly DateTimeOffset Now = new(2030, 1, 1, 0, 0, 0, TimeSpan.Zero);

    MetadataFile<Targets>? _targets;
    MetadataFile<Targets>? _releases;
    MetadataFile<Snapshot>? _snapshot;
    MetadataFile<Timestamp>? _timestamp;

    public string Folder { get; } = Directory.CreateTempSubdirectory("coppice-signed-").FullName;

    public SigningKey RootKey { get; } = SigningKey.Create();

    public SigningKey OnlineKey { get; private set; } = SigningKey.Create();

    public SigningKey TargetsKey { get; } = SigningKey.Create();

    public MetadataFile<Root> Root { get; private set; }

    public SignedFolder()
    {
        Directory.CreateDirectory(Path.Combine(Folder, "metadata"));
        Root = MetadataFile.ReadRoot(new RootDraft(null)
            .SetRole("root", 1, RootKey.Public).SetRole("targets", 1, TargetsKey.Public)
            .SetRole("snapshot", 1, OnlineKey.Public).SetRole("timestamp", 1, OnlineKey.Public)
            .Sign(Now.AddDays(365), RootKey));
        Write("metadata/1.root.json", Root.Bytes);
        Publish(new TargetInfo("releases/plant/bearing/1.0.0.json", "{}"u8), "{}"u8.ToArray());
    }

    /// <summary>Adds a target to the delegated role and publishes it.</summary>
    public void Publish(TargetInfo? added = null, byte[]? content = null, TimeSpan? lifetime = null)
    {
        var expires = Now + (lifetime ?? TimeSpan.FromDays(30));
        _targets ??= MetadataFile.ReadTargets(
            new TargetsDraft(null).Delegate("releases", ["releases/*/*/*"], true, 1, TargetsKey.Public).Sign(Now.AddDays(300), TargetsKey));
        if (added is not null)
        {
            _releases = MetadataFile.ReadTargets(new TargetsDraft(_releases?.Signed).Put(added).Sign(Now.AddDays(300), TargetsKey), "releases");
            Write("targets/" + added.StoredPath(true), content);
        }
        _snapshot = MetadataFile.ReadSnapshot(new SnapshotDraft(_snapshot?.Signed).Put(_targets).Put(_releases!).Sign(expires, OnlineKey));
        _timestamp = MetadataFile.ReadTimestamp(new TimestampDraft(_timestamp?.Signed).Put(_snapshot).Sign(expires, OnlineKey));
        Write("metadata/1.targets.json", _targets.Bytes);
        Write($"metadata/{_releases!.Signed.Version}.releases.json", _releases.Bytes);
        Write($"metadata/{_snapshot.Signed.Version}.snapshot.json", _snapshot.Bytes);
        Write("metadata/timestamp.json", _timestamp.Bytes);
    }

    /// <summary>Gives timestamp and snapshot another key, and starts their versions again at 1.</summary>
    public void RotateOnlineKey()
    {
        OnlineKey = SigningKey.Create();
        Root = MetadataFile.ReadRoot(new RootDraft(Root.Signed)
            .SetRole("snapshot", 1, OnlineKey.Public).SetRole("timestamp", 1, OnlineKey.Public).Sign(Now.AddDays(365), RootKey));
        Write($"metadata/{Root.Signed.Version}.root.json", Root.Bytes);
        (_snapshot, _timestamp) = (null, null);
        Publish();
    }

    public void Write(string path, ReadOnlyMemory<byte> bytes)
    {
        var file = Path.Combine(Folder, path);
        Directory.CreateDirectory(Path.GetDirectoryName(file)!);
        File.WriteAllBytes(file, bytes.Span);
    }

    public void Dispose()
    {
        foreach (var key in (SigningKey[])[RootKey, OnlineKey, TargetsKey])
            key.Dispose();
        Directory.Delete(Folder, recursive: true);
    }
}
