using System.Numerics;

namespace Coppice.Agent.Serving;

/// <summary>Counts runs, failed ones and how long they took, from many threads without a lock or an allocation.</summary>
/// <remarks>Each processor counts in its own stripe; a reading adds the stripes and may miss runs that end while it reads.</remarks>
public sealed class RunMeter
{
    // Four buckets to a doubling, from 1 µs: the last begins at 2^30 µs, about 18 minutes.
    const int PerDoubling = 4;
    const int Buckets = 31 * PerDoubling;
    const int Width = 16 + Buckets + 16; // a cache line of padding on both sides
    const int Errors = 15;

    readonly long[] counts;
    readonly int mask;

    /// <summary>A meter at zero.</summary>
    public RunMeter()
    {
        var stripes = (int)BitOperations.RoundUpToPowerOf2((uint)Math.Min(Environment.ProcessorCount, 64));
        counts = new long[stripes * Width];
        mask = stripes - 1;
    }

    /// <summary>Counts a run.</summary>
    /// <param name="took">How long it took.</param>
    /// <param name="failed">Whether it failed.</param>
    public void Count(TimeSpan took, bool failed)
    {
        var stripe = (Thread.GetCurrentProcessorId() & mask) * Width;
        Interlocked.Increment(ref counts[stripe + 16 + BucketOf(took)]);
        if (failed)
            Interlocked.Increment(ref counts[stripe + Errors]);
    }

    /// <summary>The counts now.</summary>
    public RunCounts Read()
    {
        var errors = 0L;
        Span<long> buckets = stackalloc long[Buckets];
        for (var stripe = 0; stripe < counts.Length; stripe += Width)
        {
            errors += Volatile.Read(ref counts[stripe + Errors]);
            for (var i = 0; i < Buckets; i++)
                buckets[i] += Volatile.Read(ref counts[stripe + 16 + i]);
        }

        var runs = 0L;
        foreach (var count in buckets)
            runs += count;
        return new(runs, Math.Min(errors, runs), Percentile(buckets, runs, 0.95));
    }

    static TimeSpan Percentile(ReadOnlySpan<long> buckets, long runs, double share)
    {
        var wanted = (long)Math.Ceiling(share * runs);
        var seen = 0L;
        for (var i = 0; i < buckets.Length && runs > 0; i++)
        {
            seen += buckets[i];
            if (seen >= wanted)
                return UpperEdge(i);
        }

        return TimeSpan.Zero;
    }

    static int BucketOf(TimeSpan took)
    {
        var microseconds = Math.Max(1, took.Ticks / TimeSpan.TicksPerMicrosecond);
        var doubling = BitOperations.Log2((ulong)microseconds);
        var quarter = doubling < 2 ? 0 : (int)((microseconds >> (doubling - 2)) & (PerDoubling - 1));
        return Math.Min(doubling * PerDoubling + quarter, Buckets - 1);
    }

    static TimeSpan UpperEdge(int bucket)
    {
        var (doubling, quarter) = Math.DivRem(bucket, PerDoubling);
        return TimeSpan.FromMicroseconds(Math.ScaleB(1 + (quarter + 1) / (double)PerDoubling, doubling));
    }
}

/// <summary>Runs of a release.</summary>
/// <param name="Runs">All of them.</param>
/// <param name="Errors">Those that failed.</param>
/// <param name="LatencyP95">95 % took at most this, to within a quarter.</param>
public sealed record RunCounts(long Runs, long Errors, TimeSpan LatencyP95)
{
    /// <summary>Share of runs that failed, 0 to 1.</summary>
    public double ErrorRate => Runs == 0 ? 0 : Errors / (double)Runs;
}
