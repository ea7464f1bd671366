using Coppice.Agent.Link;
using Coppice.Formats;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Rollouts;
using Coppice.Trust;

namespace Coppice.Agent.Tests;

/// <summary>A repository in memory with several models, whose rollouts may bring them together.</summary>
public sealed class SetShop : ITrustedRepository, IRepositoryFiles
{
    public static readonly ModelName Rag = ModelName.Parse("plant/rag");
    public static readonly ModelName Embedder = ModelName.Parse("plant/embedder");
    public static readonly ModelName Llm = ModelName.Parse("plant/llm");
    public static readonly ModelName[] Models = [Rag, Embedder, Llm];

    readonly Dictionary<string, byte[]> targets = new(StringComparer.Ordinal);
    readonly Dictionary<Sha256Digest, byte[]> blobs = [];
    readonly Dictionary<ModelName, RolloutPlan> plans = [];
    int rollouts;

    /// <summary>Called before anything is given; throws, or not.</summary>
    public Action Trouble { get; set; } = () => { };

    public IReadOnlyDictionary<ModelName, RolloutPlan> Plans => plans;

    /// <summary>Publishes a release of one file.</summary>
    public SetMember Publish(ModelName model, string version, string behaviour = "answer 1", int padding = 100)
    {
        var bytes = TextRuntime.Model($"{model} {version}", behaviour, padding);
        var digest = blobs.FirstOrDefault(blob => blob.Value.AsSpan().SequenceEqual(bytes)).Key is var known && blobs.ContainsKey(known) ? known : Sha256Digest.Of(bytes);
        blobs[digest] = bytes;
        var signed = DocumentJson.Write(new ReleaseManifest(1, model, SemanticVersion.Parse(version), [new("plain", [new("model.txt", digest, bytes.Length)], ModelFormat.Opaque, "text")]));
        targets[RepositoryLayout.ReleaseTarget(model.ToString(), version)] = signed;
        return new(model, SemanticVersion.Parse(version), Sha256Digest.Of(signed));
    }

    /// <summary>Rolls one release out to everybody.</summary>
    public string Roll(ModelName model, string version, string behaviour = "answer 1") => Roll([Publish(model, version, behaviour)]);

    /// <summary>Rolls releases out together; the first leads.</summary>
    public string Roll(params SetMember[] members)
    {
        var (id, lead) = ($"r-{++rollouts}", members[0]);
        Change(lead.Model, plan => plan with
        {
            Rollouts = plan.Rollouts.Insert(0, new(id, lead.Release, lead.Manifest, "salt", "", [new(1)], 0, RolloutState.Running, 1) { With = members.Length > 1 ? [.. members.Skip(1)] : null }),
        });
        foreach (var member in members.Skip(1))
            Change(member.Model, plan => plan with { Rollouts = plan.Rollouts.Insert(0, SetForm.Pointer(id, lead.Model, member)) });
        return id;
    }

    public void Change(ModelName model, string id, Func<Rollout, Rollout> change) =>
        Change(model, plan => plan with { Rollouts = [.. plan.Rollouts.Select(rollout => rollout.Id == id ? change(rollout) : rollout)] });

    public void Revoke(ModelName model, string version) => Change(model, plan => plan with { Revoked = plan.Revoked.Add(SemanticVersion.Parse(version)) });

    public void Change(ModelName model, Func<RolloutPlan, RolloutPlan> change)
    {
        var before = plans.GetValueOrDefault(model) ?? RolloutPlan.None(model);
        plans[model] = change(before) with { Serial = before.Serial + 1 };
        targets[RepositoryLayout.PlanTarget(model.ToString())] = DocumentJson.Write(plans[model]);
    }

    public Task RefreshAsync(CancellationToken cancel)
    {
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
        Trouble();
        return Task.FromResult(new FileBody(new MemoryStream(blobs[Sha256Digest.Parse(file.Path.AsSpan(file.Path.LastIndexOf('/') + 1))][(int)offset..]), offset, null));
    }

    public IAsyncEnumerable<FileBody> RangesAsync(RepositoryFile file, IReadOnlyList<ByteSpan> ranges, CancellationToken cancel) => throw new NotSupportedException("the files have no tensor maps");

    public Task<byte[]?> ReadAsync(string path, int most, CancellationToken cancel) => Task.FromResult<byte[]?>(null);
}
