using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Rollouts;
using Coppice.Server.Events;
using Coppice.Server.Storage;
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
    public int MaxFailures { get; set; }
    public PhaseAction OnFailure { get; set; }
    public required DateTimeOffset StartedAt { get; set; }
    public required string StartedBy { get; set; }
    public required DateTimeOffset PhaseSince { get; set; }
    public required string Why { get; set; }

    /// <summary>As devices and people name it.</summary>
    public string Id => string.Create(CultureInfo.InvariantCulture, $"r-{Number}");

    public RolloutPolicy Policy() => new(MaxFailures, OnFailure);

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
        MaxFailures = wanted.Policy.MaxFailures,
        OnFailure = wanted.Policy.OnFailure,
        StartedAt = now,
        StartedBy = by,
        PhaseSince = now,
        Why = wanted.Why,
    };

    /// <summary>As it stands in the plan.</summary>
    public Rollout ToRollout() => new(Id, Release, Digest, Salt, Selector, PhaseList(), Phase, State, Attempt)
    {
        Windows = JsonSerializer.Deserialize(Windows, ControlContext.Default.ImmutableArrayMaintenanceWindow),
    };

    public void Become(RolloutState state, string why) => (State, Why) = (state, why);

    public EventRow Event(EventKind kind, string by, DateTimeOffset now) => new() { At = now, Kind = kind, By = by, Why = Why, Model = Model, Release = Release, Rollout = Id };

    public RolloutView View(RolloutStanding standing, DateTimeOffset now)
    {
        var rollout = ToRollout();
        return new(
            Id, Model, Release, Selector, rollout.Phases, Phase, State, Attempt, Policy(), StartedAt, StartedBy, PhaseSince, standing.Counts, standing.Unfit,
            standing.BytesFetched, standing.BytesTotal, Why, standing.Judge(this, now).Why)
        {
            Windows = rollout.Windows,
            BytesByWay = standing.BytesByWay,
        };
    }
}

/// <summary>A device's last word on a rollout.</summary>
sealed class RolloutDeviceRow
{
    public required long Rollout { get; set; }
    public required string Device { get; set; }
    public long Sequence { get; set; }
    public int Attempt { get; set; }

    /// <summary>The phase in which the device came to what it says.</summary>
    public int Phase { get; set; }
    public ReportKind Kind { get; set; }
    public DateTimeOffset At { get; set; }
    public string? Variant { get; set; }
    public string? Why { get; set; }
    public long? BytesFetched { get; set; }
    public long? BytesTotal { get; set; }
    public string? Measures { get; set; }

    /// <summary>Takes a report into account, unless a later one was.</summary>
    public void Take(Report report, int phase)
    {
        if (report.Sequence <= Sequence)
            return;
        if (Sequence == 0 || Kind != report.Kind || Attempt != report.Attempt)
            Phase = phase;
        (Sequence, Attempt, Kind, At, Why) = (report.Sequence, report.Attempt, report.Kind, report.At, report.Why);
        (Variant, BytesFetched, BytesTotal) = (report.Variant ?? Variant, report.BytesFetched ?? BytesFetched, report.BytesTotal ?? BytesTotal);
        Measures = StoredText.Of(report.Measures) ?? Measures;
    }

    public RolloutDevice View() => new(Device, Kind, Attempt, At)
    {
        Variant = Variant,
        Why = Why,
        BytesFetched = BytesFetched,
        BytesTotal = BytesTotal,
        Measures = StoredText.Figures(Measures),
    };
}
