using System.Collections.Immutable;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Server.Storage;
using Microsoft.EntityFrameworkCore;

namespace Coppice.Server.Rollouts;

/// <summary>Bytes that a device of a rollout had by one way.</summary>
sealed class RolloutBytesRow
{
    public required long Rollout { get; set; }
    public required string Device { get; set; }
    public required string Way { get; set; }
    public long Bytes { get; set; }

    /// <summary>Takes a report in place of what the device said before.</summary>
    public static async Task TakeAsync(CoppiceDb db, long rollout, Report report, string device, CancellationToken cancel)
    {
        if (report.BytesByWay is not { } ways)
            return;
        foreach (var (way, bytes) in ways)
        {
            if (await db.RolloutBytes.FindAsync([rollout, device, way], cancel) is { } row)
                row.Bytes = bytes;
            else
                db.RolloutBytes.Add(new() { Rollout = rollout, Device = device, Way = way, Bytes = bytes });
        }

        // Another attempt may have come by other ways.
        db.RolloutBytes.RemoveRange(await db.RolloutBytes.Where(row => row.Rollout == rollout && row.Device == device && !ways.Keys.Contains(row.Way)).ToListAsync(cancel));
    }

    /// <summary>Bytes by way over all devices of a rollout.</summary>
    public static Task<ImmutableSortedDictionary<string, long>> OfRolloutAsync(CoppiceDb db, long rollout, CancellationToken cancel) =>
        SumAsync(db.RolloutBytes.Where(row => row.Rollout == rollout), cancel);

    /// <summary>Bytes by way over all rollouts of a release.</summary>
    public static Task<ImmutableSortedDictionary<string, long>> OfReleaseAsync(CoppiceDb db, ModelName model, SemanticVersion release, CancellationToken cancel) =>
        SumAsync(db.RolloutBytes.Where(row => db.Rollouts.Any(rollout => rollout.Number == row.Rollout && rollout.Model == model && rollout.Release == release)), cancel);

    static async Task<ImmutableSortedDictionary<string, long>> SumAsync(IQueryable<RolloutBytesRow> rows, CancellationToken cancel) =>
        (await rows.GroupBy(row => row.Way).Select(group => new { Way = group.Key, Bytes = group.Sum(row => row.Bytes) }).ToListAsync(cancel))
            .ToImmutableSortedDictionary(row => row.Way, row => row.Bytes, StringComparer.Ordinal);
}
