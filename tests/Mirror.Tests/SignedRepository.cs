using Coppice.Delivery;
using Coppice.Formats;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Rollouts;
using Coppice.Trust;

namespace Coppice.Mirror.Tests;

/// <summary>A repository in a folder with releases, a plan and patches, as a server publishes it; signed by a clock of its own.</summary>
public sealed class SignedRepository : IDisposable
{
    public static readonly DateTimeOffset Now = new(2030, 1, 1, 0, 0, 0, TimeSpan.Zero);
    public static readonly ModelName Model = ModelName.Parse("plant/bearing");

    readonly SigningKey key = SigningKey.Create();
    readonly MetadataFile<Targets> targets;
    MetadataFile<Targets>? releases;
    MetadataFile<Targets>? rollouts;
    MetadataFile<Snapshot>? snapshot;
    MetadataFile<Timestamp>? timestamp;
    RolloutPlan plan = RolloutPlan.None(Model);

    public SignedRepository()
    {
        var root = new RootDraft(null)
            .SetRole("root", 1, key.Public).SetRole("targets", 1, key.Public).SetRole("snapshot", 1, key.Public).SetRole("timestamp", 1, key.Public)
            .Sign(Now.AddDays(365), key);
        Root = Sha256Digest.Of(root);
        Write("metadata/1.root.json", root);
        targets = MetadataFile.ReadTargets(new TargetsDraft(null)
            .Delegate(RepositoryLayout.ReleasesRole, [RepositoryLayout.ReleasesPattern], true, 1, key.Public)
            .Delegate(RepositoryLayout.RolloutsRole, [RepositoryLayout.RolloutsPattern], true, 1, key.Public)
            .Sign(Now.AddDays(300), key));
        Write("metadata/1.targets.json", targets.Bytes);
    }

    public string Folder { get; } = Directory.CreateTempSubdirectory("coppice-repository-").FullName;

    /// <summary>Digest of the root, as a person names it.</summary>
    public Sha256Digest Root { get; }

    /// <summary>How long timestamp and snapshot are good.</summary>
    public TimeSpan Lifetime { get; set; } = TimeSpan.FromDays(1);

    /// <summary>How long releases and plans are good.</summary>
    public TimeSpan ReleasesLifetime { get; set; } = TimeSpan.FromDays(200);

    public long TimestampVersion => timestamp!.Signed.Version;

    public static byte[] Content(string version, int length)
    {
        var bytes = new byte[length];
        new Random(Sha256Digest.Of(System.Text.Encoding.UTF8.GetBytes(version)).GetHashCode()).NextBytes(bytes);
        return bytes;
    }

    /// <summary>Publishes a release of one file and rolls it out to everybody.</summary>
    public Sha256Digest Roll(string version, int length = 5000, byte[]? tensorMap = null)
    {
        var model = Content(version, length);
        var digest = Sha256Digest.Of(model);
        Write(RepositoryLayout.BlobFile(digest), model);
        var map = tensorMap is null ? null : new BlobName(Sha256Digest.Of(tensorMap), tensorMap.Length);
        if (map is not null)
            Write(RepositoryLayout.BlobFile(map.Digest), tensorMap);
        var release = SemanticVersion.Parse(version);
        var manifest = DocumentJson.Write(new ReleaseManifest(1, Model, release, [new("plain", [new("model.bin", digest, length) { TensorMap = map }], ModelFormat.Opaque)]));
        plan = plan with
        {
            Serial = plan.Serial + 1,
            Rollouts = plan.Rollouts.Insert(0, new($"r-{version}", release, Sha256Digest.Of(manifest), "salt", "", [new(1)], 0, RolloutState.Running, 1)),
        };
        releases = Put(releases, RepositoryLayout.ReleasesRole, RepositoryLayout.ReleaseTarget(Model.ToString(), version), manifest);
        rollouts = Put(rollouts, RepositoryLayout.RolloutsRole, RepositoryLayout.PlanTarget(Model.ToString()), DocumentJson.Write(plan));
        Resign();
        return digest;
    }

    /// <summary>Signs snapshot and timestamp anew.</summary>
    public void Resign()
    {
        snapshot = MetadataFile.ReadSnapshot(new SnapshotDraft(snapshot?.Signed).Put(targets).Put(releases!).Put(rollouts!).Sign(Now + Lifetime, key));
        timestamp = MetadataFile.ReadTimestamp(new TimestampDraft(timestamp?.Signed).Put(snapshot).Sign(Now + Lifetime, key));
        Write($"metadata/{snapshot.Signed.Version}.snapshot.json", snapshot.Bytes);
        Write("metadata/timestamp.json", timestamp.Bytes);
    }

    /// <summary>Puts a patch between two blobs beside them, and the index that tells of it.</summary>
    public void PutPatch(Sha256Digest from, Sha256Digest to, byte[] patch)
    {
        Write(RepositoryLayout.PatchFile([from], to), patch);
        BlobName Name(Sha256Digest digest) => new(digest, new FileInfo(PathOf(RepositoryLayout.BlobFile(digest))).Length);
        Write(RepositoryLayout.PatchIndexFile(to), DocumentJson.Write(new PatchIndex(PatchIndex.CurrentSchema, Name(to), [new([Name(from)], patch.Length)])));
    }

    public string PathOf(string path) => Path.Combine([Folder, .. path.Split('/')]);

    public void Write(string path, ReadOnlyMemory<byte> bytes)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(PathOf(path))!);
        File.WriteAllBytes(PathOf(path), bytes.Span);
    }

    MetadataFile<Targets> Put(MetadataFile<Targets>? before, string role, string path, byte[] content)
    {
        var target = new TargetInfo(path, content);
        var after = MetadataFile.ReadTargets(new TargetsDraft(before?.Signed).Put(target).Sign(Now + ReleasesLifetime, key), role);
        Write("targets/" + target.StoredPath(true), content);
        Write($"metadata/{after.Signed.Version}.{role}.json", after.Bytes);
        return after;
    }

    public void Dispose()
    {
        key.Dispose();
        Directory.Delete(Folder, recursive: true);
    }
}
