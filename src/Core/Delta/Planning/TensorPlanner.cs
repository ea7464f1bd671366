using Coppice.Delta.Tensors;

namespace Coppice.Delta.Planning;

/// <summary>What may be tried on a tensor.</summary>
/// <param name="Ranks">Ranks of the low-rank prediction; none at the fastest level.</param>
/// <param name="Errors">Rounding errors of factors to try, relative to what the prediction leaves.</param>
/// <param name="SampleElements">Elements that costs are measured on, at most 65,536.</param>
sealed record PlanEffort(int[] Ranks, double[] Errors, int SampleElements);

/// <summary>Chooses how a tensor is coded: measures every technique that may fit on a sample of its rows.</summary>
sealed class TensorPlanner(PlanEffort effort, FrameScratch scratch)
{
    const int LeastLowRankElements = 8192;

    /// <summary>The cheapest way found, and about how many bits it takes.</summary>
    public (TensorWork Work, double Bits) Plan(Elements made, Elements? old, long oldOffset, ReadOnlySpan<long> shape, bool transposed)
    {
        var best = (Work: (TensorWork?)null, Bits: double.PositiveInfinity, Columns: false);
        foreach (var columns in Geometry.Columns(shape, made.Words.Length, made.Lattice.UnitElements))
            if (!transposed || columns == shape[^1])
                foreach (var work in Candidates(made, old, oldOffset, columns, transposed))
                    Consider(work, ref best);
        if (old is not null && effort.Ranks.Length != 0)
            foreach (var columns in Geometry.Columns(shape, made.Words.Length, made.Lattice.UnitElements).Take(1))
                TryLowRank(made, old, oldOffset, columns, transposed, ref best);

        // Estimates leave the scales of the sample behind.
        var record = best.Work!.Record;
        (record.ColumnScales, record.ScaleBase) = ([], 0);
        record.Flags = record.Flags & ~TensorFlags.ColumnScales | (best.Columns ? TensorFlags.ColumnScales : 0);
        return (best.Work, best.Bits);
    }

    void Consider(TensorWork work, ref (TensorWork? Work, double Bits, bool Columns) best)
    {
        var rows = SampleRows(work.Record);
        foreach (var columns in (bool[])[false, true])
        {
            if (columns && work.Record.Rows < 8)
                continue;
            var bits = FrameCoder.Estimate(work, rows, columns, scratch);
            if (bits < best.Bits)
                best = (work, bits, columns);
        }
    }

    int[] SampleRows(TensorRecord tensor)
    {
        var rows = tensor.Rows;
        var wanted = Math.Clamp(effort.SampleElements / tensor.Columns, 1, rows);
        var sample = new int[wanted];
        for (var i = 0; i < sample.Length; i++)
            sample[i] = (int)(i * rows / wanted);
        return sample;
    }

    static IEnumerable<TensorWork> Candidates(Elements made, Elements? old, long oldOffset, int columns, bool transposed)
    {
        if (!made.Lattice.IsFloat)
        {
            yield return New(Technique.Integer, made, null, 0, columns, TensorFlags.None);
            if (old is not null)
                yield return Integer(made, old, oldOffset, columns, transposed, null);
            yield break;
        }
        if (made.Lattice.Mantissa >= 2)
            yield return New(Technique.FloatFields, made, null, 0, columns, TensorFlags.None);
        if (old is null)
            yield break;
        var flags = transposed ? TensorFlags.Transposed : TensorFlags.None;
        if (old.Lattice.Kind != made.Lattice.Kind)
        {
            yield return Arithmetic(New(Technique.FloatDifference, made, old, oldOffset, columns, flags | TensorFlags.Arithmetic));
            yield break;
        }
        if (FloatRules.Threshold(made, old) is { } threshold)
        {
            var pruned = New(Technique.FloatDifference, made, old, oldOffset, columns, flags | TensorFlags.Threshold);
            pruned.Record.Threshold = threshold;
            yield return pruned;
        }
        yield return New(Technique.FloatDifference, made, old, oldOffset, columns, flags);
        if (made.Lattice.Mantissa >= 2)
            yield return New(Technique.FloatFields, made, old, oldOffset, columns, flags);
        if (made.Lattice.HasArithmetic && FloatRules.Gain(made, old) is { } gain)
        {
            var scaled = Arithmetic(New(Technique.FloatDifference, made, old, oldOffset, columns, flags | TensorFlags.Arithmetic));
            scaled.Record.Gain = gain;
            yield return scaled;
        }
    }

    static TensorWork New(Technique technique, Elements made, Elements? old, long oldOffset, int columns, TensorFlags flags) => new()
    {
        Record = new TensorRecord
        {
            Technique = technique,
            Lattice = made.Lattice,
            Elements = made.Words.Length,
            Columns = columns,
            Flags = flags | (old is null ? 0 : TensorFlags.Old),
            OldOffset = oldOffset,
            OldLattice = old?.Lattice ?? default,
        },
        New = made,
        Old = old,
    };

    static TensorWork Arithmetic(TensorWork work)
    {
        work.Record.PlaceBits = work.Record.Lattice.Bits == 32 ? 0 : 3;
        return work;
    }

    static TensorWork Integer(Elements made, Elements old, long oldOffset, int columns, bool transposed, LowRankFit? fit)
    {
        var plain = New(Technique.Integer, made, old, oldOffset, columns, transposed ? TensorFlags.Transposed : TensorFlags.None);
        return new()
        {
            Record = WithFactors(plain.Record, fit),
            New = made,
            Old = old,
            Ratios = made.Lattice.IsBlock ? [] : IntegerRules.Ratios(made, old, columns),
            Left = fit?.Left ?? [],
            LeftScales = fit?.LeftScales ?? [],
            RightScales = fit?.RightScales ?? [],
        };
    }

    static TensorRecord WithFactors(TensorRecord record, LowRankFit? fit)
    {
        if (fit is null)
            return record;
        record.Flags |= TensorFlags.Arithmetic;
        record.PlaceBits = record.Lattice.Bits == 32 || !record.Lattice.IsFloat ? 0 : 3;
        (record.Rank, record.Step, record.ComponentScales, record.Right) = (fit.Rank, fit.Step, fit.ComponentScales, fit.Right);
        return record;
    }

    void TryLowRank(
        Elements made, Elements old, long oldOffset, int columns, bool transposed, ref (TensorWork? Work, double Bits, bool Columns) best)
    {
        var count = made.Words.Length;
        var rows = count / columns;
        if (columns < TensorRecord.LeastRankColumns || rows < 32 || rows * columns != count || count < LeastLowRankElements
            || made.Lattice.IsFloat && !(made.Lattice.HasArithmetic && old.Lattice.HasArithmetic))
            return;
        var difference = made.Lattice.IsFloat ? FloatRules.Difference(made, old) : IntegerRules.Difference(made, old, columns);
        var most = Math.Min(effort.Ranks.Max(), Math.Min(rows, columns) / 2 & ~1);
        if (most < 2)
            return;
        var factors = Factorisation.Of(difference, rows, columns, most);
        if (factors.Singular[0] <= 0 || Explains(factors, most) < 0.1)
            return;

        var before = best.Bits;
        var (rank, error) = (0, effort.Errors[0]);
        foreach (var tried in effort.Ranks.Select(r => Math.Min(r, most)).Distinct())
            if (TryFit(made, old, oldOffset, columns, transposed, factors, tried, error, ref best))
                rank = tried;
        if (rank == 0)
            return;
        foreach (var tried in effort.Errors.Skip(1))
            TryFit(made, old, oldOffset, columns, transposed, factors, rank, tried, ref best);
    }

    /// <summary>Share of the difference's energy in its first components.</summary>
    static double Explains(Factorisation factors, int rank) => factors.Energy == 0 ? 0 : factors.Singular.Take(rank).Sum(s => s * s) / factors.Energy;

    bool TryFit(
        Elements made, Elements old, long oldOffset, int columns, bool transposed, Factorisation factors, int rank, double error,
        ref (TensorWork? Work, double Bits, bool Columns) best)
    {
        var count = made.Words.Length;
        var left = Math.Max(factors.Energy * 1e-6, factors.Energy - factors.Singular.Take(rank).Sum(s => s * s));
        var fit = LowRankFit.Of(factors, count / columns, columns, rank, error * Math.Sqrt(left / count));
        if (!float.IsFinite(fit.Step) || fit.Step == 0)
            return false;
        TensorWork work;
        if (made.Lattice.IsFloat)
        {
            var plain = New(Technique.FloatDifference, made, old, oldOffset, columns, transposed ? TensorFlags.Transposed : TensorFlags.None);
            work = new()
            {
                Record = WithFactors(plain.Record, fit),
                New = made,
                Old = old,
                Left = fit.Left,
                LeftScales = fit.LeftScales,
                RightScales = fit.RightScales,
            };
        }
        else
        {
            work = Integer(made, old, oldOffset, columns, transposed, fit);
        }
        var before = best.Bits;
        Consider(work, ref best);
        return best.Bits < before;
    }
}
