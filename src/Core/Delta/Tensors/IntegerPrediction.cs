using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Coppice.Delta.Entropy;

namespace Coppice.Delta.Tensors;

/// <summary>Predicts integer codes and block codes from old ones, in fixed point with 16 fractional bits.</summary>
/// <remarks>code × ratio of steps + product of factors in new steps; the context is row activity, whether the old code was at an end, and the place between two integers.</remarks>
static class IntegerPrediction
{
    const int One = 1 << 16;
    const int MostRatio = 1 << 22; // times a code of 8 bits this stays inside 32 bits
    const float MostAddend = 1 << 29;

    /// <inheritdoc cref="FloatPrediction.Predict(TensorRecord, FrameScratch, int, int, bool)"/>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Predict(TensorRecord tensor, FrameScratch scratch, int first, int count, bool vectors)
    {
        var lattice = tensor.Lattice;
        for (int start = 0, row = first / tensor.Columns, column = first % tensor.Columns; start < count; row++, column = 0)
        {
            var length = Math.Min(count - start, tensor.Columns - column);
            var products = scratch.Products.AsSpan(0, length);
            if (tensor.Rank != 0)
                LowRank.Multiply(scratch.Left.AsSpan(row * tensor.Rank, tensor.Rank), tensor.Right, tensor.Columns, column, products, vectors);
            var unit = lattice.IsBlock ? 32 : length;
            for (var at = 0; at < length; at += unit)
            {
                var scale = scratch.RowScales[row] + tensor.ScaleBase;
                var (ratio, perStep) = (scratch.Ratios[row], (float)One);
                if (lattice.IsBlock)
                {
                    var block = (first + start + at) / 32;
                    (ratio, perStep) = Ratio(tensor.HasOld ? scratch.OldSteps[block] : (ushort)0, scratch.NewSteps[block]);
                    scale -= HalfOctaves(scratch.NewSteps[block]);
                }
                if (!tensor.HasOld)
                    ratio = 0;
                var span = (start + at)..(start + Math.Min(length, at + unit));
                Span(
                    lattice, ratio, tensor.Rank != 0 ? products[at..] : default, Math.Min(tensor.Step * perStep, 1e30f), scale,
                    tensor.ColumnScales.AsSpan().IsEmpty ? default : tensor.ColumnScales.AsSpan(column + at),
                    scratch.Old.AsSpan()[span], scratch.Predicted.AsSpan()[span], scratch.Contexts.AsSpan()[span], vectors);
            }
            start += length;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Span(
        Lattice lattice, int ratio, ReadOnlySpan<int> products, float step, int scale, ReadOnlySpan<int> columnScales,
        ReadOnlySpan<uint> old, Span<uint> predicted, Span<byte> contexts, bool vectors)
    {
        ratio = Math.Clamp(ratio, -MostRatio, MostRatio);
        var high = Math.Min(lattice.High, (1 << (lattice.Bits - 1)) - 1);
        var done = vectors && Vector256.IsHardwareAccelerated
            ? SpanVectors(lattice, ratio, products, step, scale, columnScales, high, old, predicted, contexts)
            : 0;
        for (var i = done; i < old.Length; i++)
        {
            var code = (int)old[i];
            var fixedPoint = code * ratio;
            if (!products.IsEmpty)
                fixedPoint += (int)Math.Clamp(products[i] * step, -MostAddend, MostAddend);
            var rounded = Math.Clamp((fixedPoint + One / 2) >> 16, lattice.Low, high);
            var offset = Math.Clamp(fixedPoint - (rounded << 16), -Place.Half, Place.Half);
            var activity = Math.Clamp(((scale + (columnScales.IsEmpty ? 0 : columnScales[i])) * 171) >> 8, 0, 15);
            var edge = code <= lattice.Low || code >= lattice.High ? 1 : 0;
            contexts[i] = (byte)(activity << 4 | edge << 3 | Place.Of(offset));
            predicted[i] = (uint)rounded & 0xFFFF | (offset < 0 ? FloatPrediction.Mirror : 0);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static int SpanVectors(
        Lattice lattice, int ratio, ReadOnlySpan<int> products, float step, int scale, ReadOnlySpan<int> columnScales, int high,
        ReadOnlySpan<uint> old, Span<uint> predicted, Span<byte> contexts)
    {
        var ratios = Vector256.Create(ratio);
        var steps = Vector256.Create(step);
        var (lowest, highest) = (Vector256.Create(lattice.Low), Vector256.Create(high));
        var (mostAddend, leastAddend) = (Vector256.Create(MostAddend), Vector256.Create(-MostAddend));
        var (half, most) = (Vector256.Create(Place.Half), Vector256.Create(15));
        var (lowEdge, highEdge) = (Vector256.Create(lattice.Low + 1), Vector256.Create(lattice.High - 1));
        var rowScale = Vector256.Create(scale);
        var i = 0;
        for (; i + 8 <= old.Length; i += 8)
        {
            var code = Vector256.Create(old[i..]).AsInt32();
            var fixedPoint = code * ratios;
            if (!products.IsEmpty)
                fixedPoint += Vector256.ConvertToInt32(Vector256.Min(Vector256.Max(
                    Vector256.ConvertToSingle(Vector256.Create(products[i..])) * steps, leastAddend), mostAddend));
            var rounded = Vector256.Min(Vector256.Max((fixedPoint + half) >> 16, lowest), highest);
            var offset = Vector256.Min(Vector256.Max(fixedPoint - (rounded << 16), -half), half);
            var sum = columnScales.IsEmpty ? rowScale : rowScale + Vector256.Create(columnScales[i..]);
            var activity = Vector256.Min(Vector256.Max((sum * 171) >> 8, Vector256<int>.Zero), most);
            var edge = Vector256.LessThan(code, lowEdge) | Vector256.GreaterThan(code, highEdge);
            FloatPrediction.Narrow(activity << 4 | edge & Vector256.Create(8) | Place.Of(offset), contexts[i..]);
            (rounded.AsUInt32() & Vector256.Create(0xFFFFu) | offset.AsUInt32() & Vector256.Create(FloatPrediction.Mirror)).CopyTo(predicted[i..]);
        }
        return i;
    }

    /// <summary>Old step over new step with 16 fractional bits, and 65,536 over the new step.</summary>
    static (int Ratio, float PerStep) Ratio(ushort oldStep, ushort newStep)
    {
        var (from, to) = ((float)BitConverter.UInt16BitsToHalf(oldStep), (float)BitConverter.UInt16BitsToHalf(newStep));
        if (!float.IsFinite(from) || !float.IsFinite(to) || to == 0)
            return (0, 0);
        return ((int)Math.Clamp(from / to * One, -MostRatio, MostRatio), One / to);
    }

    /// <summary>Twice the binary logarithm of a step, to the half octave below, plus 30.</summary>
    static int HalfOctaves(ushort step) => (step & 0x7FFF) >> 9;

    public static int Difference(Lattice lattice, uint predicted, uint code)
    {
        var shift = 32 - lattice.Bits;
        var difference = ((int)code - (short)predicted) << shift >> shift;
        return predicted >= FloatPrediction.Mirror ? -difference << shift >> shift : difference;
    }

    public static uint Add(Lattice lattice, uint predicted, int difference)
    {
        var shift = 32 - lattice.Bits;
        return (uint)((short)predicted + (predicted >= FloatPrediction.Mirror ? -difference : difference) << shift >> shift);
    }

    public static bool Rebuild(
        Lattice lattice, ReadOnlySpan<uint> predicted, ReadOnlySpan<byte> symbols, ReadOnlySpan<ushort> large, ref RawNumbers numbers,
        Span<uint> codes, bool vectors)
    {
        var done = vectors && Vector256.IsHardwareAccelerated ? RebuildVectors(lattice, predicted, symbols, codes) : 0;
        for (var i = done; i < codes.Length; i++)
            codes[i] = Add(lattice, predicted[i], Token.UnZigZag(symbols[i]));
        foreach (var i in large)
        {
            if (symbols[i] >= Token.Count)
                return false;
            codes[i] = Add(lattice, predicted[i], Token.UnZigZag(numbers.Next(symbols[i])));
        }
        return true;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static int RebuildVectors(Lattice lattice, ReadOnlySpan<uint> predicted, ReadOnlySpan<byte> symbols, Span<uint> codes)
    {
        var shift = 32 - lattice.Bits;
        var i = 0;
        for (; i + 16 <= codes.Length; i += 16)
        {
            var (low, high) = Vector128.Widen(Vector128.Create(symbols[i..]));
            Eight(predicted[i..], Vector256.Create(Vector128.WidenLower(low), Vector128.WidenUpper(low))).CopyTo(codes[i..]);
            Eight(predicted[(i + 8)..], Vector256.Create(Vector128.WidenLower(high), Vector128.WidenUpper(high))).CopyTo(codes[(i + 8)..]);
        }
        return i;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        Vector256<uint> Eight(ReadOnlySpan<uint> from, Vector256<uint> symbol)
        {
            var word = Vector256.Create(from).AsInt32();
            var difference = (symbol >> 1).AsInt32() ^ -(symbol & Vector256<uint>.One).AsInt32();
            var flip = word >> 31;
            return (((word << 16 >> 16) + ((difference ^ flip) - flip)) << shift >> shift).AsUInt32();
        }
    }
}
