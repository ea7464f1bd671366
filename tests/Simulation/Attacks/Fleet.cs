using Coppice.Agent.Link;
using Coppice.Agent.Link.Tuf;
using Coppice.Agent.Storage;
using Coppice.Agent.Tests;
using Coppice.Formats;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Rollouts;
using Coppice.Server.Trust;
using Coppice.Trust;

namespace Coppice.Simulation.Attacks;

/// <summary>A repository as a careful fleet keeps it, and devices that read it: root and releases need two of three keys, a team signs vision/*, the online key is one.</summary>
sealed class Fleet : IDisposable
{
    public const string Team = "team-vision";

    static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    readonly List<TufRepository> devices = [];

    public Fleet(TimeProvider? clock = null)
    {
        Clock = clock ?? Time;
        var tree = new TreeFolder(Repository);
        Tree = new RepositoryTree(tree, Online);
        var roles = new Dictionary<string, RoleOfKeys>(StringComparer.Ordinal)
        {
            ["root"] = Of(2, RootKeys), ["targets"] = Of(2, RootKeys), ["releases"] = Of(2, ReleaseKeys),
            ["snapshot"] = Of(1, Online), ["timestamp"] = Of(1, Online), ["rollouts"] = Of(1, Online),
        };
        Tree.Initialise(Signed(KeyCeremony.Create(roles, Now), RootKeys[0], RootKeys[2], ReleaseKeys[0], ReleaseKeys[1]), Now);
        Assert.True(TeamPattern.TryParse("vision/*", out var vision));
        Apply(KeyCeremony.Delegate("vision", [vision], Of(1, TeamKey), Tree.CurrentOffline(), null, Now), RootKeys[0], RootKeys[1], TeamKey);
        Root = Sha256Digest.Of(File.ReadAllBytes(Path.Combine(Repository, "metadata/1.root.json")));
        Release("plant/bearing", "1.0.0");
        Plan("plant/bearing", "1.0.0");
    }

    public ManualTime Time { get; } = new();

    public TimeProvider Clock { get; }

    public DateTimeOffset Now => Clock.GetUtcNow();

    public string Folder { get; } = Directory.CreateTempSubdirectory("coppice-attack-").FullName;

    public string Repository => Path.Combine(Folder, "repository");

    public SigningKey[] RootKeys { get; } = [SigningKey.Create("root alice"), SigningKey.Create("root bob"), SigningKey.Create("root carol")];

    public SigningKey[] ReleaseKeys { get; } = [SigningKey.Create("release ann"), SigningKey.Create("release ben"), SigningKey.Create("release cleo")];

    public SigningKey TeamKey { get; } = SigningKey.Create("vision vera");

    public SigningKey Online { get; } = SigningKey.Create("online");

    public RepositoryTree Tree { get; }

    public Sha256Digest Root { get; }

    public static RoleOfKeys Of(int threshold, params SigningKey[] keys) => new(threshold, [.. keys.Select(key => key.Public)]);

    public static IReadOnlyList<KeyValuePair<string, ReadOnlyMemory<byte>>> Signed(SigningRequest request, params SigningKey[] keys)
    {
        foreach (var key in keys)
            request = request.Sign(key, out _);
        Assert.True(request.IsComplete, string.Join("; ", SigningSummary.Signatures(request)));
        return request.Metadata;
    }

    public void Apply(SigningRequest request, params SigningKey[] keys) => Tree.Apply(Signed(request, keys), [], Now);

    public static string PathOf(string model, string version) => RepositoryLayout.ReleaseTarget(model, version);

    public static byte[] Manifest(string model, string version)
    {
        var blob = System.Text.Encoding.UTF8.GetBytes($"{model} {version}");
        return DocumentJson.Write(new ReleaseManifest(
            1, ModelName.Parse(model), SemanticVersion.Parse(version), [new("plain", [new("model.bin", Sha256Digest.Of(blob), blob.Length)], ModelFormat.Opaque)]));
    }

    /// <summary>Publishes a release as its owners do: two release keys, or the team's.</summary>
    public void Release(string model, string version)
    {
        var manifest = Manifest(model, version);
        var request = KeyCeremony.Release(Tree.CurrentOffline(), PathOf(model, version), manifest, Now);
        Tree.Apply(Signed(request, model.StartsWith("vision/", StringComparison.Ordinal) ? [TeamKey] : [ReleaseKeys[1], ReleaseKeys[2]]), [manifest], Now);
    }

    /// <summary>Publishes a plan that rolls a release out to everybody.</summary>
    public void Plan(string model, string version) => Tree.SetPlan(RepositoryLayout.PlanTarget(model), PlanOf(model, version, Manifest(model, version)), Now);

    public static byte[] PlanOf(string model, string version, byte[] manifest, long serial = 1) => DocumentJson.Write(new RolloutPlan(
        1, ModelName.Parse(model), serial, [new($"r-{serial}", SemanticVersion.Parse(version), Sha256Digest.Of(manifest), "salt", "", [new(1)], 0, RolloutState.Running, 1)], []));

    /// <summary>A device with a disk of its own that follows a folder: the repository's, or one that an attacker made of it.</summary>
    public TufRepository Device(string name = "device", string? repository = null)
    {
        var device = new TufRepository(new FolderSource(repository ?? Repository), new FolderDisk(Path.Combine(Folder, name)), Root, Patience, Clock);
        devices.Add(device);
        return device;
    }

    /// <summary>A copy of everything that is published now: what a mirror has, or who stole the tree.</summary>
    public Mirror CopyOf() => new(Repository, Path.Combine(Folder, Path.GetRandomFileName()));

    public void Dispose()
    {
        foreach (var device in devices)
            device.Dispose();
        foreach (var key in (SigningKey[])[.. RootKeys, .. ReleaseKeys, TeamKey, Online])
            key.Dispose();
        Directory.Delete(Folder, recursive: true);
    }
}

/// <summary>A tree in the hands of an attacker, who puts in it whatever their keys can sign.</summary>
sealed class Mirror
{
    public Mirror(string from, string folder)
    {
        Folder = folder;
        foreach (var file in Directory.EnumerateFiles(from, "*", SearchOption.AllDirectories).Where(file => !Path.GetRelativePath(from, file).StartsWith('.')))
            Write(Path.GetRelativePath(from, file), File.ReadAllBytes(file));
    }

    public string Folder { get; }

    public byte[] Read(string path) => File.ReadAllBytes(Path.Combine(Folder, path));

    public void Write(string path, ReadOnlyMemory<byte> bytes)
    {
        var file = Path.Combine(Folder, path);
        Directory.CreateDirectory(Path.GetDirectoryName(file)!);
        File.WriteAllBytes(file, bytes.Span);
    }

    public Timestamp Timestamp => MetadataFile.ReadTimestamp(Read("metadata/timestamp.json")).Signed;

    public Snapshot Snapshot => MetadataFile.ReadSnapshot(Read($"metadata/{Timestamp.Snapshot.Version}.snapshot.json")).Signed;

    public MetadataFile<Targets> Role(string role) => MetadataFile.ReadTargets(Read($"metadata/{Snapshot.Of(role)!.Version}.{role}.json"), role);

    /// <summary>Publishes the next version of roles: signed by these keys, and named by a snapshot and timestamp that the online key signs.</summary>
    public void Publish(DateTimeOffset now, SigningKey online, SigningKey[] signers, params (string Role, Action<TargetsDraft> Change)[] changes)
    {
        var snapshot = new SnapshotDraft(Snapshot);
        foreach (var (role, change) in changes)
        {
            var draft = new TargetsDraft(Role(role).Signed);
            change(draft);
            var file = MetadataFile.ReadTargets(draft.Sign(now.AddDays(9), signers), role);
            Write($"metadata/{file.Signed.Version}.{role}.json", file.Bytes);
            snapshot.Put(file);
        }
        var signed = MetadataFile.ReadSnapshot(snapshot.Sign(now.AddDays(9), online));
        var timestamp = new TimestampDraft(Timestamp).Put(signed).Sign(now.AddDays(9), online);
        Write($"metadata/{signed.Signed.Version}.snapshot.json", signed.Bytes);
        Write("metadata/timestamp.json", timestamp);
    }

    /// <summary>Puts a target's file where devices ask for it.</summary>
    public TargetInfo Put(string path, byte[] content)
    {
        var target = new TargetInfo(path, content);
        Write("targets/" + target.StoredPath(true), content);
        return target;
    }
}
