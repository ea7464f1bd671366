using System.Numerics;

namespace Coppice.Delta.Bytes;

/// <summary>Numbers as a symbol and raw bits: small ones whole, others by their length and next two bits.</summary>
static class FastSymbols
{
    const int Whole = 16;

    /// <summary>The most raw bits of one number.</summary>
    public const int MostBits = 61;

    /// <summary>Splits a number of up to 63 bits.</summary>
    public static (int Symbol, int Bits, ulong Raw) Split(ulong value)
    {
        if (value < Whole)
            return ((int)value, 0, 0);
        var length = 63 - BitOperations.LeadingZeroCount(value); // 4 or more
        var bits = length - 2;
        return (Whole + (length - 4) * 4 + (int)((value >> bits) & 3), bits, value & ((1UL << bits) - 1));
    }

    /// <summary>How many raw bits follow a symbol, 0 to <see cref="MostBits"/>; symbols beyond the last are as the last.</summary>
    public static int Bits(int symbol) => symbol < Whole ? 0 : Math.Min(MostBits, ((symbol - Whole) >> 2) + 2);

    /// <summary>The number of a symbol and its raw bits; never negative as a signed number.</summary>
    public static long Join(int symbol, ulong raw) =>
        symbol < Whole ? symbol : (long)(((4UL | (uint)((symbol - Whole) & 3)) << Bits(symbol) | raw) & long.MaxValue);
}

/// <summary>Raw bits, lowest first.</summary>
sealed class FastBitWriter
{
    readonly List<byte> _bytes = [];
    ulong _pending;
    int _count;

    public void Put(ulong value, int bits)
    {
        for (; bits > 32; bits -= 32, value >>= 32)
            Put(value & uint.MaxValue, 32);
        _pending |= (value & ((1UL << bits) - 1)) << _count;
        for (_count += bits; _count >= 8; _count -= 8, _pending >>= 8)
            _bytes.Add((byte)_pending);
    }

    public byte[] Finish()
    {
        if (_count > 0)
            _bytes.Add((byte)_pending);
        return [.. _bytes];
    }
}

/// <summary>Reads raw bits; zeros after the end.</summary>
ref struct FastBitReader(ReadOnlySpan<byte> bytes)
{
    readonly ReadOnlySpan<byte> _bytes = bytes;
    int _next;
    ulong _pending;
    int _count;

    /// <summary>Whether the bytes given are the bytes used.</summary>
    public readonly bool IsAtEnd => _next == _bytes.Length && _count < 8;

    public ulong Take(int bits)
    {
        if (bits > 32)
            return Take(32) | Take(bits - 32) << 32;
        while (_count < bits)
        {
            _pending |= (ulong)(_next < _bytes.Length ? _bytes[_next] : 0) << _count;
            _next = Math.Min(_next + 1, _bytes.Length + 1); // past the end once is past the end
            _count += 8;
        }
        var value = _pending & ((1UL << bits) - 1);
        _pending >>= bits;
        _count -= bits;
        return value;
    }
}
