using Coppice.Agent.Link;
using Coppice.Delta;
using Coppice.Formats;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Rollouts;
using Coppice.Trust;

namespace Coppice.Agent.Tests;

/// <summary>A repository in memory: what is trusted, and blobs that may be had, late, torn or wrong.</summary>
public sealed class Shop : ITrustedRepository, IBlobSource, IPatchSource
{
    public static readonly ModelName Model = ModelName.Parse("plant/bearing");

    readonly Dictionary<string, byte[]> targets = new(StringComparer.Ordinal);
    readonly Dictionary<Sha256Digest, byte[]> blobs = [];
    RolloutPlan plan = RolloutPlan.None(Model);

    /// <summary>Called before anything is given; throws, or not.</summary>
    public Action Trouble { get; set; } = () => { };

    /// <summary>Spoils a body.</summary>
    public Func<byte[], byte[]> Spoil { get; set; } = bytes => bytes;

    public int Requests { get; private set; }

    /// <summary>Whether it has a patch between any two of its blobs.</summary>
    public bool HasPatches { get; set; }

    /// <summary>Patches that were opened.</summary>
    public int PatchesOpened { get; private set; }

    public RolloutPlan Plan
    {
        get => plan;
        set
        {
            plan = value with { Serial = plan.Serial + 1 };
            targets["rollouts/plant/bearing/plan.json"] = DocumentJson.Write(plan);
        }
    }

    public Rollout Publish(string version, string behaviour = "answer 1", int padding = 200, Func<ReleaseManifest, ReleaseManifest>? change = null)
    {
        var bytes = TextRuntime.Model(version, behaviour, padding);
        var weights = TextRuntime.Model("weights", "shared", 300); // the same in every release
        blobs[Sha256Digest.Of(bytes)] = bytes;
        blobs[Sha256Digest.Of(weights)] = weights;
        var release = SemanticVersion.Parse(version);
        var manifest = new ReleaseManifest(1, Model, release,
        [
            new("plain", [new("model.txt", Sha256Digest.Of(bytes), bytes.Length), new("data/weights.bin", Sha256Digest.Of(weights), weights.Length)], ModelFormat.Opaque, "text"),
        ]);
        var signed = DocumentJson.Write(change?.Invoke(manifest) ?? manifest);
        targets[$"releases/plant/bearing/{version}.json"] = signed;
        return new($"r-{version}", release, Sha256Digest.Of(signed), "salt", "", [new(1)], 0, RolloutState.Running, 1);
    }

    /// <summary>Publishes a release and rolls it out to everybody.</summary>
    public Rollout Roll(string version, string behaviour = "answer 1", int padding = 200)
    {
        var rollout = Publish(version, behaviour, padding);
        Plan = Plan with { Rollouts = Plan.Rollouts.Insert(0, rollout) };
        return rollout;
    }

    /// <summary>Changes a rollout of the plan.</summary>
    public void Change(string id, Func<Rollout, Rollout> change) =>
        Plan = Plan with { Rollouts = [.. Plan.Rollouts.Select(rollout => rollout.Id == id ? change(rollout) : rollout)] };

    public Task RefreshAsync(CancellationToken cancel)
    {
        Requests++;
        Trouble();
        return Task.CompletedTask;
    }

    public Task<ReadOnlyMemory<byte>?> FindAsync(string target, int most, CancellationToken cancel)
    {
        Trouble();
        return Task.FromResult<ReadOnlyMemory<byte>?>(targets.TryGetValue(target, out var bytes) ? bytes : (ReadOnlyMemory<byte>?)null);
    }

    public Task<BlobBody> OpenAsync(Sha256Digest digest, long length, long offset, string? tag, CancellationToken cancel)
    {
        Requests++;
        Trouble();
        return Task.FromResult(new BlobBody(new MemoryStream(Spoil(blobs[digest][(int)offset..])), offset, null));
    }

    public Task<long?> PatchLengthAsync(Sha256Digest from, Sha256Digest to, CancellationToken cancel) => Task.FromResult(HasPatches ? PatchOf(from, to).Length : (long?)null);

    public Task<BlobBody> OpenPatchAsync(Sha256Digest from, Sha256Digest to, long length, long offset, CancellationToken cancel)
    {
        PatchesOpened++;
        Trouble();
        return Task.FromResult(new BlobBody(new MemoryStream(PatchOf(from, to)[(int)offset..]), offset, null));
    }

    byte[] PatchOf(Sha256Digest from, Sha256Digest to)
    {
        using var patch = new MemoryStream();
        PatchEncoder.Create(new MemorySource(blobs[from]), new MemorySource(blobs[to]), patch);
        return patch.ToArray();
    }

    /// <summary>Whether these bytes belong to a release that was published.</summary>
    public bool Signed(byte[] bytes) => blobs.ContainsKey(Sha256Digest.Of(bytes));
}
