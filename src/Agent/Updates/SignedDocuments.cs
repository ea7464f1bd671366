using Coppice.Agent.Link;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Rollouts;
using Coppice.Trust;

namespace Coppice.Agent.Updates;

/// <summary>Plans and manifests as the repository vouches for them.</summary>
static class SignedDocuments
{
    /// <summary>The plan of a model; null when it has none.</summary>
    /// <param name="repository">Trusted.</param>
    /// <param name="model">The model.</param>
    /// <param name="followed">The serial that was followed here before.</param>
    /// <param name="cancel">Ends the reading.</param>
    /// <exception cref="LinkException">It cannot be read, or is older than one that was followed.</exception>
    public static async Task<RolloutPlan?> PlanAsync(this ITrustedRepository repository, ModelName model, long followed, CancellationToken cancel)
    {
        var target = RepositoryLayout.PlanTarget(model.ToString());
        if (await repository.FindAsync(target, RolloutPlan.MaxBytes, cancel) is not { } bytes)
            return null;
        if (!DocumentJson.TryRead(bytes.Span, out RolloutPlan? plan, out var problems))
            throw new LinkException($"the signed plan cannot be read by this agent: {problems[0]}");
        if (plan.Model != model)
            throw new LinkException($"the signed plan at {target} is about {plan.Model}.");
        return plan.Serial >= followed
            ? plan
            : throw new LinkException($"the signed plan has the serial {plan.Serial}; {followed} was followed here before, and a device never goes back.");
    }

    /// <summary>The manifest that a plan means.</summary>
    /// <param name="repository">Trusted.</param>
    /// <param name="model">The model.</param>
    /// <param name="release">The release.</param>
    /// <param name="digest">Of the manifest, as the plan gives it.</param>
    /// <param name="cancel">Ends the reading.</param>
    /// <exception cref="LinkException">There is none, or another one.</exception>
    public static async Task<ReadOnlyMemory<byte>> ManifestAsync(this ITrustedRepository repository, ModelName model, SemanticVersion release, Sha256Digest digest, CancellationToken cancel)
    {
        var target = RepositoryLayout.ReleaseTarget(model.ToString(), release.ToString());
        var bytes = await repository.FindAsync(target, ReleaseManifest.MaxBytes, cancel)
            ?? throw new LinkException($"the plan wants {release}, but the repository has no signed manifest of it; publish it again.");
        return Sha256Digest.Of(bytes.Span) == digest
            ? bytes
            : throw new LinkException($"the signed manifest of {release} is not the one that the plan means; one of them was replaced.");
    }
}
