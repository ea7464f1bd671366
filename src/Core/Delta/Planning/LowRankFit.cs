namespace Coppice.Delta.Planning;

/// <summary>Low-rank factors in whole numbers of one step, as they are sent.</summary>
sealed record LowRankFit(int Rank, float Step, short[] Left, short[] LeftScales, byte[] ComponentScales, short[] Right, short[] RightScales)
{
    const int Most = 16383;

    /// <summary>Rounds factors so that rounding adds about <paramref name="error"/> to every product.</summary>
    /// <param name="factors">Real factors, of at least <paramref name="rank"/> components.</param>
    /// <param name="rows">Rows of the matrix.</param>
    /// <param name="columns">Columns of the matrix.</param>
    /// <param name="rank">Components to keep.</param>
    /// <param name="error">Root of the mean square that rounding may add; above zero.</param>
    public static LowRankFit Of(Factorisation factors, int rows, int columns, int rank, double error)
    {
        var sum = 0.0;
        for (var k = 0; k < rank; k++)
            sum += factors.Singular[k];
        // A step of s makes an error of s²/12 in every factor, which is multiplied by the squared size of the other side's row.
        var leftStep = Math.Max(error * Math.Sqrt(6 * columns / sum), Largest(factors.Left, factors.Rank, rank) / Most);
        var rightStep = Math.Max(error * Math.Sqrt(6 * rows / sum), Largest(factors.Right, factors.Rank, rank) / Most);
        var (even, step) = (rank + (rank & 1), (float)(leftStep * rightStep));

        var left = Round(factors.Left, factors.Rank, rank, even, rows, leftStep);
        var right = Round(factors.Right, factors.Rank, rank, even, columns, rightStep);
        var scales = new byte[even];
        for (var k = 0; k < even; k++)
            scales[k] = (byte)Math.Clamp(SizeOf(left, k, even, rows) + 16, 0, 48);
        var (leftScales, rightScales) = (LineScales(left, even, scales), LineScales(right, even, scales));

        var paired = new short[right.Length];
        for (var column = 0; column < columns; column++)
            for (var k = 0; k < even; k++)
                paired[(k >> 1) * 2 * columns + 2 * column + (k & 1)] = right[column * even + k];
        return new(even, step, left, leftScales, scales, paired, rightScales);
    }

    static double Largest(float[] factors, int stride, int rank)
    {
        var largest = 1e-30f;
        for (var i = 0; i < factors.Length; i += stride)
            foreach (var value in factors.AsSpan(i, rank))
                largest = Math.Max(largest, Math.Abs(value));
        return largest;
    }

    static short[] Round(float[] factors, int stride, int rank, int even, int lines, double step)
    {
        var rounded = new short[lines * even];
        for (var line = 0; line < lines; line++)
            for (var k = 0; k < rank; k++)
                rounded[line * even + k] = (short)Math.Round(factors[line * stride + k] / step);
        return rounded;
    }

    static int SizeOf(short[] factors, int component, int stride, int lines)
    {
        var sum = 0.0;
        for (var line = 0; line < lines; line++)
            sum += (double)factors[line * stride + component] * factors[line * stride + component];
        return FrameCoder.HalfOctaves(Math.Sqrt(sum / lines) + 0.01);
    }

    /// <summary>How much larger the factors of each row or column are than their components' usual size.</summary>
    static short[] LineScales(short[] factors, int rank, byte[] components)
    {
        var scales = new short[factors.Length / rank];
        var squares = new double[rank];
        for (var k = 0; k < rank; k++)
            squares[k] = 1 / Math.Pow(2, components[k] - 16);
        for (var line = 0; line < scales.Length; line++)
        {
            var sum = 0.0;
            for (var k = 0; k < rank; k++)
                sum += Math.Min(squares[k], 1e4) * factors[line * rank + k] * factors[line * rank + k];
            scales[line] = (short)Math.Clamp(FrameCoder.HalfOctaves(Math.Sqrt(sum / rank) + 0.02), -24, 24);
        }
        return scales;
    }
}
