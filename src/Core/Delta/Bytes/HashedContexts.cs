using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Coppice.Delta.Bytes;

/// <summary>Bit statistics of sparse contexts in a table of fixed size: a bucket of 15 tree nodes per context and nibble.</summary>
/// <remarks>
/// A slot keeps a probability in 12 bits and a count in 4. What a slot in such a state was followed by is learnt
/// besides, per context: a context seen once predicts differently in text and in weights.
/// </remarks>
sealed class HashedContexts
{
    const int SlotsPerBucket = 16; // one for the check, 15 for the nodes of a nibble
    const int MapSize = 1024;
    const ushort Fresh = 2048 << 4;
    const int MostContexts = 10;

    static readonly ushort[] Reciprocals = [43690, 26214, 18724, 14563, 11915, 10082, 8738, 7710, 6898, 6241, 5698, 5242, 4854, 4519, 4228, 3971];
    static readonly byte[] Levels = MakeLevels();

    static readonly uint[] FirstMap = [.. Enumerable.Range(0, MapSize).Select(i => ((uint)LevelMiddle(i & 63) << 20) | 6)]; // a prior: the slot is right, worth a few uses

    readonly uint[] _maps = new uint[MostContexts * MapSize];
    readonly int[] _buckets = new int[MostContexts];
    readonly int[] _states = new int[MostContexts];
    ushort[] _slots = [];
    int _bucketMask;

    /// <summary>How many contexts there are.</summary>
    public int Count { get; private set; }

    /// <summary>Begins afresh.</summary>
    /// <param name="contexts">How many contexts there are, at most 10.</param>
    /// <param name="bucketBits">The table has 2^bits buckets of 32 bytes for each.</param>
    public void Reset(int contexts, int bucketBits)
    {
        Count = contexts;
        _bucketMask = (1 << bucketBits) - 1;
        var slots = contexts * (SlotsPerBucket << bucketBits);
        if (_slots.Length < slots)
            _slots = new ushort[slots];
        _slots.AsSpan(0, slots).Fill(Fresh);
        for (var i = 0; i < contexts; i++)
            FirstMap.CopyTo(_maps.AsSpan(i * MapSize));
    }

    /// <summary>Finds the bucket of context <paramref name="index"/> for the nibble that comes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Select(int index, uint hash)
    {
        var check = (ushort)((hash >> 16) | 1);
        var bucket = (int)(hash * 0x9E3779B1u >> 7) & _bucketMask;
        var table = index * (_bucketMask + 1);
        var first = (table + bucket) * SlotsPerBucket;
        ref var slots = ref MemoryMarshal.GetArrayDataReference(_slots); // buckets are below the table's length by the mask
        _buckets[index] = Unsafe.Add(ref slots, first) == check ? first : Other(check, first, (table + (bucket ^ 1)) * SlotsPerBucket);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    int Other(ushort check, int first, int second)
    {
        if (_slots[second] == check)
            return second;
        // The one whose first node was used less gives way.
        var taken = (_slots[first + 1] & 15) <= (_slots[second + 1] & 15) ? first : second;
        Vector256.Create(Fresh).CopyTo(_slots.AsSpan(taken, SlotsPerBucket));
        _slots[taken] = check;
        return taken;
    }

    /// <summary>Puts two inputs per context.</summary>
    /// <param name="inputs">Where they go: there is room for two per context from <paramref name="at"/> on.</param>
    /// <param name="at">The first one.</param>
    /// <param name="node">1 to 15: the nibble's bits so far behind a leading one.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Predict(int[] inputs, int at, int node)
    {
        ref var slots = ref MemoryMarshal.GetArrayDataReference(_slots);
        ref var maps = ref MemoryMarshal.GetArrayDataReference(_maps);
        ref var levels = ref MemoryMarshal.GetArrayDataReference(Levels);
        ref var stretched = ref MemoryMarshal.GetReference(Logistic.Inputs);
        ref var input = ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(inputs), at);
        ref var buckets = ref MemoryMarshal.GetArrayDataReference(_buckets);
        ref var states = ref MemoryMarshal.GetArrayDataReference(_states);
        for (var i = 0; i < Count; i++)
        {
            // Bounds hold: a slot has 12 bits of probability and 4 of count, a map slot 12 bits in its upper ones.
            int slot = Unsafe.Add(ref slots, Unsafe.Add(ref buckets, i) + node);
            var count = slot & 15;
            var state = i * MapSize + (count << 6) + Unsafe.Add(ref levels, slot >> 4);
            Unsafe.Add(ref states, i) = state;
            var probability = (int)(Unsafe.Add(ref maps, state) >> 20);
            var known = count == 0 ? 0 : -1;
            Unsafe.Add(ref input, 2 * i) = Unsafe.Add(ref stretched, probability) & known;
            Unsafe.Add(ref input, 2 * i + 1) = (probability - 2048) >> 2 & known;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Learn(int bit, int node)
    {
        ref var slots = ref MemoryMarshal.GetArrayDataReference(_slots);
        ref var maps = ref MemoryMarshal.GetArrayDataReference(_maps);
        ref var buckets = ref MemoryMarshal.GetArrayDataReference(_buckets);
        ref var states = ref MemoryMarshal.GetArrayDataReference(_states);
        ref var reciprocals = ref MemoryMarshal.GetArrayDataReference(Reciprocals);
        var target = (bit << 12) - bit;
        for (var i = 0; i < Count; i++)
        {
            AdaptiveBits.Update(ref Unsafe.Add(ref maps, Unsafe.Add(ref states, i)), bit, 250);
            ref var slot = ref Unsafe.Add(ref slots, Unsafe.Add(ref buckets, i) + node);
            var count = slot & 15;
            var probability = slot >> 4;
            probability += (target - probability) * Unsafe.Add(ref reciprocals, count) >> 16;
            slot = (ushort)((probability << 4) | Math.Min(count + 1, 15));
        }
    }

    static byte[] MakeLevels()
    {
        var levels = new byte[4096];
        for (var p = 0; p < 4096; p++)
            levels[p] = (byte)Math.Clamp((Logistic.Stretch(p) + 2112) >> 6, 0, 63); // 66 steps of a quarter nat
        return levels;
    }

    static int LevelMiddle(int level) => Math.Clamp(Logistic.Squash(level * 64 - 2112 + 32) >> 4, 1, 4095);
}
