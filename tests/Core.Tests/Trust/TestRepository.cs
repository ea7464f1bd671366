using System.Text.Json.Nodes;
using Coppice.Trust;

namespace Coppice.Core.Tests.Trust;

/// <summary>A small repository in memory whose every file can be made, changed and signed at will.</summary>
sealed class TestRepository : IDisposable
{
    public static readonly DateTimeOffset Now = new(2030, 1, 1, 0, 0, 0, TimeSpan.Zero);
    public static readonly DateTimeOffset Later = Now.AddDays(30);
    public static readonly DateTimeOffset Past = Now.AddDays(-1);

    public SigningKey RootKey { get; } = SigningKey.Create();
    public SigningKey TimestampKey { get; set; } = SigningKey.Create();
    public SigningKey SnapshotKey { get; set; } = SigningKey.Create();
    public SigningKey TargetsKey { get; } = SigningKey.Create();
    public SigningKey ReleasesKey { get; } = SigningKey.Create();

    public ReadOnlyMemory<byte> Root { get; set; }
    public ReadOnlyMemory<byte> Timestamp { get; set; }
    public ReadOnlyMemory<byte> Snapshot { get; set; }
    public ReadOnlyMemory<byte> Targets { get; set; }
    public ReadOnlyMemory<byte> Releases { get; set; }

    public TestRepository()
    {
        Root = new RootDraft(null)
            .SetRole("root", 1, RootKey.Public)
            .SetRole("timestamp", 1, TimestampKey.Public)
            .SetRole("snapshot", 1, SnapshotKey.Public)
            .SetRole("targets", 1, TargetsKey.Public)
            .Sign(Later, RootKey);
        Targets = new TargetsDraft(null)
            .Put(new TargetInfo("top.json", "top"u8))
            .Delegate("releases", ["releases/*/*/*"], true, 1, ReleasesKey.Public)
            .Sign(Later, TargetsKey);
        Releases = new TargetsDraft(null).Put(new TargetInfo("releases/plant/bearing/1.0.0.json", "{}"u8)).Sign(Later, ReleasesKey);
        Snapshot = NextSnapshot();
        Timestamp = NextTimestamp();
    }

    /// <summary>The snapshot after the present one, of the present targets.</summary>
    public byte[] NextSnapshot(DateTimeOffset? expires = null) =>
        new SnapshotDraft(Snapshot.IsEmpty ? null : MetadataFile.ReadSnapshot(Snapshot).Signed)
            .Put(MetadataFile.ReadTargets(Targets)).Put(MetadataFile.ReadTargets(Releases, "releases"))
            .Sign(expires ?? Later, SnapshotKey);

    /// <summary>The timestamp after the present one, of the present snapshot.</summary>
    public byte[] NextTimestamp(DateTimeOffset? expires = null) =>
        new TimestampDraft(Timestamp.IsEmpty ? null : MetadataFile.ReadTimestamp(Timestamp).Signed)
            .Put(MetadataFile.ReadSnapshot(Snapshot)).Sign(expires ?? Later, TimestampKey);

    /// <summary>The root after the present one.</summary>
    public byte[] NextRoot(Action<RootDraft> change, DateTimeOffset? expires = null, params SigningKey[] keys)
    {
        var draft = new RootDraft(MetadataFile.ReadRoot(Root).Signed);
        change(draft);
        return draft.Sign(expires ?? Later, keys.Length > 0 ? keys : [RootKey]);
    }

    /// <summary>A new snapshot and a new timestamp for the present targets.</summary>
    public void Publish()
    {
        Snapshot = NextSnapshot();
        Timestamp = NextTimestamp();
    }

    /// <summary>The file with its signed part changed, signed by these keys and nobody else.</summary>
    public static byte[] Edit(ReadOnlyMemory<byte> file, Action<JsonObject> change, params SigningKey[] keys)
    {
        var envelope = JsonNode.Parse(file.Span)!.AsObject();
        change(envelope["signed"]!.AsObject());
        envelope["signatures"] = new JsonArray();
        var bytes = System.Text.Encoding.UTF8.GetBytes(envelope.ToJsonString());
        foreach (var key in keys)
            bytes = MetadataSigning.AddSignature(bytes, key);
        return bytes;
    }

    /// <summary>A client that trusts everything in the repository.</summary>
    public TrustedMetadataSet Trusting(DateTimeOffset? now = null)
    {
        var client = new TrustedMetadataSet(Root, now ?? Now);
        client.UpdateTimestamp(Timestamp);
        client.UpdateSnapshot(Snapshot);
        client.UpdateTargets(Targets);
        return client;
    }

    /// <summary>A client at the start of its next update: what it trusted is stored.</summary>
    public TrustedMetadataSet Returning(DateTimeOffset? now = null)
    {
        var client = new TrustedMetadataSet(Root, now ?? Now);
        client.LoadTimestamp(Timestamp);
        return client;
    }

    public static UntrustedMetadataException Refused(Distrust reason, string role, Action update)
    {
        var problem = Assert.Throws<UntrustedMetadataException>(update);
        Assert.Equal((reason, role), (problem.Reason, problem.Role));
        return problem;
    }

    public void Dispose()
    {
        foreach (var key in (SigningKey[])[RootKey, TimestampKey, SnapshotKey, TargetsKey, ReleasesKey])
            key.Dispose();
    }
}
