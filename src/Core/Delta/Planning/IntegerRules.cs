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
        var half = Lattice.Of(LatticeKind.Float16);
        var ratios = made.Lattice.IsBlock ? [] : Ratios(made, old, columns);
        for (var i = 0; i < difference.Length; i++)
            difference[i] = made.Lattice.IsBlock
                ? (int)made.Words[i] * FloatValue.Finite(half, made.Steps[i / 32]) - (int)old.Words[i] * FloatValue.Finite(half, old.Steps[i / 32])
                : (int)made.Words[i] - (int)old.Words[i] * (ratios[i / columns] / 65536f);
        return difference;
    }
}
