using System.Collections.Immutable;
using Coppice.Fleet;
using Coppice.Registry;

namespace Coppice.Rollouts;

/// <summary>What a device should do about a model's plan.</summary>
public enum ChoiceKind
{
    /// <summary>Go on with what it has, which may be nothing.</summary>
    Keep,

    /// <summary>Move to <see cref="ReleaseChoice.Rollout"/>'s release.</summary>
    Take,

    /// <summary>Stop serving: the release is revoked and nothing may stand in for it.</summary>
    Stop,
}

/// <summary>Which release of a model a device should run, and why: the same function on the device, the server and in a rehearsal.</summary>
/// <param name="Kind">What to do.</param>
/// <param name="Rollout">The rollout that decided; null when none did.</param>
/// <param name="Reasons">One line for each rollout looked at, newest first, in words for a person.</param>
public sealed record ReleaseChoice(ChoiceKind Kind, Rollout? Rollout, ImmutableArray<string> Reasons)
{
    /// <summary>Chooses.</summary>
    /// <param name="plan">The model's plan, trusted already.</param>
    /// <param name="device">Who asks.</param>
    /// <param name="local">The device's local time, for maintenance windows.</param>
    public static ReleaseChoice Choose(RolloutPlan plan, DeviceView device, DateTime local)
    {
        var reasons = ImmutableArray.CreateBuilder<string>();
        var servingRevoked = device.Serving is { } serving && plan.Revoked.Contains(serving);
        var servingReverted = false;
        if (servingRevoked)
            reasons.Add($"{device.Serving} serves here but is revoked");

        foreach (var rollout in plan.Rollouts)
        {
            var name = $"{rollout.Id} ({rollout.Release})";
            var serves = rollout.Release == device.Serving;
            if (plan.Revoked.Contains(rollout.Release))
                reasons.Add($"{name}: the release is revoked");
            else if (rollout.State == RolloutState.Reverted)
            {
                servingReverted |= serves;
                reasons.Add($"{name}: reverted");
            }
            else if (!Selector.TryParse(rollout.Selector, out var selector, out var problems))
                reasons.Add($"{name}: its selector cannot be read by this agent ({problems[0]})");
            else if (!selector.Matches(device.Facts))
                reasons.Add($"{name}: for devices where {rollout.Selector}");
            else if (Cohort.Of(rollout.Salt, device.Id) is var place && !Cohort.Reaches(rollout.Share, place))
                reasons.Add($"{name}: phase {rollout.Phase + 1} of {rollout.Phases.Length} reaches {rollout.Share:P0} of the devices; this one is at {(place + 1) / (double)Cohort.Places:P1}");
            else if (serves)
                return new(ChoiceKind.Keep, rollout, reasons.With($"{name}: serves here"));
            else if (rollout.State == RolloutState.Held)
                reasons.Add($"{name}: held");
            else if (device.Refusals.FirstOrDefault(refusal => refusal.Covers(rollout)) is { } refusal)
                reasons.Add($"{name}: not tried again after attempt {refusal.Attempt} ({refusal.Why})");
            else if (!rollout.Windows.IsEmpty && !rollout.Windows.Any(window => window.Contains(local)) && device.Serving is not null && !servingRevoked && !servingReverted)
                return new(ChoiceKind.Keep, rollout, reasons.With($"{name}: waits for its maintenance window"));
            else
                return new(ChoiceKind.Take, rollout, reasons.With($"{name}: reaches this device"));
        }

        if (servingRevoked)
            return new(ChoiceKind.Stop, null, reasons.With("no other release is planned for this device"));
        return new(ChoiceKind.Keep, null, reasons.With(device.Serving is null ? "no rollout reaches this device" : $"{device.Serving} goes on"));
    }
}

/// <summary>What of a device its decision depends on.</summary>
/// <param name="Id">The device's id, as enrolled.</param>
/// <param name="Facts">Facts and labels.</param>
/// <param name="Serving">The release that serves; null when none does.</param>
/// <param name="Refusals">Releases that failed here.</param>
public sealed record DeviceView(string Id, FactSet Facts, SemanticVersion? Serving, ImmutableArray<Refusal> Refusals);

/// <summary>A release that failed on this device: in trial, on loading, or in probation.</summary>
/// <param name="Rollout">The rollout that brought it.</param>
/// <param name="Release">The release.</param>
/// <param name="Attempt">The rollout's attempt at that time.</param>
/// <param name="Why">In words for a person.</param>
public sealed record Refusal(string Rollout, SemanticVersion Release, int Attempt, string Why)
{
    /// <summary>Whether the rollout would bring the same failure again: the same release, and no newer attempt ordered by this very rollout.</summary>
    /// <remarks>Another rollout of the same release is a new order, and tries again.</remarks>
    public bool Covers(Rollout rollout) => Rollout == rollout.Id && Release == rollout.Release && rollout.Attempt <= Attempt;
}

static class Reasons
{
    public static ImmutableArray<string> With(this ImmutableArray<string>.Builder reasons, string last)
    {
        reasons.Add(last);
        return reasons.ToImmutable();
    }
}
