using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Rollouts;
using Coppice.Server.Events;
using Coppice.Trust;

namespace Coppice.Server.Rollouts;

sealed class RolloutRow
{
    public long Number { get; set; }
    public required ModelName Model { get; set; }
    public required SemanticVersion Release { get; set; }
    public required Sha256Digest Digest { get; set; }
    public required string Salt { get; set; }
    public required string Selector { get; set; }
    public required string Phases { get; set; }
    public required string Windows { get; set; }
    public int Phase { get; set; }
    public RolloutState State { get; set; }
    public int Attempt { get; set; } = 1;

    /// <summary>Below 0 when the gates alone decide.</summary>
    public int MaxFailures { get; set; }
    public PhaseAction OnFailure { get; set; }
    public required DateTimeOffset StartedAt { get; set; }
    public required string StartedBy { get; set; }
    public required DateTimeOffset PhaseSince { get; set; }
    public required string Why { get; set; }

    /// <summary>Since when it is known that the present phase cannot be told by itself; null when that was not said.</summary>
    public DateTimeOffset? UndecidedSince { get; set; }

    /// <summary>The request that started it, as JSON; null for one that an older version started.</summary>
    public string? Ordered { get; set; }

    /// <summary>An experiment's arms as devices read them, as JSON; null where there are none.</summary>
    public string? Arms { get; set; }

    /// <summary>Releases of other models that it brings with its own, as JSON; null for its own alone.</summary>
    public string? Members { get; set; }

    StartRollout? ordered;

    /// <summary>As devices and people name it.</summary>
    public string Id => string.Create(CultureInfo.InvariantCulture, $"r-{Number}");

    public RolloutPolicy Policy() => Ordered is null ? new(MaxFailures < 0 ? null : MaxFailures, OnFailure) : Terms().Policy;

    /// <summary>What was ordered at its start.</summary>
    public StartRollout Terms() => ordered ??= Ordered is null
        ? new(Model, Release, PhaseList()) { Selector = Selector, Policy = new(MaxFailures < 0 ? null : MaxFailures, OnFailure) }
        : JsonSerializer.Deserialize(Ordered, ControlContext.Default.StartRollout)!;

    /// <summary>The gates of the present phase; those of shadows as long as there are any.</summary>
    public ImmutableArray<Gate> GateList()
    {
        var gates = PhaseList()[Phase].Gates ?? Terms().Gates;
        return Arms is null && Terms().Experiment is not null ? [.. gates.Where(gate => !gate.IsOfShadows)] : gates;
    }

    public ImmutableArray<Arm>? ArmList() => Arms is null ? null : JsonSerializer.Deserialize(Arms, ControlContext.Default.ImmutableArrayArm);

    public ImmutableArray<SetMember>? MemberList() => Members is null ? null : JsonSerializer.Deserialize(Members, ControlContext.Default.ImmutableArraySetMember);

    /// <summary>Every model that it brings a release of.</summary>
    public IEnumerable<ModelName> Models() => (MemberList() ?? []).Select(member => member.Model).Prepend(Model);

    /// <summary>A model's name as it stands in <see cref="Members"/> of rollouts that bring it with their own.</summary>
    public static string Quoted(ModelName model) => $"\"{model}\"";

    public ImmutableArray<Phase> PhaseList() => JsonSerializer.Deserialize(Phases, ControlContext.Default.ImmutableArrayPhase);

    /// <summary>The number in an id; null when it is none of this server's.</summary>
    public static long? TryNumber(string? id) =>
        id is ['r', '-', .. var digits] && long.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : null;

    public static RolloutRow Of(StartRollout wanted, SemanticVersion release, Sha256Digest manifest, string salt, string by, DateTimeOffset now) => new()
    {
        Model = wanted.Model,
        Release = release,
        Digest = manifest,
        Salt = salt,
        Selector = wanted.Selector,
        Phases = JsonSerializer.Serialize(wanted.Phases, ControlContext.Default.ImmutableArrayPhase),
        Windows = JsonSerializer.Serialize(wanted.Windows, ControlContext.Default.ImmutableArrayMaintenanceWindow),
        State = RolloutState.Running,
        MaxFailures = wanted.Policy.MaxFailures ?? -1,
        OnFailure = wanted.Policy.OnFailure,
        StartedAt = now,
        StartedBy = by,
        PhaseSince = wanted.StartsAt > now ? wanted.StartsAt.Value : now,
        Why = wanted.Why,
        // Defaults are those of the version that started it.
        Ordered = JsonSerializer.Serialize(wanted with { Confidence = wanted.ConfidenceOrDefault, Deadline = wanted.DeadlineOrDefault }, ControlContext.Default.StartRollout),
    };

    /// <summary>As it stands in the plan; gates are the server's affair.</summary>
    public Rollout ToRollout()
    {
        var terms = Terms();
        return new(Id, Release, Digest, Salt, Selector, [.. PhaseList().Select(phase => phase with { Gates = null })], Phase, State, Attempt)
        {
            Windows = JsonSerializer.Deserialize(Windows, ControlContext.Default.ImmutableArrayMaintenanceWindow),
            StartsAt = terms.StartsAt,
            Since = terms.Spread is null ? null : PhaseSince,
            Spread = terms.Spread,
            FetchEarly = terms.FetchEarly ? true : null,
            Consent = terms.Consent,
            ForcedFrom = terms.ForcedFrom,
            Requires = terms.Requires.IsEmpty ? null : terms.Requires,
            Arms = ArmList(),
            With = MemberList(),
        };
    }

    /// <summary>As it stands in a model's plan: in its own, or as a member of its set.</summary>
    public Rollout ToRollout(ModelName model) => model == Model ? ToRollout() : SetForm.Pointer(Id, Model, MemberList()!.Value.First(member => member.Model == model));

    /// <summary>Whether it brings a release to anybody, be it as a shadow.</summary>
    public bool Brings(SemanticVersion release) => Release == release || ArmList() is { } arms && arms.Any(arm => arm.Runs == release);

    /// <summary>Ends the experiment: one arm's release is what the rollout brings from now on, in the phase it is in; the control's ends it where it began.</summary>
    public void Promote(string arm, string why, DateTimeOffset now)
    {
        var chosen = ArmList()!.Value.First(known => known.Name == arm);
        Arms = null;
        BeginPhase(now);
        if (chosen is { Release: { } release, Manifest: { } manifest })
            (Release, Digest, Why) = (release, manifest, why);
        else if (chosen.Shadow is { } shadow)
            (Release, Digest, Why) = (shadow.Release, shadow.Manifest, why);
        else
            Become(RolloutState.Reverted, why);
    }

    public void Become(RolloutState state, string why) => (State, Why, UndecidedSince) = (state, why, null);

    /// <summary>What the present phase waits for is counted from now.</summary>
    public void BeginPhase(DateTimeOffset now) => (PhaseSince, UndecidedSince) = (now, null);

    public EventRow Event(EventKind kind, string by, DateTimeOffset now) => new() { At = now, Kind = kind, By = by, Why = Why, Model = Model, Release = Release, Rollout = Id };

    /// <summary>Another after each order and each decision.</summary>
    public string Revision() => Preconditions.Revision.Of(State.ToString(), Phase.ToString(CultureInfo.InvariantCulture), Attempt.ToString(CultureInfo.InvariantCulture), Preconditions.Revision.At(PhaseSince), Why);

    public RolloutView View(RolloutStanding standing, DateTimeOffset now)
    {
        var rollout = ToRollout();
        var verdict = PhaseVerdict.Judge(standing.Evidence(this, now));
        return new(
            Id, Model, Release, Selector, PhaseList(), Phase, State, Attempt, Policy(), StartedAt, StartedBy, PhaseSince, standing.Counts, standing.Unfit,
            standing.BytesFetched, standing.BytesTotal, Why, verdict.Why)
        {
            Revision = Revision(),
            Windows = rollout.Windows,
            Ordered = Ordered is null ? null : Terms(),
            With = rollout.With,
            Gates = verdict.Gates,
            UndecidedSince = verdict.IsUndecided ? UndecidedSince : null,
            Experiment = verdict.Compared,
            BytesByWay = standing.BytesByWay,
        };
    }
}
