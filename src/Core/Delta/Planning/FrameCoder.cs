using Coppice.Delta.Entropy;
using Coppice.Delta.Tensors;

namespace Coppice.Delta.Planning;

/// <summary>Turns the elements of a planned tensor into symbols, and measures what they cost.</summary>
static class FrameCoder
{
    const bool Vectors = true;

    /// <summary>Half octaves: twice the binary logarithm, rounded.</summary>
    public static int HalfOctaves(double size) => (int)Math.Round(2 * Math.Log2(Math.Max(size, 1e-36)));

    public static void Predict(TensorRecord tensor, FrameScratch scratch, int count)
    {
        switch (tensor.Technique)
        {
            case Technique.FloatDifference:
                FloatPrediction.Predict(tensor, scratch, 0, count, Vectors && BitConverter.IsLittleEndian);
                break;
            case Technique.Integer:
                IntegerPrediction.Predict(tensor, scratch, 0, count, Vectors && BitConverter.IsLittleEndian);
                break;
            default:
                FloatFields.Contexts(tensor, scratch, 0, count);
                break;
        }
    }

    /// <summary>Symbols, and the raw bits that belong to them, of the elements in the scratch; contexts must be there.</summary>
    /// <returns>Elements that are not as predicted.</returns>
    public static int Symbols(TensorRecord tensor, FrameScratch scratch, int count, BitWriter raw)
    {
        if (tensor.Technique == Technique.FloatFields)
        {
            FloatFields.Code(tensor, scratch, count, raw);
            return count;
        }
        var lattice = tensor.Lattice;
        var floats = tensor.Technique == Technique.FloatDifference;
        var changed = 0;
        for (var i = 0; i < count; i++)
        {
            var difference = floats
                ? FloatDifference.Of(lattice, scratch.Predicted[i], scratch.New[i])
                : IntegerPrediction.Difference(lattice, scratch.Predicted[i], scratch.New[i]);
            var number = Token.ZigZag(difference);
            var token = Token.Of(number);
            scratch.Symbols[i] = token;
            changed += number == 0 ? 0 : 1;
            if (token >= Token.Literals)
                raw.Write(number - Token.Base[token], Token.RawBits[token]);
        }
        return changed;
    }

    /// <summary>Adds the size of each element's difference to its row's and its column's sum.</summary>
    public static void Measure(TensorRecord tensor, FrameScratch scratch, int count, Span<double> rowSums, Span<double> columnSums)
    {
        for (int start = 0, row = 0; start < count; row++)
        {
            var length = Math.Min(tensor.Columns, count - start);
            rowSums[row] = tensor.Technique switch
            {
                Technique.FloatFields => FieldSizes(tensor.Lattice, scratch.New.AsSpan(start, length), columnSums),
                Technique.FloatDifference => FloatSizes(tensor.Lattice, scratch.Predicted.AsSpan(start, length), scratch.New.AsSpan(start, length), columnSums),
                _ => IntegerSizes(tensor.Lattice, scratch, start, length, columnSums),
            };
            start += length;
        }
    }

    static double FieldSizes(Lattice lattice, ReadOnlySpan<uint> made, Span<double> columnSums)
    {
        var sum = 0.0;
        for (var column = 0; column < made.Length; column++)
        {
            var size = Math.Abs((double)FloatValue.Finite(lattice, made[column]));
            sum += size;
            columnSums[column] += size;
        }

        return sum;
    }

    static double FloatSizes(Lattice lattice, ReadOnlySpan<uint> expected, ReadOnlySpan<uint> made, Span<double> columnSums)
    {
        var (sum, mask) = (0.0, lattice.Mask);
        for (var column = 0; column < made.Length; column++)
        {
            var predicted = expected[column] & mask;
            if (predicted == made[column])
                continue;
            var size = Math.Abs((double)(FloatValue.Finite(lattice, made[column]) - FloatValue.Finite(lattice, predicted)));
            sum += size;
            columnSums[column] += size;
        }

        return sum;
    }

    /// <summary>Sizes in codes, or, of blocks, in what the codes of a block stand for.</summary>
    static double IntegerSizes(Lattice lattice, FrameScratch scratch, int start, int length, Span<double> columnSums)
    {
        var sum = 0.0;
        var group = lattice.IsBlock ? lattice.Head.GroupElements : 0;
        for (var column = 0; column < length;)
        {
            var at = start + column;
            var end = group != 0 ? Math.Min(length, column + group) : length;
            var step = group != 0 ? Math.Abs((double)scratch.NewSteps[at / group]) : 1;
            step = double.IsFinite(step) ? step : 0;
            var expected = scratch.Predicted.AsSpan(at, end - column);
            var made = scratch.New.AsSpan(at, end - column);
            var columns = columnSums[column..end];
            for (var i = 0; i < made.Length; i++)
            {
                var size = Math.Abs(IntegerPrediction.Difference(lattice, expected[i], made[i])) * step;
                sum += size;
                columns[i] += size;
            }

            column = end;
        }

        return sum;
    }

    /// <summary>Scales from sums of sizes: half octaves relative to the mean size, which goes into the record.</summary>
    public static void SetScales(TensorRecord tensor, ReadOnlySpan<double> rowSums, ReadOnlySpan<double> columnSums, long count, bool columns, Span<int> rowScales)
    {
        var total = 0.0;
        foreach (var sum in rowSums)
            total += sum;
        var mean = total / count;
        var tiny = mean * 1e-3 + 1e-30;
        var middle = Math.Max(HalfOctaves(mean + tiny), -150);
        for (var row = 0; row < rowSums.Length; row++)
        {
            var length = row == rowSums.Length - 1 ? count - (long)row * tensor.Columns : tensor.Columns;
            rowScales[row] = Math.Clamp(HalfOctaves(rowSums[row] / length + tiny) - middle, -64, 64);
        }
        if (columns)
        {
            tensor.Flags |= TensorFlags.ColumnScales;
            tensor.ColumnScales = new int[tensor.Columns];
            for (var column = 0; column < tensor.Columns; column++)
                tensor.ColumnScales[column] = Math.Clamp(HalfOctaves(columnSums[column] * tensor.Columns / count + tiny) - middle, -64, 64);
        }
        tensor.ScaleBase = middle + tensor.Technique switch
        {
            Technique.FloatFields => 2 * tensor.Lattice.Bias,
            Technique.FloatDifference => 2 * (tensor.Lattice.Bias + tensor.Lattice.Mantissa) + 12, // context 12: one step is expected
            _ => tensor.Lattice.IsBlock ? 30 + 16 : 16,
        };
    }

    /// <summary>About the bits that the whole tensor takes, from some of its rows.</summary>
    public static double Estimate(TensorWork work, ReadOnlySpan<int> rows, bool columns, FrameScratch scratch)
    {
        var tensor = work.Record;
        work.RowScales = [];
        (tensor.ColumnScales, tensor.ScaleBase) = ([], 0);
        tensor.Flags &= ~TensorFlags.ColumnScales;
        var count = work.Load(rows, scratch);
        Predict(tensor, scratch, count);
        var rowSums = new double[rows.Length];
        var columnSums = new double[tensor.Columns];
        Measure(tensor, scratch, count, rowSums, columnSums);
        SetScales(tensor, rowSums, columnSums, count, columns, scratch.RowScales.AsSpan(0, rows.Length));
        if (tensor.Technique != Technique.FloatFields && tensor.Technique != Technique.Integer)
            work.Load(rows, scratch, keepScales: true); // a threshold changes the old elements in place
        Predict(tensor, scratch, count);

        var raw = new BitWriter();
        Symbols(tensor, scratch, count, raw);
        var elements = new Histogram();
        elements.Add(scratch.Contexts.AsSpan(0, count), scratch.Symbols.AsSpan(0, count));
        var side = new SideWriter();
        var scales = new short[rows.Length];
        if (work.LeftScales.Length != 0)
            for (var i = 0; i < rows.Length; i++)
                scales[i] = work.LeftScales[rows[i]];
        FrameSide.Write(tensor, count, FrameMode.Coded, side, scratch, scales);
        var header = new SideWriter();
        tensor.WriteSide(header, work.RightScales);
        return (elements.Entropy(CellBits) + raw.Length * 8 + SideBits(side)) * tensor.Elements / count + SideBits(header);
    }

    /// <summary>What a symbol that occurs in a context is charged: part of a table, and what a sample underestimates.</summary>
    const double CellBits = 6;

    static double SideBits(SideWriter side)
    {
        Histogram?[] histograms = [new(), new()];
        side.CountInto(histograms);
        return histograms.Sum(histogram => histogram!.Entropy(2)) + side.RawBits;
    }
}
