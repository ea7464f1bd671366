using System.Collections.Immutable;
using Coppice.Protocol;
using Coppice.Rollouts;
using Coppice.Server.Storage;
using Microsoft.EntityFrameworkCore;

namespace Coppice.Server.Rollouts;

/// <summary>What the devices of a rollout have said so far.</summary>
/// <param name="Counts">Each device once, by its latest report; failures of earlier attempts are forgiven.</param>
/// <param name="SettledInPhase">Those of the settled that settled in the present phase.</param>
/// <param name="Unfit">No variant fits them.</param>
/// <param name="BytesFetched">By all of them.</param>
/// <param name="BytesTotal">Of the files that all of them now have.</param>
sealed record RolloutStanding(RolloutCounts Counts, int SettledInPhase, int Unfit, long BytesFetched, long BytesTotal)
{
    /// <summary>By all of them, by the way they came.</summary>
    public ImmutableSortedDictionary<string, long> BytesByWay { get; init; } = ImmutableSortedDictionary<string, long>.Empty;

    /// <summary>Counts in the database.</summary>
    public static async Task<RolloutStanding> ReadAsync(CoppiceDb db, RolloutRow rollout, CancellationToken cancel)
    {
        var groups = await db.RolloutDevices
            .Where(row => row.Rollout == rollout.Number && (row.Attempt == rollout.Attempt || (row.Kind != ReportKind.Refused && row.Kind != ReportKind.TakenBack)))
            .GroupBy(row => new { row.Kind, InPhase = row.Phase == rollout.Phase })
            .Select(group => new
            {
                group.Key.Kind,
                group.Key.InPhase,
                Count = group.Count(),
                Fetched = group.Sum(row => row.BytesFetched) ?? 0,
                Total = group.Sum(row => row.BytesTotal) ?? 0,
            })
            .ToListAsync(cancel);
        int Of(ReportKind kind) => groups.Where(group => group.Kind == kind).Sum(group => group.Count);
        return new(
            new(Of(ReportKind.Settled), Of(ReportKind.Started) + Of(ReportKind.Switched), Of(ReportKind.Refused), Of(ReportKind.TakenBack)),
            groups.Where(group => group.Kind == ReportKind.Settled && group.InPhase).Sum(group => group.Count),
            Of(ReportKind.Unfit), groups.Sum(group => group.Fetched), groups.Sum(group => group.Total))
        {
            BytesByWay = await RolloutBytesRow.OfRolloutAsync(db, rollout.Number, cancel),
        };
    }

    /// <summary>The verdict on the present phase, from the devices that settled in it: those of the phases before say nothing about this one.</summary>
    /// <param name="rollout">The rollout that was counted.</param>
    /// <param name="now">The time.</param>
    /// <param name="addsNobody">Whether the present phase reaches no device that the one before did not: then those before are all there is to go by.</param>
    public PhaseVerdict Judge(RolloutRow rollout, DateTimeOffset now, bool addsNobody = false) => PhaseVerdict.Judge(
        rollout.ToRollout(), rollout.Policy(), addsNobody ? Counts : Counts with { Settled = SettledInPhase }, now - rollout.PhaseSince);
}
