using System.Globalization;
using Coppice.Agent.Serving;

namespace Coppice.Agent.Updates;

/// <summary>When probation ends well and when it ends badly.</summary>
public sealed record ProbationPolicy
{
    /// <summary>How long it lasts at least.</summary>
    public TimeSpan Time { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>Runs that it lasts at least; a heartbeat counts as one.</summary>
    public long Runs { get; init; } = 1;

    /// <summary>Share of failed runs that is borne, 0 to 1, when the release before failed no more often.</summary>
    public double MaxErrorRate { get; init; } = 0.05;

    /// <summary>How many times slower than in trial, or than the release before, 95 % of the runs may be.</summary>
    public double MaxSlowdown { get; init; } = 4;

    /// <summary>Runs before shares and percentiles mean anything.</summary>
    public int MinSample { get; init; } = 20;

    /// <summary>Failed runs in a row, with none that succeeded ever, that are enough by themselves.</summary>
    public int HopelessRuns { get; init; } = 3;
}

/// <summary>What a release on probation is held against.</summary>
/// <param name="Trial">95 % of its runs in trial took at most this; null when unknown.</param>
/// <param name="Limit">What its manifest allows 95 % of the runs; null when it says nothing.</param>
/// <param name="Before">Runs of the release before; null when there was none.</param>
public sealed record ProbationReference(TimeSpan? Trial, TimeSpan? Limit, RunCounts? Before);

/// <summary>Whether a release on probation stays.</summary>
/// <param name="Outcome">Done: it stays. Failed: it is taken back. Nothing: not known yet.</param>
/// <param name="Why">In words for a person.</param>
public sealed record ProbationVerdict(Outcome Outcome, string Why)
{
    // Below this the clock and the scheduler are what is measured.
    static readonly TimeSpan Floor = TimeSpan.FromMilliseconds(2);

    /// <summary>Judges.</summary>
    /// <param name="policy">The bounds.</param>
    /// <param name="reference">What it is held against.</param>
    /// <param name="counts">Its runs since the switch.</param>
    /// <param name="elapsed">Time since the switch, by a clock that does not jump.</param>
    public static ProbationVerdict Judge(ProbationPolicy policy, ProbationReference reference, RunCounts counts, TimeSpan elapsed)
    {
        if (counts.Errors >= policy.HopelessRuns && counts.Errors == counts.Runs)
            return new(Outcome.Failed, $"all of its {counts.Runs} runs failed");
        if (counts.Runs >= policy.MinSample)
        {
            var before = reference.Before is { Runs: > 0 } runs ? runs.ErrorRate : 0;
            var most = Math.Max(policy.MaxErrorRate, 2 * before);
            if (counts.ErrorRate > most)
                return new(Outcome.Failed, string.Create(CultureInfo.InvariantCulture, $"{counts.ErrorRate:P1} of its {counts.Runs} runs failed; at most {most:P1} is allowed"));
            if (Bound(policy, reference) is { } bound && counts.LatencyP95 > bound)
                return new(Outcome.Failed, string.Create(CultureInfo.InvariantCulture, $"95 % of its runs took up to {counts.LatencyP95.TotalMilliseconds:0.##} ms; at most {bound.TotalMilliseconds:0.##} ms is allowed"));
        }

        if (elapsed < policy.Time)
            return new(Outcome.Nothing, $"on probation for another {Duration.Format(TimeSpan.FromSeconds(Math.Ceiling((policy.Time - elapsed).TotalSeconds)))}");
        return counts.Runs < policy.Runs
            ? new(Outcome.Nothing, $"on probation until it has run {policy.Runs} times; {counts.Runs} so far")
            : new(Outcome.Done, string.Create(CultureInfo.InvariantCulture, $"{counts.Runs} runs, {counts.Errors} failed, 95 % within {counts.LatencyP95.TotalMilliseconds:0.##} ms"));
    }

    /// <summary>The slowest that 95 % of the runs may be; null when there is nothing to hold them against.</summary>
    static TimeSpan? Bound(ProbationPolicy policy, ProbationReference reference)
    {
        TimeSpan? slowest = null;
        foreach (var known in (TimeSpan?[])[reference.Trial, reference.Before is { Runs: > 0 } before ? before.LatencyP95 : null])
        {
            if (known is { } latency && !(slowest > latency))
                slowest = latency;
        }

        if (slowest is null)
            return reference.Limit;
        var bound = slowest.Value * policy.MaxSlowdown;
        bound = bound < Floor ? Floor : bound;
        return reference.Limit is { } limit && limit > bound ? limit : bound;
    }
}
