using System.Collections.Immutable;

namespace Coppice.Rollouts.Rehearsals;

/// <summary>How a rehearsal went.</summary>
/// <param name="Phases">The phases that began.</param>
/// <param name="State">How the rollout ended.</param>
/// <param name="Stop">Why it was stopped; null when it was not.</param>
/// <param name="Settled">Devices that keep the release.</param>
/// <param name="Failed">Devices that refused it or took it back.</param>
/// <param name="Silent">Devices that began and were not heard of.</param>
/// <param name="Underway">Devices that are under way at the end.</param>
/// <param name="Back">Devices that went back after a revert.</param>
/// <param name="Bytes">Fetched by all of them.</param>
/// <param name="PeakRequests">Most requests a second at the origin, over a minute.</param>
/// <param name="PeakBytes">Most bytes a second from the origin, over a minute.</param>
/// <param name="SettledByHour">Devices that keep the release, at the end of each hour.</param>
/// <param name="FailedByHour">Devices on which it failed.</param>
/// <param name="RequestsByHour">Requests a second, averaged.</param>
/// <param name="BytesByHour">Bytes in each hour.</param>
public sealed record RehearsalResult(
    ImmutableArray<RehearsedPhase> Phases, RolloutState State, RehearsedStop? Stop, long Settled, long Failed, long Silent, long Underway, long Back, long Bytes, double PeakRequests, double PeakBytes,
    ImmutableArray<long> SettledByHour, ImmutableArray<long> FailedByHour, ImmutableArray<double> RequestsByHour, ImmutableArray<double> BytesByHour)
{
    /// <summary>Where it waits for an operator at the end, because nothing that is still to come would tell; null when it does not.</summary>
    public RehearsedDoubt? Undecided { get; init; }
}

/// <summary>A phase that cannot be told by itself.</summary>
/// <param name="Phase">Which, from 0.</param>
/// <param name="At">Seconds from the beginning at which that was known.</param>
/// <param name="Why">The verdict.</param>
public sealed record RehearsedDoubt(int Phase, int At, string Why);

/// <summary>A phase of a rehearsal.</summary>
/// <param name="Index">From 0.</param>
/// <param name="Share">Its share.</param>
/// <param name="StartedAt">Seconds from the beginning.</param>
/// <param name="EndedAt">Seconds from the beginning; null when it had not ended.</param>
/// <param name="Reached">Devices that the phases so far reach.</param>
/// <param name="Settled">Devices that kept the release when it ended.</param>
/// <param name="Failed">Devices on which it had failed by then.</param>
public sealed record RehearsedPhase(int Index, double Share, int StartedAt, int? EndedAt, long Reached, long Settled, long Failed);

/// <summary>The end of a rollout before its time.</summary>
/// <param name="Action">Held or reverted.</param>
/// <param name="At">Seconds from the beginning.</param>
/// <param name="Why">The verdict.</param>
/// <param name="Phase">The phase it was in.</param>
/// <param name="Share">The share it had reached.</param>
/// <param name="Devices">Devices that had begun by then.</param>
public sealed record RehearsedStop(PhaseAction Action, int At, string Why, int Phase, double Share, long Devices);

/// <summary>How often a release of some badness is caught.</summary>
/// <param name="Name">The badness in words.</param>
/// <param name="Runs">Rehearsals, each with a seed of its own.</param>
/// <param name="Caught">Of these, in which it was stopped.</param>
/// <param name="MedianShare">The share that the middle of those had reached; null when none was caught.</param>
/// <param name="MedianDevices">The devices that had begun by then.</param>
/// <param name="MedianAt">Seconds from the beginning.</param>
public sealed record CatchRate(string Name, int Runs, int Caught, double? MedianShare, long? MedianDevices, int? MedianAt)
{
    /// <summary>Of the results of many rehearsals.</summary>
    public static CatchRate Of(string name, IReadOnlyCollection<RehearsalResult> results)
    {
        var stops = results.Select(result => result.Stop).OfType<RehearsedStop>().ToList();
        T? Middle<T>(Func<RehearsedStop, T> of)
            where T : struct => stops.Count == 0 ? null : stops.Select(of).Order().ElementAt(stops.Count / 2);
        return new(name, results.Count, stops.Count, Middle(stop => stop.Share), Middle(stop => stop.Devices), Middle(stop => stop.At));
    }
}
