using System.Collections.Immutable;

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

    /// <summary>An experiment has a winner: make its release everybody's.</summary>
    Promote,
}

/// <summary>How many devices reported what about a rollout's present attempt, each device counted once by its latest report.</summary>
/// <param name="Settled">Passed probation and serve it.</param>
/// <param name="Underway">Fetching, trying or in probation, and heard of within the deadline.</param>
/// <param name="Refused">Refused it in trial or could not load it.</param>
/// <param name="TakenBack">Served it and took it back.</param>
public sealed record RolloutCounts(int Settled, int Underway, int Refused, int TakenBack)
{
    /// <summary>Began, and were not heard of within the deadline.</summary>
    public int Silent { get; init; }

    /// <summary>Of those that refused it or took it back: because it took its host down.</summary>
    public int Crashed { get; init; }

    /// <summary>Devices for which the release failed.</summary>
    public int Failures => Refused + TakenBack;
}

/// <summary>When a rollout is stopped by itself.</summary>
/// <param name="MaxFailures">Failures that are borne; one more stops the rollout. 0 and up; null when the gates alone decide.</param>
/// <param name="OnFailure">What stopping means: <see cref="PhaseAction.Hold"/> or <see cref="PhaseAction.Revert"/>.</param>
public sealed record RolloutPolicy(int? MaxFailures = null, PhaseAction OnFailure = PhaseAction.Hold)
{
    /// <summary>How long an operator has to decide, where a plan does not say.</summary>
    public static readonly TimeSpan DefaultDecideWithin = TimeSpan.FromDays(1);

    /// <summary>
    /// What happens to a phase that cannot be told although nobody is left to hear of, when no operator has decided in time: <see cref="PhaseAction.Hold"/>,
    /// <see cref="PhaseAction.Revert"/>, or <see cref="PhaseAction.Wait"/> for as long as it takes.
    /// </summary>
    public PhaseAction OnUndecided { get; init; } = PhaseAction.Wait;

    /// <summary>How long an operator has before <see cref="OnUndecided"/>; null for <see cref="DefaultDecideWithin"/>.</summary>
    public TimeSpan? DecideWithin { get; init; }

    /// <summary>The first failure holds the rollout: for small fleets, where one device is a share worth looking at.</summary>
    public static RolloutPolicy Careful { get; } = new(0, PhaseAction.Hold);
}

/// <summary>Everything that a verdict on a phase rests on. Kept with each decision, it gives the same verdict for ever.</summary>
/// <param name="State">Of the rollout; only a running one is moved.</param>
/// <param name="Phase">The present phase, from 0.</param>
/// <param name="Phases">How many there are.</param>
/// <param name="InPhase">How long it has run.</param>
/// <param name="Policy">When to stop.</param>
/// <param name="Failures">Of the whole attempt, all phases.</param>
/// <param name="Counts">Devices that came to what they say in this phase.</param>
public sealed record PhaseEvidence(RolloutState State, int Phase, int Phases, TimeSpan InPhase, RolloutPolicy Policy, RolloutFailures Failures, RolloutCounts Counts)
{
    /// <summary>How long the phase must look well; null when an operator ends it.</summary>
    public TimeSpan? Soak { get; init; }

    /// <summary>How sure a gate must be: 1 - α.</summary>
    public double Confidence { get; init; } = RolloutTerms.DefaultConfidence;

    /// <summary>What must hold.</summary>
    public ImmutableArray<Gate> Gates { get; init => field = value.IsDefault ? [] : value; } = [];

    /// <summary>Figures of the metric gates.</summary>
    public ImmutableArray<GateFigures> Figures { get; init => field = value.IsDefault ? [] : value; } = [];

    /// <summary>What was said from outside in this phase.</summary>
    public ImmutableArray<CheckResult> Checks { get; init => field = value.IsDefault ? [] : value; } = [];

    /// <summary>Devices in this phase's reach that have said nothing of it; null when not counted.</summary>
    public int? Absent { get; init; }

    /// <summary>How long a device may be silent; an absent one is waited for as long.</summary>
    public TimeSpan Deadline { get; init; } = RolloutTerms.DefaultDeadline;

    /// <summary>For how long it has been known that the phase cannot be told by itself; null when that was not said yet.</summary>
    public TimeSpan? Undecided { get; init; }

    /// <summary>How the arms are judged; null where there are none.</summary>
    public ExperimentTerms? Experiment { get; init; }

    /// <summary>What the arms' devices have reported.</summary>
    public ImmutableArray<ArmFigures> Arms { get; init => field = value.IsDefault ? [] : value; } = [];

    /// <summary>For the gates: arms that bring a release, each by itself; none where all devices are judged together.</summary>
    public ImmutableArray<ArmEvidence> ByArm { get; init => field = value.IsDefault ? [] : value; } = [];

    /// <summary>Whether nothing more is to be expected: none is under way, and those absent have had their time. A silent device holds nobody up for ever.</summary>
    public bool IsExhausted => Counts.Underway == 0 && (Absent == 0 || InPhase >= Deadline);
}

/// <summary>Failures of a whole attempt.</summary>
/// <param name="Refused">Devices that refused the release.</param>
/// <param name="TakenBack">Devices that took it back.</param>
public readonly record struct RolloutFailures(int Refused, int TakenBack)
{
    /// <summary>Both.</summary>
    public int Total => Refused + TakenBack;
}

/// <summary>The verdict on a phase and the sentence that explains it.</summary>
/// <param name="Action">What to do.</param>
/// <param name="Why">In words for a person.</param>
/// <param name="Gates">What each gate says.</param>
public sealed record PhaseVerdict(PhaseAction Action, string Why, ImmutableArray<GateVerdict> Gates)
{
    /// <summary>Whether nothing that is still to come would tell: an operator decides, or <see cref="RolloutPolicy.OnUndecided"/>.</summary>
    public bool IsUndecided { get; init; }

    /// <summary>How the arms compare; null where there are none.</summary>
    public ExperimentStanding? Compared { get; init; }

    /// <summary>Judges the present phase of a rollout.</summary>
    /// <remarks>
    /// No report is never a pass: a phase advances only when at least one device has settled in it, and every gate is good. Without
    /// gates, none may be under way either. With gates, those are counted as the gates say, so that one device among many holds nobody up.
    /// An experiment's winner is promoted whatever the phase waits for, unless the phase is to be stopped.
    /// </remarks>
    /// <param name="evidence">What is known.</param>
    /// <param name="explain">Whether gates also tell their bounds and what they still need, which costs far more than the verdict, and changes nothing in it.</param>
    public static PhaseVerdict Judge(PhaseEvidence evidence, bool explain = true)
    {
        var running = evidence.State == RolloutState.Running;
        var verdict = running ? OfPhase(evidence, GateJudge.Judge(evidence, explain)) : new(PhaseAction.Wait, $"The rollout is {evidence.State.ToString().ToLowerInvariant()}.", []);
        if (evidence.Experiment is not { } terms)
            return verdict;
        var compared = ExperimentStanding.Judge(terms, evidence.Arms, evidence.Confidence, arm => verdict.Gates.All(gate => gate.Standing == GateStanding.Good || (gate.Arm is { } other && other != arm)));
        verdict = verdict with { Compared = compared };
        if (!running || compared.Winner is null || verdict.Action is PhaseAction.Hold or PhaseAction.Revert)
            return verdict;
        if (terms.Promote)
            return verdict with { Action = PhaseAction.Promote, Why = $"{compared.Why}.", IsUndecided = false };
        return verdict.Action == PhaseAction.Wait ? verdict with { Why = $"{compared.Why}; an operator promotes an arm. {verdict.Why}" } : verdict;
    }

    static PhaseVerdict OfPhase(PhaseEvidence evidence, ImmutableArray<GateVerdict> gates)
    {
        if (evidence.Policy.MaxFailures is { } borne && evidence.Failures.Total > borne)
        {
            var parts = new[] { (evidence.Failures.Refused, "refused it"), (evidence.Failures.TakenBack, "took it back") }
                .Where(part => part.Item1 > 0).Select(part => $"{part.Item1} {(part.Item1 == 1 ? "device" : "devices")} {part.Item2}");
            return new(evidence.Policy.OnFailure, $"{string.Join(" and ", parts)}; {borne} failures are allowed.", gates);
        }

        if (Named(gates, GateStanding.Bad) is { } bad)
            return new(evidence.Policy.OnFailure, bad, gates);
        if (evidence.InPhase < TimeSpan.Zero)
            return new(PhaseAction.Wait, $"Starts in {-evidence.InPhase:c}.", gates);
        if (evidence.Counts.Settled == 0)
            return Open(evidence, gates, "No device has settled", "");
        if (evidence.Gates.IsEmpty && evidence.Counts.Underway > 0)
            return new(PhaseAction.Wait, $"{evidence.Counts.Underway} devices are under way.", gates);
        if (Named(gates, GateStanding.Unknown) is { } unknown)
            return Open(evidence, gates, "Cannot tell", $": {unknown[..^1]}");
        if (evidence.Soak is not { } soak)
            return new(PhaseAction.Wait, "An operator starts the next phase.", gates);
        if (evidence.InPhase < soak)
            return new(PhaseAction.Wait, $"Soaks for another {soak - evidence.InPhase:c}.", gates);
        var why = gates.IsEmpty
            ? $"{evidence.Counts.Settled} devices settled and none failed in {evidence.InPhase:c}."
            : $"{evidence.Counts.Settled} devices settled in {evidence.InPhase:c}; {gates.Length} of {gates.Length} gates are good.";
        if (evidence.Counts.Silent > 0)
            why += $" {evidence.Counts.Silent} are silent and not waited for.";
        return evidence.Phase + 1 < evidence.Phases ? new(PhaseAction.Advance, why, gates) : new(PhaseAction.Complete, gates.IsEmpty ? $"{evidence.Counts.Settled} devices settled." : why, gates);
    }

    /// <summary>It cannot be told: yet, while somebody is to be heard of; after that an operator decides.</summary>
    static PhaseVerdict Open(PhaseEvidence evidence, ImmutableArray<GateVerdict> gates, string what, string named)
    {
        if (!evidence.IsExhausted)
            return new(PhaseAction.Wait, $"{what} yet{named}.", gates);
        var counts = evidence.Counts;
        var answered = counts.Settled + counts.Failures + counts.Silent;
        var heard = evidence.Absent != 0 ? $"{answered} devices of the phase have answered, and the others had their {Duration.Format(evidence.Deadline)}"
            : answered == 0 ? "no device that is known here is in the phase's reach"
            : $"{(answered == 1 ? "the phase's only device has" : $"all {answered} devices of the phase have")} answered or had {(answered == 1 ? "its" : "their")} time";
        var (then, within) = (evidence.Policy.OnUndecided, evidence.Policy.DecideWithin ?? RolloutPolicy.DefaultDecideWithin);
        if (then != PhaseAction.Wait && evidence.Undecided >= within)
            return new(then, $"{what}{named}; {heard}, and no operator decided within {Duration.Format(within)}.", gates);
        var otherwise = then == PhaseAction.Wait ? "" : $"; otherwise it is {(then == PhaseAction.Hold ? "held" : "reverted")} {Duration.Format(within)} after that was known";
        return new(PhaseAction.Wait, $"{what}{named}; {heard}: an operator decides, by skip, retry, abort or revert{otherwise}.", gates) { IsUndecided = true };
    }

    static string? Named(ImmutableArray<GateVerdict> gates, GateStanding standing) =>
        gates.Where(gate => gate.Standing == standing).Select(gate => $"{gate.Name()}: {gate.Why}").ToList() is { Count: > 0 } named ? string.Join("; ", named) + "." : null;
}
