using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Coppice.Delta.Tensors;

/// <summary>Predicts floats from old ones, and says in which context each difference stands. The same bits on every processor.</summary>
/// <remarks>
/// Arithmetic prediction: value × gain + product × step, in binary32, each operation rounded to nearest even by itself, then
/// rounded to the new kind. A fused multiply-add would give other bits; the language never makes one out of separate operators.
/// </remarks>
static class FloatPrediction
{
    /// <summary>Bit of a predicted word that says that differences count the other way round.</summary>
    public const uint Mirror = 1u << 31;

    /// <summary>Fills the scratch's predictions and contexts from its old elements, row scales and left factors.</summary>
    /// <param name="tensor">The tensor of the frame.</param>
    /// <param name="scratch">Holds the old elements from <paramref name="first"/> on, and what belongs to the frame's rows.</param>
    /// <param name="first">The first element, from the beginning of the frame.</param>
    /// <param name="count">How many.</param>
    /// <param name="vectors">Whether vector instructions may be used; the result is the same.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Predict(TensorRecord tensor, FrameScratch scratch, int first, int count, bool vectors)
    {
        vectors &= Vector256.IsHardwareAccelerated;
        if ((tensor.Flags & TensorFlags.Threshold) != 0)
            Prune(scratch.Old.AsSpan(0, count), tensor.Lattice.Mask >> 1, tensor.Threshold);
        for (int start = 0, row = first / tensor.Columns, column = first % tensor.Columns; start < count; row++, column = 0)
        {
            var length = Math.Min(count - start, tensor.Columns - column);
            var old = scratch.Old.AsSpan(start, length);
            var predicted = scratch.Predicted.AsSpan(start, length);
            var contexts = scratch.Contexts.AsSpan(start, length);
            var scale = scratch.RowScales[row] + tensor.ScaleBase;
            var columnScales = tensor.ColumnScales.AsSpan().IsEmpty ? default : tensor.ColumnScales.AsSpan(column, length);
            var products = scratch.Products.AsSpan(0, length);
            if (tensor.Rank != 0)
                LowRank.Multiply(scratch.Left.AsSpan(row * tensor.Rank, tensor.Rank), tensor.Right, tensor.Columns, column, products, vectors);
            else if (tensor.IsArithmetic)
                products.Clear();
            var done = vectors ? PredictVectors(tensor, old, products, scale, columnScales, predicted, contexts) : 0;
            for (var i = done; i < length; i++)
                predicted[i] = Predict(tensor, old[i], products[i], scale + (columnScales.IsEmpty ? 0 : columnScales[i]), out contexts[i]);
            start += length;
        }
    }

    static void Prune(Span<uint> old, uint magnitude, uint threshold)
    {
        foreach (ref var bits in old)
            bits = (bits & magnitude) < threshold ? 0 : bits;
    }

    static uint Predict(TensorRecord tensor, uint old, int product, int scale, out byte context)
    {
        var lattice = tensor.Lattice;
        var (bits, offset) = (old, 0);
        if (tensor.IsArithmetic)
        {
            var from = tensor.OldLattice;
            if ((old >> from.Mantissa & ((1u << from.Exponent) - 1)) == (1u << from.Exponent) - 1)
                bits = from.Kind == lattice.Kind ? old : 0; // infinities and NaN stay what they are
            else
                bits = Round(lattice.Kind, Value(from.Kind, old) * tensor.Gain + (float)product * tensor.Step, out offset);
        }
        var exponent = Math.Max(1, (int)(bits >> lattice.Mantissa) & ((1 << lattice.Exponent) - 1));
        var key = Math.Clamp(scale - 2 * exponent, 0, (256 >> tensor.PlaceBits) - 1);
        if (tensor.PlaceBits == 0)
        {
            context = (byte)key;
            return bits;
        }
        context = (byte)(key << 3 | Place.Of(offset));
        return bits | (offset < 0 != (bits >> (lattice.Bits - 1) != 0) ? Mirror : 0);
    }

    /// <summary>The exact value of finite bits.</summary>
    static float Value(LatticeKind kind, uint bits) => kind switch
    {
        LatticeKind.Float32 => BitConverter.UInt32BitsToSingle(bits),
        LatticeKind.BFloat16 => BitConverter.UInt32BitsToSingle(bits << 16),
        // The exponent is made too small by 112 and put right by a multiplication, which is exact.
        _ => BitConverter.UInt32BitsToSingle(BitConverter.SingleToUInt32Bits(BitConverter.UInt32BitsToSingle((bits & 0x7FFF) << 13) * TwoTo112) | (bits & 0x8000) << 16),
    };

    const float TwoTo112 = 5.192296858534828e33f;
    const float TwoToMinus112 = 1.925929944387236e-34f;

    static uint Round(LatticeKind kind, float value, out int offset)
    {
        var bits = BitConverter.SingleToUInt32Bits(value);
        offset = 0;
        switch (kind)
        {
            case LatticeKind.Float32:
                return bits;
            case LatticeKind.BFloat16:
                var rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
                offset = (int)(bits - (rounded << 16));
                return rounded;
            default:
                var scaled = BitConverter.SingleToUInt32Bits(value * TwoToMinus112);
                var magnitude = scaled & 0x7FFFFFFF;
                var half = Math.Min((magnitude + 0xFFF + (magnitude >> 13 & 1)) >> 13, 0x7C00);
                offset = Math.Clamp((int)(magnitude - (half << 13)), -4096, 4096) << 3;
                return half | (scaled >> 16 & 0x8000);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static int PredictVectors(
        TensorRecord tensor, ReadOnlySpan<uint> old, ReadOnlySpan<int> products, int scale, ReadOnlySpan<int> columnScales,
        Span<uint> predicted, Span<byte> contexts)
    {
        var lattice = tensor.Lattice;
        var i = lattice.Bits == 16 ? PredictHalves(tensor, old, products, scale, columnScales, predicted, contexts) : 0;
        if (tensor.PlaceBits != 0)
            return i;
        var exponentMask = Vector256.Create((1 << lattice.Exponent) - 1);
        var rowScale = Vector256.Create(scale);
        var arithmetic = new Arithmetic(tensor);
        for (; i + 8 <= old.Length; i += 8)
        {
            var bits = Vector256.Create(old[i..]);
            if (tensor.IsArithmetic)
                bits = arithmetic.Of(bits, products[i..], out _);
            var exponent = Vector256.Max(Vector256<int>.One, (bits >> lattice.Mantissa).AsInt32() & exponentMask);
            var sum = columnScales.IsEmpty ? rowScale : rowScale + Vector256.Create(columnScales[i..]);
            bits.CopyTo(predicted[i..]);
            Narrow(Vector256.Min(Vector256.Max(sum - (exponent << 1), Vector256<int>.Zero), Vector256.Create(255)), contexts[i..]);
        }
        return i;
    }

    /// <summary>Kinds of 16 bits, sixteen elements at once: what is not arithmetic of binary32 needs no more than 16 bits.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static int PredictHalves(
        TensorRecord tensor, ReadOnlySpan<uint> old, ReadOnlySpan<int> products, int scale, ReadOnlySpan<int> columnScales,
        Span<uint> predicted, Span<byte> contexts)
    {
        var lattice = tensor.Lattice;
        var exponentMask = Vector256.Create((short)((1 << lattice.Exponent) - 1));
        var most = Vector256.Create((short)((256 >> tensor.PlaceBits) - 1));
        var rowScale = Vector256.Create((short)scale);
        var arithmetic = new Arithmetic(tensor);
        var i = 0;
        for (; i + 16 <= old.Length; i += 16)
        {
            var (low, high) = (Vector256.Create(old[i..]), Vector256.Create(old[(i + 8)..]));
            var (lowOffset, highOffset) = (Vector256<int>.Zero, Vector256<int>.Zero);
            if (tensor.IsArithmetic)
                (low, high) = (arithmetic.Of(low, products[i..], out lowOffset), arithmetic.Of(high, products[(i + 8)..], out highOffset));
            var bits = Vector256.Narrow(low, high).AsInt16();
            var exponent = Vector256.Max(Vector256<short>.One, (bits >>> lattice.Mantissa) & exponentMask);
            var sum = columnScales.IsEmpty
                ? rowScale
                : rowScale + Vector256.NarrowWithSaturation(Vector256.Create(columnScales[i..]), Vector256.Create(columnScales[(i + 8)..]));
            var key = Vector256.Min(Vector256.Max(sum - (exponent << 1), Vector256<short>.Zero), most);
            if (tensor.PlaceBits != 0)
            {
                var offset = Vector256.NarrowWithSaturation(lowOffset, highOffset);
                key = key << 3 | Place.Of(offset);
                var (lowMirrors, highMirrors) = Vector256.Widen(offset ^ bits); // their highest bits count
                low |= lowMirrors.AsUInt32() & Vector256.Create(Mirror);
                high |= highMirrors.AsUInt32() & Vector256.Create(Mirror);
            }
            low.CopyTo(predicted[i..]);
            high.CopyTo(predicted[(i + 8)..]);
            Vector128.Narrow(key.GetLower().AsUInt16(), key.GetUpper().AsUInt16()).CopyTo(contexts[i..]);
        }
        return i;
    }

    /// <summary>Values from old ones and products of factors, rounded to the new kind.</summary>
    readonly struct Arithmetic(TensorRecord tensor)
    {
        readonly LatticeKind from = tensor.OldLattice.Kind;
        readonly LatticeKind to = tensor.Lattice.Kind;
        readonly Vector256<float> gain = Vector256.Create(tensor.Gain);
        readonly Vector256<float> step = Vector256.Create(tensor.Step);
        readonly Vector256<uint> special = Vector256.Create(((1u << tensor.OldLattice.Exponent) - 1) << tensor.OldLattice.Mantissa);
        readonly Vector256<uint> kept = tensor.OldLattice.Kind == tensor.Lattice.Kind ? Vector256<uint>.AllBitsSet : Vector256<uint>.Zero;

        /// <param name="bits">Eight old elements.</param>
        /// <param name="products">At least as many.</param>
        /// <param name="offset">How far each is from what it was rounded to.</param>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Vector256<uint> Of(Vector256<uint> bits, ReadOnlySpan<int> products, out Vector256<int> offset)
        {
            var value = Values(from, bits) * gain + Vector256.ConvertToSingle(Vector256.Create(products)) * step;
            var isSpecial = Vector256.Equals(bits & special, special); // infinities and NaN stay what they are
            var made = Vector256.ConditionalSelect(isSpecial, bits & kept, Round(to, value, out offset));
            offset = Vector256.AndNot(offset, isSpecial.AsInt32());
            return made;
        }
    }

    /// <summary>Eight numbers below 256 as bytes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Narrow(Vector256<int> numbers, Span<byte> bytes)
    {
        var halves = Vector128.Narrow(numbers.GetLower().AsUInt32(), numbers.GetUpper().AsUInt32());
        BitConverter.TryWriteBytes(bytes, Vector128.Narrow(halves, halves).AsUInt64().ToScalar());
    }

    /// <summary>The exact values of finite bits.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Values(LatticeKind kind, Vector256<uint> bits) => kind switch
    {
        LatticeKind.Float32 => bits.AsSingle(),
        LatticeKind.BFloat16 => (bits << 16).AsSingle(),
        _ => ((((bits & Vector256.Create(0x7FFFu)) << 13).AsSingle() * Vector256.Create(TwoTo112)).AsUInt32() | (bits & Vector256.Create(0x8000u)) << 16).AsSingle(),
    };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector256<uint> Round(LatticeKind kind, Vector256<float> value, out Vector256<int> offset)
    {
        var bits = value.AsUInt32();
        offset = Vector256<int>.Zero;
        if (kind == LatticeKind.Float32)
            return bits;
        var one = Vector256<uint>.One;
        if (kind == LatticeKind.BFloat16)
        {
            var rounded = (bits + Vector256.Create(0x7FFFu) + (bits >> 16 & one)) >> 16;
            offset = (bits - (rounded << 16)).AsInt32();
            return rounded;
        }
        var scaled = (value * Vector256.Create(TwoToMinus112)).AsUInt32();
        var magnitude = scaled & Vector256.Create(0x7FFFFFFFu);
        var half = Vector256.Min((magnitude + Vector256.Create(0xFFFu) + (magnitude >> 13 & one)) >> 13, Vector256.Create(0x7C00u));
        offset = Vector256.Min(Vector256.Max((magnitude - (half << 13)).AsInt32(), Vector256.Create(-4096)), Vector256.Create(4096)) << 3;
        return half | (scaled >> 16 & Vector256.Create(0x8000u));
    }
}
