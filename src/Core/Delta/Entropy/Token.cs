using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Coppice.Delta.Entropy;

/// <summary>Splits an unsigned number into a token, which is entropy-coded, and low bits, which are stored as they are.</summary>
/// <remarks>
/// 0 to 15 are their own tokens. From 16 on, a number of bit length L has one of four tokens, by the two bits below its highest:
/// 16 + 4·(L - 5) + those bits, followed by its lower L - 3 bits. The largest 32-bit number has token 127.
/// </remarks>
static class Token
{
    public const int Literals = 16;
    public const int Count = 128;

    /// <summary>Tokens of numbers below 65,536 are below this.</summary>
    public const int Narrow = 64;

    static readonly uint[] bases = Bases();
    static readonly byte[] bits = Bits();
    static readonly ulong[] parts = [.. bases.Select((start, token) => start | (ulong)bits[token] << 32), .. new ulong[256 - Count]];

    /// <summary>The smallest number of each token.</summary>
    public static ReadOnlySpan<uint> Base => bases;

    /// <summary>How many low bits follow each token, 0 to 29.</summary>
    public static ReadOnlySpan<byte> RawBits => bits;

    /// <summary>Both in one: <see cref="Base"/> below, <see cref="RawBits"/> above bit 32. As many as a byte can mean; none of those past <see cref="Count"/> is a token.</summary>
    public static ReadOnlySpan<ulong> Parts => parts;

    public static byte Of(uint number)
    {
        if (number < Literals)
            return (byte)number;
        var top = BitOperations.Log2(number);
        return (byte)(Literals + (top - 4) * 4 + (int)((number >> (top - 2)) & 3));
    }

    /// <summary>How many symbols are followed by raw bits.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static int CountLarge(ReadOnlySpan<byte> symbols)
    {
        var (count, i) = (0, 0);
        for (; Vector256.IsHardwareAccelerated && i + 32 <= symbols.Length; i += 32)
            count += BitOperations.PopCount(Large(symbols[i..]));
        for (; i < symbols.Length; i++)
            count += symbols[i] >= Literals ? 1 : 0;
        return count;
    }

    /// <summary>Notes which symbols are followed by raw bits.</summary>
    /// <param name="symbols">At most 65,536.</param>
    /// <param name="large">Overwritten with their indices, in order; longer than <paramref name="symbols"/>.</param>
    /// <returns>How many there are.</returns>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static int FindLarge(ReadOnlySpan<byte> symbols, Span<ushort> large)
    {
        var (count, i) = (0, 0);
        for (; Vector256.IsHardwareAccelerated && i + 32 <= symbols.Length; i += 32)
            for (var set = Large(symbols[i..]); set != 0; set &= set - 1)
                large[count++] = (ushort)(i + BitOperations.TrailingZeroCount(set));
        for (; i < symbols.Length; i++)
        {
            large[count] = (ushort)i;
            count += symbols[i] >= Literals ? 1 : 0;
        }
        return count;
    }

    /// <summary>A bit for each of 32 symbols.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static uint Large(ReadOnlySpan<byte> symbols) => Vector256.GreaterThan(Vector256.Create(symbols), Vector256.Create((byte)(Literals - 1))).ExtractMostSignificantBits();

    /// <summary>0, -1, 1, -2, … become 0, 1, 2, 3, …; wraps at 32 bits.</summary>
    public static uint ZigZag(int number) => (uint)((number << 1) ^ (number >> 31));

    public static int UnZigZag(uint number) => (int)(number >> 1) ^ -(int)(number & 1);

    static uint[] Bases()
    {
        var table = new uint[Count];
        for (var token = 0; token < Count; token++)
            table[token] = token < Literals ? (uint)token : (4u + (uint)(token & 3)) << ((token - Literals) / 4 + 2);
        return table;
    }

    static byte[] Bits()
    {
        var table = new byte[Count];
        for (var token = Literals; token < Count; token++)
            table[token] = (byte)((token - Literals) / 4 + 2);
        return table;
    }
}
