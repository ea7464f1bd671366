using Coppice.Registry;
using Coppice.Trust;

namespace Coppice.Rollouts;

/// <summary>A release of a model that a rollout brings together with releases of others: a device switches to all of them or to none.</summary>
/// <param name="Model">The model.</param>
/// <param name="Release">What the rollout brings of it.</param>
/// <param name="Manifest">Digest of that release's manifest.</param>
public sealed record SetMember(ModelName Model, SemanticVersion Release, Sha256Digest Manifest);

/// <summary>How sets stand in plans, so that a reader that knows none keeps what it has and never takes a part of one.</summary>
/// <remarks>
/// The rollout stands in the plan of its leading model, with <c>with</c>, and goes on by <c>setState</c>; its <c>state</c> says what a reader does
/// that passes both over: held, or reverted. In the plans of the others it stands as held too, with <c>lead</c>, which names the plan that says the rest.
/// </remarks>
public static class SetForm
{
    /// <summary>The entry that points to a set in the plan of one of its other models.</summary>
    /// <param name="id">The rollout's.</param>
    /// <param name="lead">The model in whose plan it stands.</param>
    /// <param name="member">What it brings here.</param>
    public static Rollout Pointer(string id, ModelName lead, SetMember member) => new(id, member.Release, member.Manifest, "", "", [new(1)], 0, RolloutState.Held, 1) { Lead = lead };

    /// <summary>The plan as it is written.</summary>
    public static RolloutPlan Written(RolloutPlan plan) => Each(plan, rollout => rollout is { With: not null, Lead: null }
        ? rollout with { State = rollout.State is RolloutState.Reverted or RolloutState.Aborted ? rollout.State : RolloutState.Held, SetState = rollout.State }
        : rollout);

    /// <summary>The plan as it is meant.</summary>
    public static RolloutPlan Read(RolloutPlan plan) => Each(plan, rollout => rollout is { With: not null, Lead: null, SetState: { } state }
        ? rollout with { State = state, SetState = null }
        : rollout);

    /// <summary>The plan with what stands in the plans of others put where they are pointed to. What cannot be found there stays as it is: held.</summary>
    /// <param name="plan">A plan as it is meant.</param>
    /// <param name="others">Plans of other models, as they are meant.</param>
    public static RolloutPlan Resolved(RolloutPlan plan, IReadOnlyDictionary<ModelName, RolloutPlan> others) => Each(plan, pointer =>
    {
        if (pointer.Lead is not { } lead || !others.TryGetValue(lead, out var leading)
            || leading.Rollouts.FirstOrDefault(known => known.Id == pointer.Id && known.Lead is null) is not { With: { } members } rollout
            || !members.Contains(new(plan.Model, pointer.Release, pointer.Manifest)))
            return pointer;
        return rollout with
        {
            Release = pointer.Release,
            Manifest = pointer.Manifest,
            Lead = lead,
            With = [new(lead, rollout.Release, rollout.Manifest), .. members.Where(member => member.Model != plan.Model)],
        };
    });

    static RolloutPlan Each(RolloutPlan plan, Func<Rollout, Rollout> change) =>
        plan.Rollouts.IsDefault || plan.Rollouts.All(rollout => rollout is { With: null, Lead: null }) ? plan : plan with { Rollouts = [.. plan.Rollouts.Select(change)] };
}
