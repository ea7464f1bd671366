using System.Runtime.CompilerServices;

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

    static readonly ushort[] Reciprocals = [43690, 26214, 18724, 14563, 11915, 10082, 8738, 7710, 6898, 6241, 5698, 5242, 4854, 4519, 4228, 3971];
    static readonly byte[] Levels = MakeLevels();

    readonly ushort[] _slots;
    readonly uint[] _maps;
    readonly int[] _buckets;
    readonly int[] _states;
    readonly int _bucketMask;

    /// <param name="contexts">How many contexts there are.</param>
    /// <param name="bucketBits">The table has 2^bits buckets of 32 bytes for each.</param>
    public HashedContexts(int contexts, int bucketBits)
    {
        Count = contexts;
        _bucketMask = (1 << bucketBits) - 1;
        _slots = new ushort[contexts * (SlotsPerBucket << bucketBits)];
        _maps = new uint[contexts * MapSize];
        _buckets = new int[contexts];
        _states = new int[contexts];
        Reset();
    }

    public int Count { get; }

    public void Reset()
    {
        _slots.AsSpan().Fill(Fresh);
        for (var i = 0; i < _maps.Length; i++)
            _maps[i] = ((uint)LevelMiddle(i & 63) << 20) | 6; // a prior: the slot is right, worth a few uses
    }

    /// <summary>Finds the bucket of context <paramref name="index"/> for the nibble that comes.</summary>
    public void Select(int index, uint hash)
    {
        var check = (ushort)((hash >> 16) | 1);
        var bucket = (int)(hash * 0x9E3779B1u >> 7) & _bucketMask;
        var table = index * (_bucketMask + 1);
        var first = (table + bucket) * SlotsPerBucket;
        var second = (table + (bucket ^ 1)) * SlotsPerBucket;
        if (_slots[first] == check)
        {
            _buckets[index] = first;
            return;
        }
        if (_slots[second] == check)
        {
            _buckets[index] = second;
            return;
        }
        // The one whose first node was used less gives way.
        var taken = (_slots[first + 1] & 15) <= (_slots[second + 1] & 15) ? first : second;
        _slots.AsSpan(taken, SlotsPerBucket).Fill(Fresh);
        _slots[taken] = check;
        _buckets[index] = taken;
    }

    /// <summary>Puts two inputs per context.</summary>
    /// <param name="inputs">Where they go.</param>
    /// <param name="at">The first one.</param>
    /// <param name="node">1 to 15: the nibble's bits so far behind a leading one.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Predict(int[] inputs, int at, int node)
    {
        for (var i = 0; i < _buckets.Length; i++)
        {
            var slot = _slots[_buckets[i] + node];
            var count = slot & 15;
            var state = i * MapSize + (count << 6) + Levels[slot >> 4];
            _states[i] = state;
            if (count == 0)
            {
                inputs[at++] = 0;
                inputs[at++] = 0;
                continue;
            }
            var probability = (int)(_maps[state] >> 20);
            inputs[at++] = Math.Clamp(Logistic.Stretch(probability), -2047, 2047);
            inputs[at++] = (probability - 2048) >> 2;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Learn(int bit, int node)
    {
        for (var i = 0; i < _buckets.Length; i++)
        {
            AdaptiveBits.Update(ref _maps[_states[i]], bit, 250);
            ref var slot = ref _slots[_buckets[i] + node];
            var count = slot & 15;
            var probability = slot >> 4;
            probability += ((bit << 12) - bit - probability) * Reciprocals[count] >> 16;
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
