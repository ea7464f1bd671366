using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Coppice.Delta.Entropy;

namespace Coppice.Delta.Tensors;

/// <summary>Differences between floats as integers in the order of their values.</summary>
static class FloatDifference
{
    /// <summary>New less predicted, in steps from one representable number to the next, wrapped at the kind's width.</summary>
    /// <param name="lattice">The kind of both.</param>
    /// <param name="predicted">Bits, and <see cref="FloatPrediction.Mirror"/> on kinds of at most 16 bits.</param>
    /// <param name="bits">Bits of the new element.</param>
    public static int Of(Lattice lattice, uint predicted, uint bits)
    {
        var mask = lattice.Mask;
        var shift = 32 - lattice.Bits;
        // Moved to the top of the word and back, so that the difference wraps at the kind's width and takes its sign.
        var difference = (int)((Ordered(lattice, bits) - Ordered(lattice, predicted & mask)) << shift) >> shift;
        return shift != 0 && predicted >= FloatPrediction.Mirror ? (int)((uint)-difference << shift) >> shift : difference;
    }

    /// <summary>Bits of the element whose difference is given.</summary>
    public static uint Add(Lattice lattice, uint predicted, int difference)
    {
        var mask = lattice.Mask;
        if (lattice.Bits != 32 && predicted >= FloatPrediction.Mirror)
            difference = -difference;
        return Disordered(lattice, (Ordered(lattice, predicted & mask) + (uint)difference) & mask);
    }

    /// <summary>A number whose unsigned order is the order of the values.</summary>
    static uint Ordered(Lattice lattice, uint bits)
    {
        var sign = 1u << (lattice.Bits - 1);
        return (bits & sign) != 0 ? ~bits & lattice.Mask : bits | sign;
    }

    static uint Disordered(Lattice lattice, uint ordered)
    {
        var sign = 1u << (lattice.Bits - 1);
        return (ordered & sign) != 0 ? ordered ^ sign : ~ordered & lattice.Mask;
    }

    /// <summary>Puts new elements together from predictions and symbols; large ones take their raw bits from <paramref name="rawNumbers"/>.</summary>
    /// <param name="lattice">The kind of both.</param>
    /// <param name="predicted">As many as there are symbols.</param>
    /// <param name="symbols">Tokens of differences.</param>
    /// <param name="large">Memory for more numbers than there are symbols.</param>
    /// <param name="rawNumbers">The raw bits.</param>
    /// <param name="bits">Overwritten: the new elements.</param>
    /// <param name="vectors">Whether vector instructions may be used; the result is the same.</param>
    /// <returns>False when a symbol breaks the rules.</returns>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static bool Rebuild(
        Lattice lattice, ReadOnlySpan<uint> predicted, ReadOnlySpan<byte> symbols, Span<ushort> large, ref RawNumbers rawNumbers,
        Span<uint> bits, bool vectors)
    {
        vectors &= Vector256.IsHardwareAccelerated;
        var isNarrow = lattice.Bits <= 16 && !symbols.ContainsAnyInRange((byte)Token.Narrow, byte.MaxValue);
        // Where many are large, looking at all costs less than picking.
        if (vectors && Token.CountLarge(symbols) > symbols.Length / (isNarrow && Processor.DepositsBits ? 16 : 4))
        {
            if (isNarrow)
            {
                rawNumbers.NextAll(symbols, large[..symbols.Length]);
                AddVectors(lattice, predicted, large[..symbols.Length], bits);
                return true;
            }
            if (symbols.ContainsAnyInRange((byte)Token.Count, byte.MaxValue))
                return false;
            rawNumbers.NextAll(symbols, bits);
            AddVectors(lattice, predicted, bits);
            return true;
        }

        var done = vectors ? RebuildVectors(lattice, predicted, symbols, bits) : 0;
        for (var i = done; i < bits.Length; i++)
            bits[i] = Add(lattice, predicted[i], Token.UnZigZag(symbols[i]));

        var numbers = rawNumbers; // a copy stays in registers
        var (mask, sign) = (lattice.Mask, 1u << (lattice.Bits - 1));
        var mirrors = lattice.Bits != 32;
        foreach (var i in large[..Token.FindLarge(symbols, large)])
        {
            var token = symbols[i];
            if (token >= Token.Count)
                return false;
            var number = numbers.Next(token);
            var difference = (number >> 1) ^ (uint)-(int)(number & 1);
            var word = predicted[i];
            if (mirrors && word >= FloatPrediction.Mirror)
                difference = (uint)-(int)difference;
            word &= mask;
            var ordered = (((word & sign) != 0 ? ~word : word | sign) + difference) & mask;
            bits[i] = (ordered & sign) != 0 ? ordered ^ sign : ~ordered & mask;
        }
        rawNumbers = numbers;
        return true;
    }

    /// <summary>Adds differences, in their unsigned form, to what was predicted.</summary>
    /// <param name="lattice">The kind of both.</param>
    /// <param name="predicted">As many as there are differences.</param>
    /// <param name="bits">Differences; elements afterwards.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void AddVectors(Lattice lattice, ReadOnlySpan<uint> predicted, Span<uint> bits)
    {
        var adder = new VectorAdder(lattice);
        var i = 0;
        for (; i + 8 <= bits.Length; i += 8)
            adder.Add(predicted[i..], UnZigZag(Vector256.Create(bits[i..]))).CopyTo(bits[i..]);
        for (; i < bits.Length; i++)
            bits[i] = Add(lattice, predicted[i], Token.UnZigZag(bits[i]));
    }

    /// <summary>The same, of differences that fit in 16 bits.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void AddVectors(Lattice lattice, ReadOnlySpan<uint> predicted, ReadOnlySpan<ushort> numbers, Span<uint> bits)
    {
        var adder = new VectorAdder(lattice);
        var i = 0;
        for (; i + 16 <= bits.Length; i += 16)
        {
            var number = Vector256.Create(numbers[i..]);
            var (low, high) = Vector256.Widen((number >> 1).AsInt16() ^ -(number & Vector256<ushort>.One).AsInt16());
            adder.Add(predicted[i..], low).CopyTo(bits[i..]);
            adder.Add(predicted[(i + 8)..], high).CopyTo(bits[(i + 8)..]);
        }
        for (; i < bits.Length; i++)
            bits[i] = Add(lattice, predicted[i], Token.UnZigZag(numbers[i]));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector256<int> UnZigZag(Vector256<uint> number) => (number >> 1).AsInt32() ^ -(number & Vector256<uint>.One).AsInt32();

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static int RebuildVectors(Lattice lattice, ReadOnlySpan<uint> predicted, ReadOnlySpan<byte> symbols, Span<uint> bits)
    {
        var adder = new VectorAdder(lattice);
        var i = 0;
        for (; i + 16 <= bits.Length; i += 16)
        {
            var (low, high) = Vector128.Widen(Vector128.Create(symbols[i..]));
            adder.Add(predicted[i..], UnZigZag(Vector256.Create(Vector128.WidenLower(low), Vector128.WidenUpper(low)))).CopyTo(bits[i..]);
            adder.Add(predicted[(i + 8)..], UnZigZag(Vector256.Create(Vector128.WidenLower(high), Vector128.WidenUpper(high)))).CopyTo(bits[(i + 8)..]);
        }
        return i;
    }

    /// <summary><see cref="Add"/> for eight at once.</summary>
    readonly struct VectorAdder(Lattice lattice)
    {
        readonly Vector256<uint> mask = Vector256.Create(lattice.Mask);
        readonly Vector256<uint> sign = Vector256.Create(1u << (lattice.Bits - 1));
        readonly int shift = 32 - lattice.Bits;
        readonly Vector256<int> mirrored = lattice.Bits != 32 ? Vector256<int>.AllBitsSet : Vector256<int>.Zero;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Vector256<uint> Add(ReadOnlySpan<uint> from, Vector256<int> difference)
        {
            var word = Vector256.Create(from);
            var flip = (word.AsInt32() >> 31) & mirrored;
            difference = (difference ^ flip) - flip;
            word &= mask;
            var negative = (word << shift).AsInt32() >> 31;
            var ordered = ((word ^ (negative.AsUInt32() | sign)) + difference.AsUInt32()) & mask;
            negative = (~ordered << shift).AsInt32() >> 31;
            return (ordered ^ (negative.AsUInt32() | sign)) & mask;
        }
    }
}
