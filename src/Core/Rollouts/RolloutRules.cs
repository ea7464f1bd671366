using System.Collections.Immutable;
using Coppice.Registry;

namespace Coppice.Rollouts;

/// <summary>Makes plans that are valid.</summary>
public static class RolloutRules
{
    /// <summary>Most phases of a rollout.</summary>
    public const int MaxPhases = 64;

    /// <summary>Most rollouts that one plan carries; the server leaves out the oldest.</summary>
    public const int MaxRollouts = 64;

    /// <summary>Everything that is wrong with a plan.</summary>
    public static ImmutableArray<Problem> Check(RolloutPlan plan)
    {
        var found = ImmutableArray.CreateBuilder<Problem>();
        if (plan.Schema != RolloutPlan.CurrentSchema)
            found.Add(new("schema", $"{plan.Schema} is not known here; this version reads {RolloutPlan.CurrentSchema}. Update coppice."));
        if (plan.Serial < 0)
            found.Add(new("serial", $"{plan.Serial} is negative; give zero or more."));
        if (plan.Revoked.IsDefault)
            found.Add(new("revoked", "is missing; give an array."));
        if (plan.Rollouts.IsDefault || plan.Rollouts.Length > MaxRollouts)
            found.Add(new("rollouts", $"{(plan.Rollouts.IsDefault ? "none" : plan.Rollouts.Length)}; give an array of at most {MaxRollouts}."));
        for (var i = 0; !plan.Rollouts.IsDefault && i < plan.Rollouts.Length; i++)
        {
            var rollout = plan.Rollouts[i];
            // Not the selector: one in a newer language concerns one rollout, not the plan; the device passes that rollout over.
            found.AddRange(Check("", rollout.Phases, selectors: false).Select(problem => problem with { Where = $"rollouts[{i}].{problem.Where}" }));
            if (rollout.Phase < 0 || (!rollout.Phases.IsDefault && rollout.Phase >= rollout.Phases.Length))
                found.Add(new($"rollouts[{i}].phase", $"{rollout.Phase} is not one of its phases."));
            if (rollout.Spread is { } spread && (spread < TimeSpan.Zero || spread > RolloutTerms.Longest))
                found.Add(new($"rollouts[{i}].spread", $"{spread} is not between 0 and {RolloutTerms.Longest.Days} days."));

            found.AddRange(Check(rollout.Arms).Select(problem => problem with { Where = $"rollouts[{i}].{problem.Where}" }));
            found.AddRange(CheckMembers(plan.Model, rollout.With?.Select(member => member.Model), rollout.Arms is not null).Select(problem => problem with { Where = $"rollouts[{i}].{problem.Where}" }));
            if (rollout.Attempt < 1)
                found.Add(new($"rollouts[{i}].attempt", $"{rollout.Attempt} is not an attempt; give 1 or more."));
        }

        return found.ToImmutable();
    }

    /// <summary>Everything that is wrong with a rollout, as its writer named the fields.</summary>
    public static ImmutableArray<Problem> Check(string selector, ImmutableArray<Phase> phases, bool selectors = true)
    {
        var found = ImmutableArray.CreateBuilder<Problem>();
        if (!Fleet.Selector.TryParse(selector, out _, out var problems))
            found.AddRange(problems);
        if (phases.IsDefaultOrEmpty || phases.Length > MaxPhases)
            found.Add(new("phases", $"{(phases.IsDefault ? 0 : phases.Length)} phases; give 1 to {MaxPhases}."));
        var reached = 0.0;
        for (var i = 0; !phases.IsDefault && i < phases.Length; i++)
        {
            var phase = phases[i];
            var (share, soak) = phase;
            if (phase.Selector is not null)
            {
                // Its devices are others: shares of different selectors are not compared.
                if (selectors && !Fleet.Selector.TryParse(phase.Selector, out _, out var wrong))
                    found.AddRange(wrong.Select(problem => problem with { Where = $"phases[{i}].{problem.Where}" }));
            }

            if (phase.Gates is { } gates)
                found.AddRange(GateRules.Check(gates, $"phases[{i}].gates"));
            if (share is not (> 0 and <= 1)) // also catches NaN
                found.Add(new($"phases[{i}].share", $"{share} is not a share of the devices; give a number above 0 and up to 1."));
            else if (phase.Selector is null && share <= reached)
                found.Add(new($"phases[{i}].share", $"{share} does not go beyond the {reached} already reached; each phase must add devices."));
            if (soak < TimeSpan.Zero)
                found.Add(new($"phases[{i}].soak", $"{soak} is negative; give zero or more."));
            reached = phase.Selector is null ? Math.Max(reached, share) : reached;
        }

        return found.ToImmutable();
    }

    /// <summary>Everything that is wrong with an experiment's arms.</summary>
    public static ImmutableArray<Problem> Check(ImmutableArray<Arm>? arms)
    {
        if (arms is not { } given)
            return [];
        var found = ImmutableArray.CreateBuilder<Problem>();
        if (given.IsDefault || given.Length is < 2 or > RolloutTerms.MaxArms)
            found.Add(new("arms", $"{(given.IsDefault ? 0 : given.Length)} arms; give 2 to {RolloutTerms.MaxArms}, or leave them out."));
        for (var i = 0; !given.IsDefault && i < given.Length; i++)
        {
            var arm = given[i];
            if (arm.Name.Length is 0 or > GateRules.MaxName || given.Take(i).Any(other => other.Name == arm.Name))
                found.Add(new($"arms[{i}].name", $"'{arm.Name}' is empty, too long or there already; give each arm a name of its own."));
            if (!(arm.Weight > 0 && double.IsFinite(arm.Weight)))
                found.Add(new($"arms[{i}].weight", $"{arm.Weight} is not a part of the devices; give a number above 0."));
            if ((arm.Release is null) != (arm.Manifest is null))
                found.Add(new($"arms[{i}].manifest", "a release goes with the digest of its manifest."));
            if (arm is { Shadow: not null, Release: not null })
                found.Add(new($"arms[{i}].shadow", $"'{arm.Name}' brings {arm.Release} to serve, and a shadow answers nobody; give the one or the other."));
            if (arm.Shadow?.Share is { } share && share is not (> 0 and <= 1)) // also catches NaN
                found.Add(new($"arms[{i}].shadowShare", $"{share} is not a share of the requests; give a number above 0 and up to 1, or leave it out for {ShadowRelease.DefaultShare}."));
        }

        if (!given.IsDefaultOrEmpty && given.All(arm => arm.Shadow is not null))
            found.Add(new("arms", "all of them are shadows, and nothing would be left to compare them with; give a control, with a release or without one."));
        else if (!given.IsDefault && given.All(arm => arm.Runs is null))
            found.Add(new("arms", "none of them brings a release; give at least one."));
        return found.ToImmutable();
    }

    /// <summary>Everything that is wrong with the models that a rollout brings with its own.</summary>
    /// <param name="model">Its own.</param>
    /// <param name="members">The others; null for none.</param>
    /// <param name="arms">Whether it is an experiment.</param>
    public static IEnumerable<Problem> CheckMembers(ModelName model, IEnumerable<ModelName>? members, bool arms)
    {
        if (members is null)
            yield break;
        var named = members.ToList();
        if (named.Count is 0 or > RolloutTerms.MaxMembers)
            yield return new("with", $"{named.Count} models; give 1 to {RolloutTerms.MaxMembers}, or leave it out.");
        for (var i = 0; i < named.Count; i++)
        {
            if (named[i] == model)
                yield return new($"with[{i}].model", "is the rollout's own model; name another one of the device.");
            else if (named.IndexOf(named[i]) < i)
                yield return new($"with[{i}].model", $"{named[i]} is there already; a set has one release of each model.");
        }

        if (arms)
            yield return new("with", "an experiment compares releases of one model; leave out arms, or with.");
    }
}
