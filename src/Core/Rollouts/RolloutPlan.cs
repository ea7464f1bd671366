using System.Collections.Immutable;
using Coppice.Registry;
using Coppice.Trust;

namespace Coppice.Rollouts;

/// <summary>The signed document by which each device finds out for itself which release of a model it should run. Specified in docs/formats/plan.md.</summary>
/// <param name="Schema">Version of the document's own form; this code writes and reads 1.</param>
/// <param name="Model">The model it is about.</param>
/// <param name="Serial">Grows with every change; a device never goes back to a lower one.</param>
/// <param name="Rollouts">Newest first.</param>
/// <param name="Revoked">Releases that no device may serve, whatever a rollout says.</param>
public sealed record RolloutPlan(
    int Schema, ModelName Model, long Serial, ImmutableArray<Rollout> Rollouts, ImmutableArray<SemanticVersion> Revoked)
{
    /// <summary>The schema this code writes.</summary>
    public const int CurrentSchema = 1;

    /// <summary>Largest plan taken, in bytes.</summary>
    public const int MaxBytes = 1 << 20;

    /// <summary>The plan of a model that nobody has rolled out.</summary>
    public static RolloutPlan None(ModelName model) => new(CurrentSchema, model, 0, [], []);
}

/// <summary>The way of a release through phases.</summary>
/// <param name="Id">Unique in the model: <c>r-7</c>.</param>
/// <param name="Release">What it brings.</param>
/// <param name="Manifest">Digest of that release's manifest; a device refuses another one under the same version.</param>
/// <param name="Salt">Mixed into the devices' places, so that the first devices of one rollout are not those of the next.</param>
/// <param name="Selector">Which devices it is for, in <see cref="Fleet.Selector"/>'s language; empty for all.</param>
/// <param name="Phases">At least one; each reaches more devices than the one before.</param>
/// <param name="Phase">The phase it is in, 0 and up.</param>
/// <param name="State">Whether it goes on.</param>
/// <param name="Attempt">1 and up. A device that refused or took back the release tries again only when this has grown.</param>
public sealed record Rollout(
    string Id, SemanticVersion Release, Sha256Digest Manifest, string Salt, string Selector, ImmutableArray<Phase> Phases, int Phase, RolloutState State, int Attempt)
{
    /// <summary>When devices may switch, in their own local time; empty for always.</summary>
    public ImmutableArray<MaintenanceWindow> Windows { get; init => field = value.IsDefault ? [] : value; } = [];

    /// <summary>The share of the selected devices that the present phase reaches.</summary>
    public double Share => Phases[Phase].Share;
}

/// <summary>One step of a rollout.</summary>
/// <param name="Share">Part of the selected devices that may hold the release, above 0 and up to 1.</param>
/// <param name="Soak">How long the phase must look well before the next starts; null when only an operator starts it.</param>
public sealed record Phase(double Share, TimeSpan? Soak = null);

/// <summary>Whether a rollout goes on.</summary>
public enum RolloutState
{
    /// <summary>Devices it reaches take the release.</summary>
    Running,

    /// <summary>Devices that have it keep it; no further device takes it.</summary>
    Held,

    /// <summary>Devices that have it go back to what the older rollouts say.</summary>
    Reverted,

    /// <summary>It has reached every selected device that could take it; late ones still take it.</summary>
    Complete,
}

/// <summary>A span of the day, on some days, in the device's local time. One that ends before it starts goes over midnight.</summary>
/// <param name="Days">Days on which it starts; empty for every day.</param>
/// <param name="From">First minute.</param>
/// <param name="To">First minute after it.</param>
public sealed record MaintenanceWindow(ImmutableArray<DayOfWeek> Days, TimeOnly From, TimeOnly To)
{
    /// <summary>Whether the window is open at a local time.</summary>
    public bool Contains(DateTime local)
    {
        var time = TimeOnly.FromDateTime(local);
        var overnight = To <= From;
        if (!overnight)
            return StartsOn(local.DayOfWeek) && time >= From && time < To;
        return (StartsOn(local.DayOfWeek) && time >= From) || (StartsOn(local.AddDays(-1).DayOfWeek) && time < To);
    }

    bool StartsOn(DayOfWeek day) => Days.IsEmpty || Days.Contains(day);
}

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
            found.AddRange(Check("", rollout.Phases).Select(problem => problem with { Where = $"rollouts[{i}].{problem.Where}" }));
            if (rollout.Phase < 0 || (!rollout.Phases.IsDefault && rollout.Phase >= rollout.Phases.Length))
                found.Add(new($"rollouts[{i}].phase", $"{rollout.Phase} is not one of its phases."));
            if (rollout.Attempt < 1)
                found.Add(new($"rollouts[{i}].attempt", $"{rollout.Attempt} is not an attempt; give 1 or more."));
        }

        return found.ToImmutable();
    }

    /// <summary>Everything that is wrong with a rollout, as its writer named the fields.</summary>
    public static ImmutableArray<Problem> Check(string selector, ImmutableArray<Phase> phases)
    {
        var found = ImmutableArray.CreateBuilder<Problem>();
        if (!Fleet.Selector.TryParse(selector, out _, out var problems))
            found.AddRange(problems);
        if (phases.IsDefaultOrEmpty || phases.Length > MaxPhases)
            found.Add(new("phases", $"{(phases.IsDefault ? 0 : phases.Length)} phases; give 1 to {MaxPhases}."));
        var reached = 0.0;
        for (var i = 0; !phases.IsDefault && i < phases.Length; i++)
        {
            var (share, soak) = phases[i];
            if (share is not (> 0 and <= 1)) // also catches NaN
                found.Add(new($"phases[{i}].share", $"{share} is not a share of the devices; give a number above 0 and up to 1."));
            else if (share <= reached)
                found.Add(new($"phases[{i}].share", $"{share} does not go beyond the {reached} already reached; each phase must add devices."));
            if (soak < TimeSpan.Zero)
                found.Add(new($"phases[{i}].soak", $"{soak} is negative; give zero or more."));
            reached = Math.Max(reached, share);
        }

        return found.ToImmutable();
    }
}
