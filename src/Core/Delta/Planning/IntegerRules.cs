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
            SubtractBlocks(made, old, difference);
            return difference;
        }

        var ratios = Ratios(made, old, columns);
        for (var row = 0; row < ratios.Length; row++)
            Subtract(made, old, row * columns, Math.Min(columns, difference.Length - row * columns), 1, ratios[row] / 65536f, difference);
        return difference;
    }

    static void SubtractBlocks(Elements made, Elements old, float[] difference)
    {
        var (lattice, head) = (made.Lattice, made.Lattice.Head);
        var (newSteps, newMinima, oldSteps, oldMinima) = (new float[head.Groups], new float[head.Groups], new float[head.Groups], new float[head.Groups]);
        for (int start = 0, field = 0; start < difference.Length; field += head.Fields)
        {
            head.Steps(made.Heads.AsSpan(field, head.Fields), newSteps, newMinima);
            head.Steps(old.Heads.AsSpan(field, head.Fields), oldSteps, oldMinima);
            for (var group = 0; group < head.Groups; group++, start += head.GroupElements)
            {
                var (step, past) = (newSteps[group], oldSteps[group]);
                if (lattice.HasLevels)
                    SubtractLevels(LevelPrediction.Values(lattice.Kind), made, old, start, head.GroupElements, step, past, difference);
                else
                    Subtract(made, old, start, head.GroupElements, step, past, difference);
                var moved = head.HasMinima ? lattice.Zero * (step - past) - (newMinima[group] - oldMinima[group]) : 0;
                foreach (ref var value in difference.AsSpan(start, head.GroupElements))
                    value = FloatValue.Factorable(value + moved);
            }
        }
    }

    static void SubtractLevels(ReadOnlySpan<int> values, Elements made, Elements old, int start, int count, float newStep, float oldStep, float[] difference)
    {
        for (var i = start; i < start + count; i++)
            difference[i] = values[(int)made.Words[i] + 8] * newStep - values[(int)old.Words[i] + 8] * oldStep;
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
