namespace Coppice.Rollouts;

/// <summary>What the server should do with a running rollout, from what its devices have reported.</summary>
public enum PhaseAction
{
    /// <summary>Go on as it is: nothing to say yet.</summary>
    Wait,

    /// <summary>Start the next phase.</summary>
    Advance,

    /// <summary>The last phase has done its work.</summary>
    Complete,

    /// <summary>Let no further device take the release.</summary>
    Hold,

    /// <summary>Take the release back everywhere.</summary>
    Revert,
}

/// <summary>How many devices reported what about a rollout's present attempt, each device counted once by its latest report.</summary>
/// <param name="Settled">Passed probation and serve it.</param>
/// <param name="Underway">Fetching, trying or in probation.</param>
/// <param name="Refused">Refused it in trial or could not load it.</param>
/// <param name="TakenBack">Served it and took it back.</param>
public sealed record RolloutCounts(int Settled, int Underway, int Refused, int TakenBack)
{
    /// <summary>Devices for which the release failed.</summary>
    public int Failures => Refused + TakenBack;
}

/// <summary>When a rollout is stopped by itself.</summary>
/// <param name="MaxFailures">Failures that are borne; one more stops the rollout. 0 and up.</param>
/// <param name="OnFailure">What stopping means: <see cref="PhaseAction.Hold"/> or <see cref="PhaseAction.Revert"/>.</param>
public sealed record RolloutPolicy(int MaxFailures, PhaseAction OnFailure)
{
    /// <summary>The first failure holds the rollout.</summary>
    public static RolloutPolicy Careful { get; } = new(0, PhaseAction.Hold);
}

/// <summary>The verdict on a phase and the sentence that explains it.</summary>
public sealed record PhaseVerdict(PhaseAction Action, string Why)
{
    /// <summary>Judges the present phase of a rollout.</summary>
    /// <param name="rollout">The rollout; only a running one is moved.</param>
    /// <param name="policy">When to stop.</param>
    /// <param name="counts">What was reported.</param>
    /// <param name="inPhase">How long the phase has run.</param>
    /// <remarks>No report is never a pass: a phase advances only when at least one device has settled in it and none is under way.</remarks>
    public static PhaseVerdict Judge(Rollout rollout, RolloutPolicy policy, RolloutCounts counts, TimeSpan inPhase)
    {
        if (rollout.State != RolloutState.Running)
            return new(PhaseAction.Wait, $"The rollout is {rollout.State.ToString().ToLowerInvariant()}.");
        if (counts.Failures > policy.MaxFailures)
        {
            var parts = new[] { (counts.Refused, "refused it"), (counts.TakenBack, "took it back") }
                .Where(part => part.Item1 > 0).Select(part => $"{part.Item1} {(part.Item1 == 1 ? "device" : "devices")} {part.Item2}");
            return new(policy.OnFailure, $"{string.Join(" and ", parts)}; {policy.MaxFailures} failures are allowed.");
        }

        var phase = rollout.Phases[rollout.Phase];
        if (counts.Settled == 0)
            return new(PhaseAction.Wait, "No device has settled yet.");
        if (counts.Underway > 0)
            return new(PhaseAction.Wait, $"{counts.Underway} devices are under way.");
        if (phase.Soak is not { } soak)
            return new(PhaseAction.Wait, "An operator starts the next phase.");
        if (inPhase < soak)
            return new(PhaseAction.Wait, $"Soaks for another {soak - inPhase:c}.");
        return rollout.Phase + 1 < rollout.Phases.Length
            ? new(PhaseAction.Advance, $"{counts.Settled} devices settled and none failed in {inPhase:c}.")
            : new(PhaseAction.Complete, $"{counts.Settled} devices settled.");
    }
}
