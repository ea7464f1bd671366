using System.Collections.Immutable;
using Coppice.Registry;
using Coppice.Rollouts;

namespace Coppice.Protocol;

/// <summary>A new rollout: <c>POST /v1/rollouts</c>.</summary>
/// <param name="Model">Whose release.</param>
/// <param name="Release">A release that is published and not revoked.</param>
/// <param name="Phases">At least one; each reaches more devices than the one before.</param>
public sealed record StartRollout(ModelName Model, SemanticVersion Release, ImmutableArray<Phase> Phases)
{
    /// <summary>Which devices it is for, in the language of <see cref="Fleet.Selector"/>; empty for all.</summary>
    public string Selector { get; init => field = value ?? ""; } = "";

    /// <summary>When it is stopped by itself.</summary>
    public RolloutPolicy Policy { get; init => field = value ?? RolloutPolicy.Careful; } = RolloutPolicy.Careful;

    /// <summary>When devices may switch, in their own local time; empty for always.</summary>
    public ImmutableArray<MaintenanceWindow> Windows { get; init => field = value.IsDefault ? [] : value; } = [];

    /// <summary>What places the devices: the same salt as another rollout's lets the same devices go first. Null makes a new one; 1 to <see cref="MaxSalt"/> characters.</summary>
    public string? Salt { get; init; }

    /// <summary>Longest salt, in characters.</summary>
    public const int MaxSalt = 64;

    /// <summary>For people: why now. At most <see cref="Reason.MaxLength"/> characters.</summary>
    public string Why { get; init => field = value ?? ""; } = "";

    /// <summary>What must hold in every phase that names no gates of its own.</summary>
    public ImmutableArray<Gate> Gates { get; init => field = value.IsDefault ? [] : value; } = [];

    /// <summary>How sure gates must be, above 0.5 and below 1: the chance that a release that keeps every limit is never stopped by one. Null for <see cref="RolloutTerms.DefaultConfidence"/>.</summary>
    public double? Confidence { get; init; }

    /// <summary>How long a device that began may be silent before it is no longer waited for. Null for <see cref="RolloutTerms.DefaultDeadline"/>.</summary>
    public TimeSpan? Deadline { get; init; }

    /// <summary>No device begins before this moment; null for at once.</summary>
    public DateTimeOffset? StartsAt { get; init; }

    /// <summary>Devices that a phase reaches begin spread over so long; null for all at their next poll.</summary>
    public TimeSpan? Spread { get; init; }

    /// <summary>Whether devices fetch while they may not switch yet.</summary>
    public bool FetchEarly { get; init; }

    /// <summary>The question that a device asks its user before it switches; null to ask nobody.</summary>
    public string? Consent { get; init; }

    /// <summary>From this moment on neither windows nor users are waited for.</summary>
    public DateTimeOffset? ForcedFrom { get; init; }

    /// <summary>What must serve beside it before a device switches.</summary>
    public ImmutableArray<ModelRequirement> Requires { get; init => field = value.IsDefault ? [] : value; } = [];

    /// <summary>Releases of other models that devices take together with this one, all or none; empty for this one alone.</summary>
    public ImmutableArray<MemberDraft> With { get; init => field = value.IsDefault ? [] : value; } = [];

    /// <summary>Releases side by side, with their parts of the devices; empty for the one release.</summary>
    public ImmutableArray<ArmDraft> Arms { get; init => field = value.IsDefault ? [] : value; } = [];

    /// <summary>How an experiment is judged; needed with arms.</summary>
    public ExperimentTerms? Experiment { get; init; }

    /// <summary><see cref="Confidence"/>, or what it is where nobody says.</summary>
    public double ConfidenceOrDefault => Confidence ?? RolloutTerms.DefaultConfidence;

    /// <summary><see cref="Deadline"/>, or what it is where nobody says.</summary>
    public TimeSpan DeadlineOrDefault => Deadline ?? RolloutTerms.DefaultDeadline;
}

/// <summary>A release of another model that a new rollout brings with its own.</summary>
/// <param name="Model">The model.</param>
/// <param name="Release">A release that is published and not revoked.</param>
public sealed record MemberDraft(ModelName Model, SemanticVersion Release);

/// <summary>An arm of a new experiment.</summary>
/// <param name="Name">1 to <see cref="GateRules.MaxName"/> characters.</param>
/// <param name="Weight">Its part of the devices, above 0, in any unit.</param>
/// <param name="Release">What it brings; null for a control that keeps what it has.</param>
public sealed record ArmDraft(string Name, double Weight, SemanticVersion? Release = null)
{
    /// <summary>Whether the release only runs beside what serves on the arm's devices, on copies of requests, and answers none; null for no.</summary>
    public bool? Shadow { get; init; }

    /// <summary>Of a shadow, the part of the requests that it is given, above 0 and up to 1; null for <see cref="ShadowRelease.DefaultShare"/>.</summary>
    public double? ShadowShare { get; init; }
}

/// <summary>What an operator orders about a rollout: <c>POST /v1/rollouts/{id}/hold</c>, resume, revert, abort, advance or retry. Sent twice, it changes nothing twice.</summary>
/// <param name="Why">1 to <see cref="Reason.MaxLength"/> characters.</param>
public sealed record RolloutOrder(string Why)
{
    /// <summary>For <c>advance</c>: the phase to be in afterwards, counted from 0; the number of phases to complete the rollout.</summary>
    public int? Phase { get; init; }

    /// <summary>For <c>retry</c>: the attempt to be at afterwards, one more than the last.</summary>
    public int? Attempt { get; init; }
}

/// <summary>Rollouts, newest first.</summary>
/// <param name="Rollouts">At most as many as were asked for; fewer, even none, where the caller may not see some.</param>
/// <param name="Next">Give it as <c>before</c> for older ones; null at the end.</param>
public sealed record RolloutPage(ImmutableArray<RolloutView> Rollouts, long? Next = null);

/// <summary>A rollout and how it stands.</summary>
/// <param name="Id">Unique on the server: <c>r-7</c>.</param>
/// <param name="Model">Whose release.</param>
/// <param name="Release">What it brings.</param>
/// <param name="Selector">Which devices it is for; empty for all.</param>
/// <param name="Phases">Its phases.</param>
/// <param name="Phase">The phase it is in, counted from 0.</param>
/// <param name="State">Whether it goes on.</param>
/// <param name="Attempt">1 and up.</param>
/// <param name="Policy">When it is stopped by itself.</param>
/// <param name="StartedAt">When it began.</param>
/// <param name="StartedBy">The operator who began it.</param>
/// <param name="PhaseSince">Since when the present phase has run; counted anew after a hold and with each attempt.</param>
/// <param name="Counts">Devices by their latest report about it; failures of earlier attempts are forgiven.</param>
/// <param name="Unfit">Devices for which no variant fits; they neither pass nor fail.</param>
/// <param name="BytesFetched">Bytes that all its devices fetched.</param>
/// <param name="BytesTotal">Bytes of the files they now have; the difference was saved.</param>
/// <param name="Why">Why it is in its state.</param>
/// <param name="Verdict">What the worker makes of it now, in words for a person.</param>
public sealed record RolloutView(
    string Id, ModelName Model, SemanticVersion Release, string Selector, ImmutableArray<Phase> Phases, int Phase, RolloutState State, int Attempt, RolloutPolicy Policy,
    DateTimeOffset StartedAt, string StartedBy, DateTimeOffset PhaseSince, RolloutCounts Counts, int Unfit, long BytesFetched, long BytesTotal, string Why, string Verdict)
{
    /// <summary>Names state, phase, attempt and reason as they are now: give it as <c>If-Match</c> to order something only while they are so.</summary>
    public string? Revision { get; init; }

    /// <summary>When devices may switch; empty for always.</summary>
    public ImmutableArray<MaintenanceWindow> Windows { get; init => field = value.IsDefault ? [] : value; } = [];

    /// <summary>What was ordered at its start.</summary>
    public StartRollout? Ordered { get; init; }

    /// <summary>Releases of other models that devices take together with it, all or none; null for it alone. A device counts once, by what it says of the rollout's own model.</summary>
    public ImmutableArray<SetMember>? With { get; init; }

    /// <summary>What each gate of the present phase says now.</summary>
    public ImmutableArray<GateVerdict> Gates { get; init => field = value.IsDefault ? [] : value; } = [];

    /// <summary>Since when it is known that nothing still to come would tell how the phase does: an operator decides. Null while that is not so.</summary>
    public DateTimeOffset? UndecidedSince { get; init; }

    /// <summary>How the arms compare now; null where there are none.</summary>
    public ExperimentStanding? Experiment { get; init; }

    /// <summary>Bytes by the way they came to its devices; see <see cref="Coppice.Delivery.DeliveryWay"/>. <c>copied</c> did not cross the network.</summary>
    public ImmutableSortedDictionary<string, long> BytesByWay { get; init => field = value ?? ImmutableSortedDictionary<string, long>.Empty; } = ImmutableSortedDictionary<string, long>.Empty;
}

/// <summary>What somebody outside says of a rollout's present phase: <c>POST /v1/rollouts/{id}/checks</c>. The last word of each check counts.</summary>
/// <param name="Check">The check's name, as a gate of the rollout gives it.</param>
/// <param name="Good">Its result.</param>
/// <param name="Why">1 to <see cref="Reason.MaxLength"/> characters.</param>
/// <param name="Phase">The phase it is about, from 0: a result that comes late counts for none.</param>
public sealed record SayCheck(string Check, bool Good, string Why, int Phase);

/// <summary>An experiment's arm is to be everybody's: <c>POST /v1/rollouts/{id}/promote</c>.</summary>
/// <param name="Arm">Its name; the control ends the experiment with what was there before.</param>
/// <param name="Why">1 to <see cref="Reason.MaxLength"/> characters.</param>
public sealed record PromoteArm(string Arm, string Why);

/// <summary>A decision of the server about a rollout, with all that it rests on.</summary>
/// <param name="Id">Grows over all rollouts.</param>
/// <param name="At">When.</param>
/// <param name="Action">What was decided.</param>
/// <param name="Why">In words for a person.</param>
/// <param name="Evidence">What was known: <see cref="PhaseVerdict.Judge"/> makes the same of it, whenever it is asked.</param>
public sealed record RolloutDecision(long Id, DateTimeOffset At, PhaseAction Action, string Why, PhaseEvidence Evidence);

/// <summary>Why a rollout is where it is: <c>GET /v1/rollouts/{id}/why</c>.</summary>
/// <param name="Rollout">Which.</param>
/// <param name="Decisions">What the server decided, oldest first.</param>
/// <param name="Now">What is known now.</param>
/// <param name="Orders">What operators ordered, oldest first.</param>
public sealed record RolloutWhy(string Rollout, ImmutableArray<RolloutDecision> Decisions, PhaseEvidence Now, ImmutableArray<ControlEvent> Orders)
{
    /// <summary>As in <see cref="RolloutView.With"/>.</summary>
    public ImmutableArray<SetMember>? With { get; init; }
}

/// <summary>A rollout with a page of its devices.</summary>
/// <param name="Rollout">How it stands.</param>
/// <param name="Devices">In the order of their ids.</param>
/// <param name="Next">Give it as <c>after</c> for the next page; null at the end.</param>
public sealed record RolloutDetail(RolloutView Rollout, ImmutableArray<RolloutDevice> Devices, string? Next = null);

/// <summary>What a device last said about a rollout.</summary>
/// <param name="Device">Its id.</param>
/// <param name="Kind">What it said.</param>
/// <param name="Attempt">About which attempt.</param>
/// <param name="At">When, by its clock.</param>
public sealed record RolloutDevice(string Device, ReportKind Kind, int Attempt, DateTimeOffset At)
{
    /// <summary>The variant it chose.</summary>
    public string? Variant { get; init; }

    /// <summary>True where the release runs beside what serves there, and answers nobody.</summary>
    public bool? Shadow { get; init; }

    /// <summary>Why it was refused, taken back or could not go on.</summary>
    public string? Why { get; init; }

    /// <summary>Bytes that came over the network.</summary>
    public long? BytesFetched { get; init; }

    /// <summary>Bytes of the release's files there.</summary>
    public long? BytesTotal { get; init; }

    /// <summary>Figures of its trial or probation.</summary>
    public ImmutableDictionary<string, double>? Measures { get; init; }
}
