using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Coppice.Delta.Tensors;

/// <summary>Predicts codes that stand for sixteen values at uneven distances: the nearest value of the new block, and how far the prediction is from it on the way to its neighbour.</summary>
static class LevelPrediction
{
    /// <summary>The values of a kind's codes in units of the step, by code plus 8.</summary>
    /// <param name="Values">In rising order from the lowest predicted one on.</param>
    /// <param name="First">The lowest that is predicted: a lower one is a second zero, which quantisers do not write.</param>
    sealed record Levels(int[] Values, int First)
    {
        /// <summary>Distances to the neighbour above; at the top as far as to the one below.</summary>
        public int[] Above { get; } = [.. Enumerable.Range(0, 16).Select(i => i < First ? 1 : i == 15 ? Values[15] - Values[14] : Values[i + 1] - Values[i])];

        /// <summary>Distances to the neighbour below; at the bottom as far as to the one above.</summary>
        public int[] Below { get; } = [.. Enumerable.Range(0, 16).Select(i => i < First ? 1 : i == First ? Values[i + 1] - Values[i] : Values[i] - Values[i - 1])];

        /// <summary>Where the nearest value changes from one to the next, in 65,536ths of the step.</summary>
        public int[] Bounds { get; } = [.. Enumerable.Range(First, 15 - First).Select(i => (Values[i] + Values[i + 1]) * (GroupRelation.One / 2))];
    }

    /// <summary>ggml's <c>kvalues_iq4nl</c>.</summary>
    static readonly Levels nonLinear = new([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], 0);

    /// <summary>Twice the values of a float with 2 exponent bits and 1 of mantissa; first the negative zero.</summary>
    static readonly Levels float4 = new([0, -12, -8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 12], 1);

    static Levels Of(LatticeKind kind) => kind == LatticeKind.MXFP4 ? float4 : nonLinear;

    /// <summary>Values of codes in units of the step, by code plus 8.</summary>
    public static ReadOnlySpan<int> Values(LatticeKind kind) => Of(kind).Values;

    /// <inheritdoc cref="IntegerPrediction.Row"/>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Row(
        Lattice lattice, ReadOnlySpan<GroupRelation> relations, int group, ReadOnlySpan<int> products, float step, int scale, ReadOnlySpan<int> columnScales,
        ReadOnlySpan<uint> old, Span<uint> predicted, Span<byte> contexts, bool vectors)
    {
        var levels = Of(lattice.Kind);
        if (vectors && Vector256.IsHardwareAccelerated)
        {
            RowVectors(lattice, levels, relations, group, products, step, scale, columnScales, old, predicted, contexts); // blocks fill vectors
            return;
        }
        for (var i = 0; i < old.Length; i++)
        {
            ref readonly var relation = ref relations[i / group];
            var code = (int)old[i];
            var fixedPoint = levels.Values[code + 8] * relation.Ratio;
            if (!products.IsEmpty)
                fixedPoint += (int)Math.Clamp(products[i] * IntegerPrediction.StepOf(step, relation), -GroupRelation.MostAddend, GroupRelation.MostAddend);
            var index = levels.First;
            foreach (var bound in levels.Bounds)
                index += fixedPoint >= bound ? 1 : 0;
            var left = fixedPoint - (levels.Values[index] << 16);
            var offset = Math.Clamp((int)((float)left / (left < 0 ? levels.Below : levels.Above)[index]), -Place.Half, Place.Half);
            var activity = Math.Clamp(((scale - relation.HalfOctaves + (columnScales.IsEmpty ? 0 : columnScales[i])) * 171) >> 8, 0, 15);
            var edge = code <= lattice.Low || code >= lattice.High ? 1 : 0;
            contexts[i] = (byte)(activity << 4 | edge << 3 | Place.Of(offset));
            predicted[i] = (uint)(index - 8) & 0xFFFF | (offset < 0 ? FloatPrediction.Mirror : 0);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void RowVectors(
        Lattice lattice, Levels levels, ReadOnlySpan<GroupRelation> relations, int group, ReadOnlySpan<int> products, float step, int scale, ReadOnlySpan<int> columnScales,
        ReadOnlySpan<uint> old, Span<uint> predicted, Span<byte> contexts)
    {
        var (mostAddend, leastAddend) = (Vector256.Create(GroupRelation.MostAddend), Vector256.Create(-GroupRelation.MostAddend));
        var (half, most, eight) = (Vector256.Create(Place.Half), Vector256.Create(15), Vector256.Create(8));
        var (lowEdge, highEdge) = (Vector256.Create(lattice.Low + 1), Vector256.Create(lattice.High - 1));
        var (i, end) = (0, 0);
        foreach (ref readonly var relation in relations)
        {
            end += group;
            var ratios = Vector256.Create(relation.Ratio);
            var (steps, rowScale) = (Vector256.Create(IntegerPrediction.StepOf(step, relation)), Vector256.Create(scale - relation.HalfOctaves));
            for (; i < end; i += 8)
            {
                var code = Vector256.Create(old[i..]).AsInt32();
                var fixedPoint = Take(levels.Values, code + eight) * ratios;
                if (!products.IsEmpty)
                    fixedPoint += Vector256.ConvertToInt32(Vector256.Min(Vector256.Max(
                        Vector256.ConvertToSingle(Vector256.Create(products[i..])) * steps, leastAddend), mostAddend));
                var index = Vector256.Create(levels.First);
                foreach (var bound in levels.Bounds)
                    index -= Vector256.GreaterThan(fixedPoint, Vector256.Create(bound - 1)); // a true comparison is -1 in its lane
                var left = fixedPoint - (Take(levels.Values, index) << 16);
                var distance = Vector256.ConditionalSelect(Vector256.LessThan(left, Vector256<int>.Zero), Take(levels.Below, index), Take(levels.Above, index));
                var offset = Vector256.ConvertToInt32(Vector256.ConvertToSingle(left) / Vector256.ConvertToSingle(distance));
                offset = Vector256.Min(Vector256.Max(offset, -half), half);
                var sum = columnScales.IsEmpty ? rowScale : rowScale + Vector256.Create(columnScales[i..]);
                var activity = Vector256.Min(Vector256.Max((sum * 171) >> 8, Vector256<int>.Zero), most);
                var edge = Vector256.LessThan(code, lowEdge) | Vector256.GreaterThan(code, highEdge);
                FloatPrediction.Narrow(activity << 4 | edge & eight | Place.Of(offset), contexts[i..]);
                ((index - eight).AsUInt32() & Vector256.Create(0xFFFFu) | offset.AsUInt32() & Vector256.Create(FloatPrediction.Mirror)).CopyTo(predicted[i..]);
            }
        }
    }

    /// <summary>Sixteen numbers, looked up by indices of 0 to 15.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector256<int> Take(int[] table, Vector256<int> index)
    {
        var within = index & Vector256.Create(7);
        return Vector256.ConditionalSelect(
            Vector256.GreaterThan(index, Vector256.Create(7)), Vector256.Shuffle(Vector256.Create(table.AsSpan(8)), within), Vector256.Shuffle(Vector256.Create(table.AsSpan()), within));
    }
}
