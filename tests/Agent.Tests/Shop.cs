using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using Coppice.Agent.Link;
using Coppice.Delivery;
using Coppice.Delta;
using Coppice.Formats;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Rollouts;
using Coppice.Trust;

namespace Coppice.Agent.Tests;

/// <summary>A repository in memory: what is trusted, and blobs that may be had, late, torn or wrong.</summary>
public sealed class Shop : ITrustedRepository, IRepositoryFiles
{
    public static readonly ModelName Model = ModelName.Parse("plant/bearing");

    // The same in every shop, and made once: tests open thousands of shops.
    static readonly ConcurrentDictionary<(Sha256Digest From, Sha256Digest To), byte[]> patches = [];

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

    /// <summary>Ranges that were opened.</summary>
    public int RangesOpened { get; private set; }

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

    public Task<FileBody> OpenAsync(RepositoryFile file, long offset, string? tag, CancellationToken cancel)
    {
        Requests++;
        Trouble();
        if (file.Path.StartsWith("patches/", StringComparison.Ordinal))
        {
            PatchesOpened++;
            var parts = file.Path.Split('/');
            return Task.FromResult(new FileBody(new MemoryStream(PatchOf(Sha256Digest.Parse(parts[1]), Sha256Digest.Parse(parts[2].AsSpan(0, Sha256Digest.HexLength)))[(int)offset..]), offset, null));
        }

        return Task.FromResult(new FileBody(new MemoryStream(Spoil(BlobOf(file.Path)[(int)offset..])), offset, null));
    }

    public async IAsyncEnumerable<FileBody> RangesAsync(RepositoryFile file, IReadOnlyList<ByteSpan> ranges, [EnumeratorCancellation] CancellationToken cancel)
    {
        await Task.CompletedTask;
        foreach (var range in ranges)
        {
            Requests++;
            RangesOpened++;
            Trouble();
            yield return new(new MemoryStream(Spoil(BlobOf(file.Path)[(int)range.Offset..(int)range.End])), range.Offset, null);
        }
    }

    /// <summary>What the repository says about its patches.</summary>
    public Task<byte[]?> ReadAsync(string path, int most, CancellationToken cancel)
    {
        if (!HasPatches)
            return Task.FromResult<byte[]?>(null);
        var to = Sha256Digest.Parse(Path.GetFileNameWithoutExtension(path));
        var from = blobs.Keys.Where(digest => digest != to).Order();
        return Task.FromResult<byte[]?>(DocumentJson.Write(new PatchIndex(1, new(to, blobs[to].Length), [.. from.Select(digest => new PatchEntry([new(digest, blobs[digest].Length)], PatchOf(digest, to).Length))])));
    }

    byte[] BlobOf(string path) => blobs[Sha256Digest.Parse(path.AsSpan(path.LastIndexOf('/') + 1))];

    byte[] PatchOf(Sha256Digest from, Sha256Digest to) => patches.GetOrAdd((from, to), _ =>
    {
        using var patch = new MemoryStream();
        PatchEncoder.Create(new MemorySource(blobs[from]), new MemorySource(blobs[to]), patch);
        return patch.ToArray();
    });

    /// <summary>Whether these bytes belong to a release that was published.</summary>
    public bool Signed(byte[] bytes) => blobs.ContainsKey(Sha256Digest.Of(bytes));
}
