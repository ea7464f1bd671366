using System.Numerics;
using System.Runtime.CompilerServices;

namespace Coppice.Delta.Bytes;

/// <summary>Probabilities that learn: fast while they know little, then ever slower, down to a floor.</summary>
/// <remarks>A slot keeps a probability of 1 in its upper 22 bits and how often it was used in its lower 10.</remarks>
static class AdaptiveBits
{
    /// <summary>Even odds, never used.</summary>
    public const uint Fresh = 1u << 31;

    static readonly int[] Reciprocals = MakeReciprocals();

    /// <summary>The probability of a 1 in 1/65536, from 1 to 65535.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Probability(uint slot) => Math.Clamp((int)(slot >> 16), 1, 65535);

    /// <summary>Moves the slot towards the bit that came.</summary>
    /// <param name="slot">The slot.</param>
    /// <param name="bit">0 or 1.</param>
    /// <param name="limit">Uses after which it stops slowing down, at most 1023.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Update(ref uint slot, int bit, int limit)
    {
        var uses = (int)(slot & 1023);
        var probability = (int)(slot >> 10);
        probability += (int)(((long)((bit << 22) - bit - probability) * Reciprocals[uses]) >> 16);
        slot = ((uint)probability << 10) | (uint)(uses < limit ? uses + 1 : uses);
    }

    /// <summary>Codes one bit with the slot's own probability and lets it learn.</summary>
    public static int Code<TCoder>(ref TCoder coder, ref uint slot, int bit, int limit)
        where TCoder : struct, IBitCoder, allows ref struct
    {
        bit = coder.Code(bit, Probability(slot));
        Update(ref slot, bit, limit);
        return bit;
    }

    static int[] MakeReciprocals()
    {
        var table = new int[1024];
        for (var uses = 0; uses < 1024; uses++)
            table[uses] = 2 * 65536 / (2 * uses + 3); // 1 / (uses + 1.5)
        return table;
    }
}

/// <summary>Numbers from 0 to 2^63 - 2: the count of their bits by a tree, then the bits, the upper ones learnt.</summary>
sealed class AdaptiveNumber
{
    const int LearntBits = 8;
    const int Limit = 60;

    readonly uint[] _lengths = new uint[64];
    readonly uint[]?[] _bits = new uint[]?[64]; // by length
    ulong _used; // lengths whose bits have learnt something

    public AdaptiveNumber() => Reset();

    public void Reset()
    {
        _lengths.AsSpan().Fill(AdaptiveBits.Fresh);
        _used = 0;
    }

    /// <summary>The learnt bits of numbers of one length; only the lengths that occur take memory and are set to first values.</summary>
    uint[] BitsOf(int length)
    {
        var bits = _bits[length] ??= new uint[1 << LearntBits];
        if ((_used >> length & 1) != 0)
            return bits;
        _used |= 1UL << length;
        bits.AsSpan().Fill(AdaptiveBits.Fresh);
        return bits;
    }

    public long Code<TCoder>(ref TCoder coder, long value) where TCoder : struct, IBitCoder, allows ref struct
    {
        var stored = (ulong)value + 1; // 1 or more
        var length = 63 - BitOperations.LeadingZeroCount(stored);
        var node = 1;
        for (var i = 5; i >= 0; i--)
            node = (node << 1) | AdaptiveBits.Code(ref coder, ref _lengths[node], (length >> i) & 1, Limit);
        length = node & 63;

        var result = 1UL;
        var learnt = BitsOf(length);
        node = 1;
        for (var i = length - 1; i >= 0; i--)
        {
            var bit = (int)(stored >> i) & 1;
            if (length - 1 - i < LearntBits)
            {
                bit = AdaptiveBits.Code(ref coder, ref learnt[node], bit, Limit);
                node = (node << 1) | bit;
            }
            else
            {
                bit = coder.Code(bit, 32768);
            }
            result = (result << 1) | (uint)bit;
        }
        return (long)(result - 1 & long.MaxValue);
    }
}
