namespace Coppice.Agent.Updates;

/// <summary>How long to wait after failures in a row: doubling, jittered, bounded.</summary>
public static class Backoff
{
    /// <summary>The wait.</summary>
    /// <param name="failures">Failures in a row, 1 and up.</param>
    /// <param name="first">After the first failure, before jitter.</param>
    /// <param name="most">Bound, before jitter.</param>
    /// <param name="chance">Random, from 0 to 1: the wait is between half and all of the doubled span, so that a fleet that failed together does not return together.</param>
    public static TimeSpan After(int failures, TimeSpan first, TimeSpan most, double chance)
    {
        var doublings = Math.Clamp(failures - 1, 0, 30);
        var span = Math.Min(first.TotalSeconds * Math.Pow(2, doublings), Math.Max(first.TotalSeconds, most.TotalSeconds));
        return TimeSpan.FromSeconds(span * (0.5 + 0.5 * Math.Clamp(chance, 0, 1)));
    }

    /// <summary>A span, give or take a tenth.</summary>
    /// <param name="span">The span.</param>
    /// <param name="chance">Random, from 0 to 1.</param>
    public static TimeSpan Around(TimeSpan span, double chance) => span * (0.9 + 0.2 * Math.Clamp(chance, 0, 1));
}
