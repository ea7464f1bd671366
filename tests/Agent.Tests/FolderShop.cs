using Coppice.Delivery;
using Coppice.Delta;
using Coppice.Formats;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Rollouts;
using Coppice.Trust;

namespace Coppice.Agent.Tests;

/// <summary>A signed repository in a folder, with releases and a plan, as a stick or a web server holds it.</summary>
public sealed class FolderShop : IDisposable
{
    readonly SigningKey key = SigningKey.Create(); // root, targets and releases
    readonly SigningKey online = SigningKey.Create();
    readonly MetadataFile<Targets> targets;
    MetadataFile<Targets>? releases;
    MetadataFile<Targets>? rollouts;
    MetadataFile<Snapshot>? snapshot;
    MetadataFile<Timestamp>? timestamp;
    readonly Dictionary<ModelName, RolloutPlan> plans = [];

    public FolderShop()
    {
        var now = DateTimeOffset.UtcNow;
        var root = new RootDraft(null)
            .SetRole("root", 1, key.Public).SetRole("targets", 1, key.Public).SetRole("snapshot", 1, online.Public).SetRole("timestamp", 1, online.Public)
            .Sign(now.AddDays(365), key);
        Root = Sha256Digest.Of(root);
        Write("metadata/1.root.json", root);
        targets = MetadataFile.ReadTargets(new TargetsDraft(null)
            .Delegate(RepositoryLayout.ReleasesRole, [RepositoryLayout.ReleasesPattern], true, 1, key.Public)
            .Delegate(RepositoryLayout.RolloutsRole, [RepositoryLayout.RolloutsPattern], true, 1, online.Public)
            .Sign(now.AddDays(300), key));
        Write("metadata/1.targets.json", targets.Bytes);
    }

    public string Folder { get; } = Directory.CreateTempSubdirectory("coppice-shop-").FullName;

    /// <summary>Digest of the root, as a join token carries it.</summary>
    public Sha256Digest Root { get; }

    /// <summary>Publishes a release of one file and rolls it out to everybody.</summary>
    public Sha256Digest Roll(string version, byte[] model, string runtime = "text", ModelFormat format = ModelFormat.Opaque, Trial? trial = null)
    {
        var member = Publish(Shop.Model, version, model, runtime, format, trial);
        Plan(Shop.Model, new($"r-{version}", member.Release, member.Manifest, "salt", "", [new(1)], 0, RolloutState.Running, 1));
        Sign();
        return Sha256Digest.Of(model);
    }

    /// <summary>Publishes a release of each model and rolls them out together; the first leads.</summary>
    public void RollTogether(string version, params (string Model, byte[] Bytes)[] releases)
    {
        var members = releases.Select(release => Publish(ModelName.Parse(release.Model), version, release.Bytes, "text", ModelFormat.Opaque, null)).ToArray();
        Plan(members[0].Model, new($"r-{version}", members[0].Release, members[0].Manifest, "salt", "", [new(1)], 0, RolloutState.Running, 1) { With = [.. members.Skip(1)] });
        foreach (var member in members.Skip(1))
            Plan(member.Model, SetForm.Pointer($"r-{version}", members[0].Model, member));
        Sign();
    }

    SetMember Publish(ModelName name, string version, byte[] model, string runtime, ModelFormat format, Trial? trial)
    {
        var digest = Sha256Digest.Of(model);
        Write(RepositoryLayout.BlobFile(digest), model);
        var manifest = DocumentJson.Write(new ReleaseManifest(1, name, SemanticVersion.Parse(version), [new("plain", [new("model.bin", digest, model.Length)], format, runtime)]) { Trial = trial });
        releases = Put(releases, RepositoryLayout.ReleasesRole, RepositoryLayout.ReleaseTarget(name.ToString(), version), manifest);
        return new(name, SemanticVersion.Parse(version), Sha256Digest.Of(manifest));
    }

    void Plan(ModelName name, Rollout rollout)
    {
        var plan = plans.GetValueOrDefault(name) ?? RolloutPlan.None(name);
        plans[name] = plan with { Serial = plan.Serial + 1, Rollouts = plan.Rollouts.Insert(0, rollout) };
        rollouts = Put(rollouts, RepositoryLayout.RolloutsRole, RepositoryLayout.PlanTarget(name.ToString()), DocumentJson.Write(plans[name]));
    }

    void Sign()
    {
        var expires = DateTimeOffset.UtcNow.AddDays(30);
        snapshot = MetadataFile.ReadSnapshot(new SnapshotDraft(snapshot?.Signed).Put(targets).Put(releases!).Put(rollouts!).Sign(expires, online));
        timestamp = MetadataFile.ReadTimestamp(new TimestampDraft(timestamp?.Signed).Put(snapshot).Sign(expires, online));
        Write($"metadata/{snapshot.Signed.Version}.snapshot.json", snapshot.Bytes);
        Write("metadata/timestamp.json", timestamp.Bytes);
    }

    /// <summary>Puts a patch between two blobs beside them.</summary>
    /// <param name="from">What it is applied to.</param>
    /// <param name="to">What it makes.</param>
    /// <param name="whole">The patch.</param>
    /// <param name="patch">As it lies there, perhaps damaged.</param>
    public void PutPatch(Sha256Digest from, Sha256Digest to, byte[] whole, byte[] patch)
    {
        Write(RepositoryLayout.PatchFile([from], to), patch);
        var header = PatchHeader.Read(new MemoryStream(whole));
        Write(RepositoryLayout.PatchIndexFile(to), DocumentJson.Write(new PatchIndex(1, new(to, header.NewLength), [new([new(from, header.OldFiles[0].Length)], patch.Length)])));
    }

    MetadataFile<Targets> Put(MetadataFile<Targets>? before, string role, string path, byte[] content)
    {
        var target = new TargetInfo(path, content);
        var after = MetadataFile.ReadTargets(new TargetsDraft(before?.Signed).Put(target).Sign(DateTimeOffset.UtcNow.AddDays(200), role == RepositoryLayout.RolloutsRole ? online : key), role);
        Write("targets/" + target.StoredPath(true), content);
        Write($"metadata/{after.Signed.Version}.{role}.json", after.Bytes);
        return after;
    }

    void Write(string path, ReadOnlyMemory<byte> bytes)
    {
        var file = Path.Combine(Folder, path);
        Directory.CreateDirectory(Path.GetDirectoryName(file)!);
        File.WriteAllBytes(file, bytes.Span);
    }

    public void Dispose()
    {
        key.Dispose();
        online.Dispose();
        Directory.Delete(Folder, recursive: true);
    }
}
