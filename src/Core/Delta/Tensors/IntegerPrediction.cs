using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Coppice.Delta.Entropy;

namespace Coppice.Delta.Tensors;

/// <summary>Predicts integer codes and block codes from old ones, in fixed point with 16 fractional bits.</summary>
/// <remarks>code × ratio of steps + change of minima + product of factors in new steps; the context is row activity, whether the old code was at an end, and the place between two integers.</remarks>
static class IntegerPrediction
{
    const int One = GroupRelation.One;
    const int MostRatio = GroupRelation.MostRatio;
    const float MostAddend = GroupRelation.MostAddend;

    /// <inheritdoc cref="FloatPrediction.Predict(TensorRecord, FrameScratch, int, int, bool)"/>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Predict(TensorRecord tensor, FrameScratch scratch, int first, int count, bool vectors)
    {
        var lattice = tensor.Lattice;
        var group = lattice.IsBlock ? lattice.Head.GroupElements : 0;
        if (group != 0)
            GroupRelation.OfEach(tensor, scratch, first, count);
        for (int start = 0, row = first / tensor.Columns, column = first % tensor.Columns; start < count; row++, column = 0)
        {
            var length = Math.Min(count - start, tensor.Columns - column);
            var products = scratch.Products.AsSpan(0, length);
            if (tensor.Rank != 0)
                LowRank.Multiply(scratch.Left.AsSpan(row * tensor.Rank, tensor.Rank), tensor.Right, tensor.Columns, column, products, vectors);
            var span = start..(start + length);
            var whole = new GroupRelation(tensor.HasOld ? Math.Clamp(scratch.Ratios[row], -MostRatio, MostRatio) : 0, 0, One, 0);
            ReadOnlySpan<GroupRelation> relations = group != 0 ? scratch.Relations.AsSpan(start / group, length / group) : [whole];
            Row(
                lattice, relations, group != 0 ? group : length,
                tensor.Rank != 0 ? products : default, tensor.Step, scratch.RowScales[row] + tensor.ScaleBase,
                tensor.ColumnScales.AsSpan().IsEmpty ? default : tensor.ColumnScales.AsSpan(column),
                scratch.Old.AsSpan()[span], scratch.Predicted.AsSpan()[span], scratch.Contexts.AsSpan()[span], vectors);
            start += length;
        }
    }

    /// <summary>Predictions and contexts of one row's elements.</summary>
    /// <param name="lattice">Their kind.</param>
    /// <param name="relations">How they follow from the old ones, group after group.</param>
    /// <param name="group">Elements of a group.</param>
    /// <param name="products">Products of low-rank factors; empty when there are none.</param>
    /// <param name="step">What a product counts.</param>
    /// <param name="scale">Expected size of a difference, half octaves.</param>
    /// <param name="columnScales">What each column adds to it; may be empty.</param>
    /// <param name="old">Old codes.</param>
    /// <param name="predicted">Overwritten.</param>
    /// <param name="contexts">Overwritten.</param>
    /// <param name="vectors">Whether vector instructions may be used; the result is the same.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Row(
        Lattice lattice, ReadOnlySpan<GroupRelation> relations, int group, ReadOnlySpan<int> products, float step, int scale, ReadOnlySpan<int> columnScales,
        ReadOnlySpan<uint> old, Span<uint> predicted, Span<byte> contexts, bool vectors)
    {
        if (lattice.HasLevels)
        {
            LevelPrediction.Row(lattice, relations, group, products, step, scale, columnScales, old, predicted, contexts, vectors);
            return;
        }
        var high = Math.Min(lattice.High, (1 << (lattice.Bits - 1)) - 1);
        var done = vectors && Vector256.IsHardwareAccelerated
            ? RowVectors(lattice, relations, group, products, step, scale, columnScales, high, old, predicted, contexts)
            : 0;
        for (var i = done; i < old.Length; i++)
        {
            ref readonly var relation = ref relations[i / group];
            var code = (int)old[i];
            var fixedPoint = code * relation.Ratio + relation.Addend;
            if (!products.IsEmpty)
                fixedPoint += (int)Math.Clamp(products[i] * StepOf(step, relation), -MostAddend, MostAddend);
            var rounded = Math.Clamp((fixedPoint + One / 2) >> 16, lattice.Low, high);
            var offset = Math.Clamp(fixedPoint - (rounded << 16), -Place.Half, Place.Half);
            var activity = Math.Clamp(((scale - relation.HalfOctaves + (columnScales.IsEmpty ? 0 : columnScales[i])) * 171) >> 8, 0, 15);
            var edge = code <= lattice.Low || code >= lattice.High ? 1 : 0;
            contexts[i] = (byte)(activity << 4 | edge << 3 | Place.Of(offset));
            predicted[i] = (uint)rounded & 0xFFFF | (offset < 0 ? FloatPrediction.Mirror : 0);
        }
    }

    /// <summary>What a product of factors is multiplied by.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float StepOf(float step, in GroupRelation relation) => Math.Min(step * relation.PerStep, 1e30f);

    /// <summary>Sixteen at once: the product in 32 bits, and all that follows from it in 16.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static int RowVectors(
        Lattice lattice, ReadOnlySpan<GroupRelation> relations, int group, ReadOnlySpan<int> products, float step, int scale, ReadOnlySpan<int> columnScales, int high,
        ReadOnlySpan<uint> old, Span<uint> predicted, Span<byte> contexts)
    {
        var (lowest, highest) = (Vector256.Create((short)lattice.Low), Vector256.Create((short)high));
        var (lowEdge, highEdge) = (Vector256.Create((short)(lattice.Low + 1)), Vector256.Create((short)(lattice.High - 1)));
        var (i, end) = (0, 0);
        foreach (ref readonly var relation in relations)
        {
            end += group;
            var (ratios, addends) = (Vector256.Create(relation.Ratio), Vector256.Create(relation.Addend));
            var steps = Vector256.Create(StepOf(step, relation));
            var rowScale = Vector256.Create((short)(scale - relation.HalfOctaves));
            var rowActivity = Activity(rowScale);
            for (; i + 16 <= end; i += 16)
            {
                var (lowCodes, highCodes) = (Vector256.Create(old[i..]).AsInt32(), Vector256.Create(old[(i + 8)..]).AsInt32());
                var (low, upper) = (lowCodes * ratios + addends, highCodes * ratios + addends);
                if (!products.IsEmpty)
                    (low, upper) = (low + InSteps(products[i..], steps), upper + InSteps(products[(i + 8)..], steps));
                var code = Vector256.NarrowWithSaturation(lowCodes, highCodes);
                // Rounded to the nearest whole number, what is left is the lower half as it is, with its sign.
                var left = Vector256.Narrow(low, upper);
                var nearest = Vector256.NarrowWithSaturation(low >> 16, upper >> 16) - (left >> 15);
                var rounded = Vector256.Min(Vector256.Max(nearest, lowest), highest);
                // Beyond the ends it is more than half.
                var isInside = Vector256.Equals(nearest, rounded);
                var mirrored = Vector256.ConditionalSelect(isInside, left, nearest) >> 15;
                var isEdge = Vector256.LessThan(code, lowEdge) | Vector256.GreaterThan(code, highEdge);
                var activity = columnScales.IsEmpty
                    ? rowActivity
                    : Activity(rowScale + Vector256.NarrowWithSaturation(Vector256.Create(columnScales[i..]), Vector256.Create(columnScales[(i + 8)..])));
                var context = activity << 4 | isEdge & Vector256.Create((short)8) | Place.Of(left) & isInside;
                Vector128.Narrow(context.GetLower().AsUInt16(), context.GetUpper().AsUInt16()).CopyTo(contexts[i..]);
                var ((lowWords, highWords), (lowMirrors, highMirrors)) = (Vector256.Widen(rounded.AsUInt16()), Vector256.Widen(mirrored));
                (lowWords | lowMirrors.AsUInt32() & Vector256.Create(FloatPrediction.Mirror)).CopyTo(predicted[i..]);
                (highWords | highMirrors.AsUInt32() & Vector256.Create(FloatPrediction.Mirror)).CopyTo(predicted[(i + 8)..]);
            }
        }
        return i;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector256<int> InSteps(ReadOnlySpan<int> products, Vector256<float> steps) => Vector256.ConvertToInt32(Vector256.Min(
        Vector256.Max(Vector256.ConvertToSingle(Vector256.Create(products)) * steps, Vector256.Create(-MostAddend)), Vector256.Create(MostAddend)));

    /// <summary>Scales of 0 and less have activity 0, those of 24 and more 15.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector256<short> Activity(Vector256<short> scale)
    {
        var inside = Vector256.Min(Vector256.Max(scale, Vector256<short>.Zero), Vector256.Create((short)24));
        return Vector256.Min((inside * 171) >> 8, Vector256.Create((short)15));
    }

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

    /// <summary>Puts new codes together from predictions and symbols; large ones take their raw bits from <paramref name="numbers"/>.</summary>
    /// <returns>False when a symbol breaks the rules.</returns>
    public static bool Rebuild(
        Lattice lattice, ReadOnlySpan<uint> predicted, ReadOnlySpan<byte> symbols, Span<ushort> large, ref RawNumbers numbers,
        Span<uint> codes, bool vectors)
    {
        var done = vectors && Vector256.IsHardwareAccelerated ? RebuildVectors(lattice, predicted, symbols, codes) : 0;
        for (var i = done; i < codes.Length; i++)
            codes[i] = Add(lattice, predicted[i], Token.UnZigZag(symbols[i]));
        foreach (var i in large[..Token.FindLarge(symbols, large)])
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
