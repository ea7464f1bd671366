using System.Collections.Immutable;
using Coppice.Agent.Slots;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Rollouts;

namespace Coppice.Agent.Updates;

/// <summary>Everything that must outlive the process about one model: one small file, replaced whole. That replacement is the switch.</summary>
public sealed record UpdateState
{
    /// <summary>The model.</summary>
    public required ModelName Model { get; init; }

    /// <summary>Where the update stands.</summary>
    public UpdateStep Step { get; init; }

    /// <summary>What is being brought; null when nothing is.</summary>
    public Target? Target { get; init; }

    /// <summary>What serves; null when nothing does.</summary>
    public Slot? Serving { get; init; }

    /// <summary>The last good release before it, kept whole.</summary>
    public Slot? Previous { get; init; }

    /// <summary>What runs beside the serving release without answering; null when nothing is to.</summary>
    public ShadowSlot? Shadow { get; init; }

    /// <summary>Releases that failed here, newest last.</summary>
    public ImmutableArray<Refusal> Refusals { get; init => field = value.IsDefault ? [] : value; } = [];

    /// <summary>How often slots took their host down.</summary>
    public ImmutableArray<Exposure> Exposures { get; init => field = value.IsDefault ? [] : value; } = [];

    /// <summary>The plan's serial when it was last followed.</summary>
    public long PlanSerial { get; init; }

    /// <summary>What the plan revoked then: never gone back to.</summary>
    public ImmutableArray<SemanticVersion> Revoked { get; init => field = value.IsDefault ? [] : value; } = [];

    /// <summary>Why the serving release is to go; null when it is not.</summary>
    public Complaint? Complaint { get; init; }

    /// <summary>What the user is asked now; null for nothing.</summary>
    public Question? Question { get; init; }

    /// <summary>The last misfit that was reported, so that it is reported once.</summary>
    public string? Misfit { get; init; }

    /// <summary>Reports that are not in the queue yet. Their sequence is this model's own, and becomes the device's there.</summary>
    public ImmutableArray<Report> Outbox { get; init => field = value.IsDefault ? [] : value; } = [];

    /// <summary>The sequence of the newest report put in the outbox.</summary>
    public long Reported { get; init; }

    /// <summary>Every slot that it names.</summary>
    public IEnumerable<Slot> Slots() => ((Slot?[])[Serving, Previous, Target?.Slot, Shadow?.Slot]).OfType<Slot>();

    // Fifty of them go into one batch, with room for the rest.
    const int MaxWhy = 2_000;

    /// <summary>Most refusals remembered.</summary>
    public const int MaxRefusals = 64;

    /// <summary>This state and a refusal more.</summary>
    public UpdateState Refusing(Slot slot, string why, bool crash = false)
    {
        var kept = Refusals.RemoveAll(refusal => refusal.Rollout == slot.Rollout && refusal.Release == slot.Release);
        if (kept.Length >= MaxRefusals)
            kept = kept.RemoveAt(0);
        return this with { Refusals = kept.Add(new(slot.Rollout, slot.Release, slot.Attempt, why) { Crash = crash }) };
    }

    /// <summary>This state and a report more.</summary>
    public UpdateState Reporting(Report report) => this with { Outbox = Outbox.Add(report with { Sequence = Reported + 1, Why = report.Why is { Length: > MaxWhy } ? report.Why[..MaxWhy] + "…" : report.Why }), Reported = Reported + 1 };

    /// <summary>A report's figures that say that the release took its host down.</summary>
    internal static ImmutableDictionary<string, double>? Crashed(bool crash, ImmutableDictionary<string, double>? measures = null) =>
        crash ? (measures ?? ImmutableDictionary<string, double>.Empty).SetItem(ReportFigures.Crashes, 1) : measures;

    /// <summary>A report about a slot, not numbered yet.</summary>
    public Report ReportOf(ReportKind kind, Slot slot, DateTimeOffset at, string? why = null) => new(0, at, kind, Model, slot.Release)
    {
        Variant = slot.Variant.Length == 0 ? null : slot.Variant,
        Rollout = slot.Rollout,
        Attempt = slot.Attempt,
        Shadow = Target is { Shadow: not null } beside && beside.Slot.Folder == slot.Folder ? true : null,
        Why = why,
        BytesFetched = Target is { } target && target.Slot.Folder == slot.Folder ? target.BytesFetched : null,
        BytesTotal = Target is { } same && same.Slot.Folder == slot.Folder ? same.BytesTotal : null,
        BytesByWay = Target is { } again && again.Slot.Folder == slot.Folder ? again.BytesByWay : null,
    };

    /// <summary>This state with what is known of a slot's crashes.</summary>
    public UpdateState With(Exposure exposure) =>
        this with { Exposures = Exposures.RemoveAll(known => known.Slot == exposure.Slot).Add(exposure) };

    /// <summary>What is known of a slot's crashes.</summary>
    public Exposure ExposureOf(Slot slot) => Exposures.FirstOrDefault(known => known.Slot == slot.Folder) ?? new(slot.Folder, 0, false, "");
}

/// <summary>A release on its way.</summary>
/// <param name="Slot">Where it will be.</param>
/// <param name="BytesTotal">Bytes of the variant's files and of the trial's.</param>
/// <param name="BytesFetched">Bytes that came over the network for it so far.</param>
public sealed record Target(Slot Slot, long BytesTotal, long BytesFetched = 0)
{
    /// <summary>Whether it is only fetched for now, because it may not serve yet.</summary>
    public bool FetchOnly { get; init; }

    /// <summary>The releases of other models that it serves together with, or not at all; empty when it comes by itself.</summary>
    public ImmutableArray<SetMember> With { get; init => field = value.IsDefault ? [] : value; } = [];

    /// <summary>Bytes by the way they came, those that were copied here among them; null when none has come.</summary>
    public ImmutableSortedDictionary<string, long>? BytesByWay { get; init; }

    /// <summary>What its trial measured.</summary>
    public ImmutableDictionary<string, double>? Measures { get; init; }

    /// <summary>How it is to run beside what serves; null when it is to serve.</summary>
    public ShadowTerms? Shadow { get; init; }
}

/// <summary>How a release runs beside the serving one.</summary>
/// <param name="Arm">The arm of the experiment.</param>
/// <param name="Share">The part of the requests that it is given, above 0 and up to 1.</param>
public sealed record ShadowTerms(string Arm, double Share);

/// <summary>A release that runs beside the serving one without answering.</summary>
/// <param name="Slot">Where it is. Settled once it has run long enough without a fault.</param>
/// <param name="Terms">How it runs.</param>
public sealed record ShadowSlot(Slot Slot, ShadowTerms Terms)
{
    /// <summary>What its trial measured.</summary>
    public ImmutableDictionary<string, double>? Measures { get; init; }

    /// <summary>When its figures were last told; null before they were.</summary>
    public DateTimeOffset? ToldAt { get; init; }
}

/// <summary>How often a slot took its host down.</summary>
/// <param name="Slot">The slot's folder.</param>
/// <param name="Crashes">Times that the process ended while the slot was exposed.</param>
/// <param name="Open">Whether it is exposed now: being loaded, or on probation. Saved before it is.</param>
/// <param name="Boot">The machine's boot in which it was last exposed.</param>
public sealed record Exposure(string Slot, int Crashes, bool Open, string Boot);

/// <summary>Why a serving release is to go.</summary>
/// <param name="Why">In words for a person.</param>
/// <param name="Refuse">Whether the release is at fault, so that it is not tried again; false when the disk is, or the operator says so.</param>
/// <param name="Crash">Whether it took its host down.</param>
public sealed record Complaint(string Why, bool Refuse, bool Crash = false);

/// <summary>What the device's user is asked before a release may serve.</summary>
/// <param name="Rollout">The rollout that asks.</param>
/// <param name="Attempt">Its attempt.</param>
/// <param name="Release">The release it brings.</param>
/// <param name="Text">The question in the operator's words.</param>
public sealed record Question(string Rollout, int Attempt, SemanticVersion Release, string Text);
