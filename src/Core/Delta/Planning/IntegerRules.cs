using Coppice.Delta.Tensors;

namespace Coppice.Delta.Planning;

/// <summary>How integer codes follow from old ones.</summary>
static class IntegerRules
{
    /// <summary>Per row, the factor of least squares between old and new codes, as it is sent.</summary>
    public static int[] Ratios(Elements made, Elements old, int columns)
    {
        var ratios = new int[(made.Words.Length + columns - 1) / columns];
        for (var row = 0; row < ratios.Length; row++)
        {
            long product = 0, square = 0;
            for (var i = row * columns; i < Math.Min(made.Words.Length, (row + 1) * columns); i++)
            {
                product += (long)(int)old.Words[i] * (int)made.Words[i];
                square += (long)(int)old.Words[i] * (int)old.Words[i];
            }
            ratios[row] = square == 0 ? 1 << 16 : FrameSide.RoundRatio((double)product / square);
        }
        return ratios;
    }

    /// <summary>What a low-rank prediction should give: in codes for integers, in values for blocks.</summary>
    public static float[] Difference(Elements made, Elements old, int columns)
    {
        var difference = new float[made.Words.Length];
        if (made.Lattice.IsBlock)
        {
            var half = Lattice.Of(LatticeKind.Float16);
            for (var start = 0; start < difference.Length; start += 32)
                Subtract(made, old, start, 32, FloatValue.Finite(half, made.Steps[start / 32]), FloatValue.Finite(half, old.Steps[start / 32]), difference);
            return difference;
        }

        var ratios = Ratios(made, old, columns);
        for (var row = 0; row < ratios.Length; row++)
            Subtract(made, old, row * columns, Math.Min(columns, difference.Length - row * columns), 1, ratios[row] / 65536f, difference);
        return difference;
    }

    static void Subtract(Elements made, Elements old, int start, int count, float newStep, float oldStep, float[] difference)
    {
        var now = made.Words.AsSpan(start, count);
        var past = old.Words.AsSpan(start, count);
        var into = difference.AsSpan(start, count);
        for (var i = 0; i < into.Length; i++)
            into[i] = (int)now[i] * newStep - (int)past[i] * oldStep;
    }
}
