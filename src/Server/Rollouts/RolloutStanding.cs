using System.Collections.Immutable;
using Coppice.Numerics;
using Coppice.Protocol;
using Coppice.Rollouts;
using Coppice.Server.Storage;
using Microsoft.EntityFrameworkCore;

namespace Coppice.Server.Rollouts;

/// <summary>What the devices of a rollout have said so far.</summary>
/// <param name="Counts">Each device once, by its latest report; failures of earlier attempts are forgiven.</param>
/// <param name="InPhase">Those that came to what they say in the present phase.</param>
/// <param name="Unfit">No variant fits them.</param>
/// <param name="BytesFetched">By all of them.</param>
/// <param name="BytesTotal">Of the files that all of them now have.</param>
sealed record RolloutStanding(RolloutCounts Counts, RolloutCounts InPhase, int Unfit, long BytesFetched, long BytesTotal)
{
    /// <summary>Figures of the present phase's metric gates.</summary>
    public ImmutableArray<GateFigures> Figures { get; init; } = [];

    /// <summary>What was said from outside in the present phase.</summary>
    public ImmutableArray<CheckResult> Checks { get; init; } = [];

    /// <summary>An experiment's arms.</summary>
    public ImmutableArray<ArmFigures> Arms { get; init; } = [];

    /// <summary>For the gates, of each arm that brings a release: what was said in the present phase, and counts of all phases.</summary>
    public ImmutableArray<(ArmEvidence InPhase, RolloutCounts Counts)> ByArm { get; init; } = [];

    /// <summary>By all of them, by the way they came.</summary>
    public ImmutableSortedDictionary<string, long> BytesByWay { get; init; } = ImmutableSortedDictionary<string, long>.Empty;

    /// <summary>Counts in the database.</summary>
    public static async Task<RolloutStanding> ReadAsync(CoppiceDb db, RolloutRow rollout, DateTimeOffset now, CancellationToken cancel)
    {
        var limit = now - rollout.Terms().DeadlineOrDefault;
        var groups = await db.RolloutDevices
            .Where(row => row.Rollout == rollout.Number && (row.Attempt == rollout.Attempt || (row.Kind != ReportKind.Refused && row.Kind != ReportKind.TakenBack)))
            .GroupBy(row => new { row.Kind, InPhase = row.Phase == rollout.Phase, Late = row.Since < limit, row.Crashed, row.Arm })
            .Select(group => new
            {
                group.Key.Kind,
                group.Key.InPhase,
                group.Key.Late,
                group.Key.Crashed,
                group.Key.Arm,
                Count = group.Count(),
                Fetched = group.Sum(row => row.BytesFetched) ?? 0,
                Total = group.Sum(row => row.BytesTotal) ?? 0,
            })
            .ToListAsync(cancel);
        RolloutCounts Count(bool all, string? arm = null)
        {
            int Of(Func<ReportKind, bool> kind, bool? late = null, bool crashed = false) =>
                groups.Where(group => (all || group.InPhase) && (arm is null || group.Arm == arm) && kind(group.Kind) && (late is null || group.Late == late) && (!crashed || group.Crashed)).Sum(group => group.Count);
            static bool Underway(ReportKind kind) => kind is ReportKind.Started or ReportKind.Switched;
            return new(Of(kind => kind == ReportKind.Settled), Of(Underway, late: false), Of(kind => kind == ReportKind.Refused), Of(kind => kind == ReportKind.TakenBack))
            {
                Silent = Of(Underway, late: true),
                Crashed = Of(kind => kind is ReportKind.Refused or ReportKind.TakenBack, crashed: true),
            };
        }

        var gates = rollout.GateList();
        var figures = gates.Any(gate => gate.Kind == GateKind.Metric) ? await GateFiguresAsync(db, rollout, cancel) : [];
        return new(Count(all: true), Count(all: false), groups.Where(group => group.Kind == ReportKind.Unfit).Sum(group => group.Count), groups.Sum(group => group.Fetched), groups.Sum(group => group.Total))
        {
            Figures = FiguresOf(gates, figures, arm: null),
            Checks = [.. (await db.RolloutChecks.Where(row => row.Rollout == rollout.Number && row.Attempt == rollout.Attempt && row.Phase == rollout.Phase).OrderBy(row => row.Name).ToListAsync(cancel))
                .Select(row => new CheckResult(row.Name, row.Good, row.Why))],
            Arms = await ArmsAsync(db, rollout, cancel),
            ByArm = [.. (rollout.ArmList() ?? []).Where(arm => arm.Runs is not null).Select(arm => (
                new ArmEvidence(arm.Name, Count(all: false, arm.Name)) { Shadow = arm.Shadow is null ? null : true, Figures = FiguresOf(gates, figures, arm.Name) },
                Count(all: true, arm.Name)))],
            BytesByWay = await RolloutBytesRow.OfRolloutAsync(db, rollout.Number, cancel),
        };
    }

    /// <summary>All that a verdict on the present phase rests on: devices of the phases before say nothing about this one.</summary>
    /// <param name="rollout">The rollout that was counted.</param>
    /// <param name="now">The time.</param>
    /// <param name="addsNobody">Whether the present phase reaches no device that the one before did not: then those before are all there is to go by.</param>
    public PhaseEvidence Evidence(RolloutRow rollout, DateTimeOffset now, bool addsNobody = false)
    {
        var terms = rollout.Terms();
        var phases = rollout.PhaseList();
        var undecided = rollout.State == RolloutState.Running ? now - rollout.UndecidedSince : null;
        return new(rollout.State, rollout.Phase, phases.Length, now - rollout.PhaseSince, rollout.Policy(), new(Counts.Refused, Counts.TakenBack), addsNobody ? Counts : InPhase)
        {
            Soak = phases[rollout.Phase].Soak,
            Confidence = terms.ConfidenceOrDefault,
            Deadline = terms.DeadlineOrDefault,
            Gates = rollout.GateList(),
            Figures = Figures,
            Checks = Checks,
            Absent = undecided is null ? null : 0, // nobody was left when that was found out; who has joined since is heard of when it begins
            Undecided = undecided,
            Experiment = rollout.Arms is null ? null : terms.Experiment,
            Arms = Arms,
            ByArm = [.. ByArm.Select(arm => addsNobody ? arm.InPhase with { Counts = arm.Counts } : arm.InPhase)],
        };
    }

    /// <summary>Sums of the present phase's metric gates by arm, and of the control that they are held against.</summary>
    static async Task<List<(string Name, string? Arm, Moments Sums)>> GateFiguresAsync(CoppiceDb db, RolloutRow rollout, CancellationToken cancel) =>
        await SumsAsync(db.RolloutFigures.Where(row => row.Rollout == rollout.Number && ((row.Attempt == rollout.Attempt && row.Phase == rollout.Phase) || row.Arm == RolloutFigures.ControlArm)), cancel);

    /// <summary>Figures of each metric gate, of an arm or of all devices.</summary>
    static ImmutableArray<GateFigures> FiguresOf(ImmutableArray<Gate> gates, List<(string Name, string? Arm, Moments Sums)> figures, string? arm)
    {
        Moments Of(Gate gate, Func<string?, bool> of) => figures.Where(figure => figure.Name == gate.Name() && of(figure.Arm)).Aggregate(default(Moments), (all, figure) => all.Merge(figure.Sums));
        return [.. gates.Where(gate => gate.Kind == GateKind.Metric).Select(gate => new GateFigures(
            gate.Name(), Of(gate, of => of != Rollouts.RolloutFigures.ControlArm && (arm is null || of == arm)), Of(gate, of => of == Rollouts.RolloutFigures.ControlArm)))];
    }

    static async Task<List<(string Name, string? Arm, Moments Sums)>> SumsAsync(IQueryable<RolloutFigureRow> rows, CancellationToken cancel) =>
        [.. (await rows.GroupBy(row => new { row.Name, row.Arm }).Select(group => new { group.Key.Name, group.Key.Arm, Count = group.Count(), Sum = group.Sum(row => row.Value), Squares = group.Sum(row => row.Value * row.Value) }).ToListAsync(cancel))
            .Select(group => (group.Name, group.Arm, Moments.Of(group.Count, group.Sum, group.Squares)))];

    static async Task<ImmutableArray<ArmFigures>> ArmsAsync(CoppiceDb db, RolloutRow rollout, CancellationToken cancel)
    {
        if (rollout.ArmList() is not { } arms || rollout.Terms().Experiment is not { } terms)
            return [];
        var counts = await db.RolloutDevices.Where(row => row.Rollout == rollout.Number && row.Attempt == rollout.Attempt && row.Arm != null)
            .GroupBy(row => row.Arm).Select(group => new
            {
                Arm = group.Key!,
                Count = group.Count(),
                Failed = group.Count(row => row.Kind == ReportKind.Refused || row.Kind == ReportKind.TakenBack),
                Settled = group.Count(row => row.Kind == ReportKind.Settled),
            }).ToListAsync(cancel);
        var serving = Rollouts.RolloutFigures.OfServing(terms.Metric);
        var sums = await SumsAsync(db.RolloutFigures.Where(row => row.Rollout == rollout.Number && row.Attempt == rollout.Attempt && (row.Name == terms.Metric || row.Name == serving)), cancel);
        var figures = ImmutableArray.CreateBuilder<ArmFigures>();
        foreach (var arm in arms)
        {
            // A control that keeps what it has reports nothing; what shadows measured of that on their own devices stands for it.
            var keeps = arm.Runs is null;
            var count = counts.FirstOrDefault(known => known.Arm == arm.Name);
            var (settled, failed) = (count?.Settled ?? 0, count?.Failed ?? 0);
            var moments = terms.Metric == ReportFigures.Settled
                ? Moments.Of(settled + failed, settled, settled)
                : sums.FirstOrDefault(known => known.Arm == arm.Name && known.Name == (keeps ? serving : terms.Metric)).Sums;
            figures.Add(new(arm.Name, arm.Weight, count?.Count ?? 0, failed, moments) { Shadow = arm.Shadow is null ? null : true, Keeps = keeps ? true : null });
        }

        return figures.ToImmutable();
    }
}
