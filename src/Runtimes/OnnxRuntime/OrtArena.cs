using System.Globalization;
using System.Runtime.InteropServices;

namespace Coppice.Runtimes.OnnxRuntime;

/// <summary>What a session's arena did so far.</summary>
/// <param name="InUseBytes">Taken by tensors and packed weights now.</param>
/// <param name="MaxInUseBytes">The most that was taken at once.</param>
/// <param name="TotalBytes">Held from the system now.</param>
/// <param name="LimitBytes">The most that may be held; -1 for no bound.</param>
/// <param name="Allocations">Blocks given out since the session began.</param>
/// <param name="LargestBytes">The largest block given out.</param>
/// <param name="Extensions">Times the arena went to the system for more.</param>
/// <param name="Shrinkages">Times it gave memory back.</param>
public readonly record struct ArenaStatistics(
    long InUseBytes, long MaxInUseBytes, long TotalBytes, long LimitBytes, long Allocations, long LargestBytes, long Extensions, long Shrinkages);

/// <summary>Arenas: a bound for one session's, and what an arena counts.</summary>
static unsafe class OrtArena
{
    static readonly Lock Registering = new();

    /// <summary>Loads a session whose arena is its own and never takes more than a number of bytes.</summary>
    /// <remarks>
    /// ONNX Runtime bounds only arenas that are registered with the environment, for all sessions that ask for them. A session takes
    /// its share of the arena when it is created, so registering one, creating the session and unregistering it gives each session its own.
    /// Weights that are packed while loading pass the bound by; the caller compares them afterwards.
    /// </remarks>
    public static T Bounded<T>(long bytes, Func<T> load)
    {
        using var maximum = OrtText.Of("max_mem");
        using var strategy = OrtText.Of("arena_extend_strategy");
        var keys = stackalloc byte*[] { maximum.Pointer, strategy.Pointer };
        // As requested: doubling would run into the bound long before the tensors do.
        var values = stackalloc nuint[] { (nuint)bytes, 1 };
        nint arena;
        OrtStatus.Check(Ort.CreateArenaCfgV2(keys, values, 2, &arena), OrtStep.Start, "memory limit");
        try
        {
            lock (Registering)
            {
                OrtStatus.Check(Ort.CreateAndRegisterAllocator(OrtEnvironment.Handle, OrtEnvironment.CpuMemory, arena), OrtStep.Start, "memory limit");
                try
                {
                    return load();
                }
                finally
                {
                    OrtStatus.Check(Ort.UnregisterAllocator(OrtEnvironment.Handle, OrtEnvironment.CpuMemory), OrtStep.Start, "memory limit");
                }
            }
        }
        finally
        {
            Ort.ReleaseArenaCfg(arena);
        }
    }

    /// <summary>What the arena of a session counts; all zero when it has none.</summary>
    public static ArenaStatistics Read(nint session, string subject)
    {
        nint allocator, pairs;
        OrtStatus.Check(Ort.CreateAllocator(session, OrtEnvironment.CpuMemory, &allocator), OrtStep.Describe, subject);
        try
        {
            OrtStatus.Check(Ort.AllocatorGetStats(allocator, &pairs), OrtStep.Describe, subject);
        }
        finally
        {
            Ort.ReleaseAllocator(allocator);
        }

        var statistics = default(ArenaStatistics);
        byte** keys, values;
        nuint count;
        Ort.GetKeyValuePairs(pairs, &keys, &values, &count);
        for (nuint i = 0; i < count; i++)
        {
            if (!long.TryParse(Marshal.PtrToStringUTF8((nint)values[i]), CultureInfo.InvariantCulture, out var value))
                continue;
            statistics = Marshal.PtrToStringUTF8((nint)keys[i]) switch
            {
                "InUse" => statistics with { InUseBytes = value },
                "MaxInUse" => statistics with { MaxInUseBytes = value },
                "TotalAllocated" => statistics with { TotalBytes = value },
                "Limit" => statistics with { LimitBytes = value },
                "NumAllocs" => statistics with { Allocations = value },
                "MaxAllocSize" => statistics with { LargestBytes = value },
                "NumArenaExtensions" => statistics with { Extensions = value },
                "NumArenaShrinkages" => statistics with { Shrinkages = value },
                _ => statistics,
            };
        }
        Ort.ReleaseKeyValuePairs(pairs);
        return statistics;
    }
}
