using Coppice.Delta.Tensors;
using Coppice.Formats;

namespace Coppice.Delta.Planning;

/// <summary>Elements of one kind that follow each other in a file.</summary>
/// <param name="Offset">First byte.</param>
/// <param name="Lattice">Their kind.</param>
readonly record struct ElementRun(long Offset, Lattice Lattice);

/// <summary>Measures on samples how alike new elements are to old ones.</summary>
sealed class Likeness(OldFiles old, IByteSource made)
{
    const int SampleElements = 2048;
    const int RunElements = 64;

    /// <summary>A glance at so much of the sample tells what is not worth a look.</summary>
    const int GlanceRuns = 8;
    const double LeastAtAGlance = 0.25;

    /// <summary>Correlation of sampled elements, 0 to 1; less than it is where a glance shows that they have nothing in common.</summary>
    /// <param name="now">The new elements.</param>
    /// <param name="past">The old ones: of the same kind, or both of kinds with arithmetic.</param>
    /// <param name="elements">How many.</param>
    /// <param name="turned">Rows and columns of the new ones where the old stand column by column; null where both lie in one order.</param>
    public double Of(ElementRun now, ElementRun past, long elements, (long Rows, long Columns)? turned = null)
    {
        // Runs rather than single elements where both lie in one order: a read costs more than the numbers in it.
        var units = elements / now.Lattice.UnitElements;
        var run = (int)Math.Min(units, turned is null ? Math.Max(1, RunElements / now.Lattice.UnitElements) : 1);
        if (run == 0)
            return 0;
        var runs = Math.Clamp(SampleElements / now.Lattice.UnitElements / run, 1, units / run);
        var sums = default(Sums);
        if (turned is null && runs > GlanceRuns && Add(ref sums, GlanceRuns).Cosine < LeastAtAGlance)
            return sums.Cosine;
        sums = default;
        return Add(ref sums, runs).Cosine;

        Sums Add(ref Sums sums, long count)
        {
            var (a, b) = (new byte[run * now.Lattice.UnitBytes], new byte[run * past.Lattice.UnitBytes]);
            for (var i = 0L; i < count; i++)
            {
                var at = i * (units - run) / Math.Max(1, count - 1);
                var from = turned is { } shape ? at % shape.Columns * shape.Rows + at / shape.Columns : at;
                made.Read(now.Offset + at * now.Lattice.UnitBytes, a);
                old.Read(past.Offset + from * past.Lattice.UnitBytes, b);
                sums.Add(Elements.Unpack(now.Lattice, a), Elements.Unpack(past.Lattice, b));
            }

            return sums;
        }
    }

    struct Sums
    {
        double product;
        double newSquares;
        double oldSquares;

        public readonly double Cosine => newSquares == 0 || oldSquares == 0 ? 0 : Math.Abs(product) / Math.Sqrt(newSquares * oldSquares);

        public void Add(Elements now, Elements past)
        {
            for (var i = 0; i < now.Words.Length; i++)
            {
                var (u, v) = (Value(now, i), Value(past, i));
                (product, newSquares, oldSquares) = (product + u * v, newSquares + u * u, oldSquares + v * v);
            }
        }

        static double Value(Elements elements, int i) => elements.Lattice.IsFloat ? FloatValue.Finite(elements.Lattice, elements.Words[i]) : (int)elements.Words[i];
    }
}
