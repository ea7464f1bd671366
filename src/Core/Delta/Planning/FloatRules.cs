namespace Coppice.Delta.Planning;

/// <summary>Finds the parameter of a rule that makes new floats from old ones.</summary>
static class FloatRules
{
    /// <summary>Share of elements that must have become zero before pruning is thought of.</summary>
    const double LeastPruned = 0.001;

    /// <summary>The magnitude below which old elements became zero, when few elements say otherwise.</summary>
    public static uint? Threshold(Elements made, Elements old)
    {
        var lattice = made.Lattice;
        var magnitude = lattice.Mask >> 1;
        var shift = Math.Max(0, lattice.Bits - 17); // 16 bits of magnitude are compared
        var (zeroed, kept) = (new int[1 << 16], new int[1 << 16]);
        var count = 0;
        for (var i = 0; i < made.Words.Length; i++)
        {
            var size = old.Words[i] & magnitude;
            if (size == 0)
                continue;
            var isZero = (made.Words[i] & magnitude) == 0;
            (isZero ? zeroed : kept)[size >> shift]++;
            count += isZero ? 1 : 0;
        }
        if (count < LeastPruned * made.Words.Length || count == 0)
            return null;
        // Wrong ones: kept ones below, and zeroed ones above.
        var (wrong, best) = (count, (Wrong: count, Threshold: 0));
        for (var size = 0; size < zeroed.Length; size++)
        {
            wrong += kept[size] - zeroed[size];
            if (wrong < best.Wrong)
                best = (wrong, size + 1);
        }
        return best.Wrong * 2 < count ? (uint)best.Threshold << shift : null;
    }

    /// <summary>The factor between old and new, when the two are alike and it is not one.</summary>
    public static float? Gain(Elements made, Elements old)
    {
        double product = 0, square = 0, newSquare = 0;
        for (var i = 0; i < made.Words.Length; i++)
        {
            double a = FloatValue.Finite(old.Lattice, old.Words[i]), b = FloatValue.Finite(made.Lattice, made.Words[i]);
            product += a * b;
            square += a * a;
            newSquare += b * b;
        }
        if (square == 0 || newSquare == 0 || product * product < 0.9 * square * newSquare)
            return null;
        // A factor that a person would choose is met exactly.
        var gain = (float)(product / square);
        var round = (float)Math.Round(gain * 1e4) / 1e4f;
        gain = Math.Abs(round - gain) < 2e-5 * Math.Abs(gain) ? round : gain;
        return float.IsFinite(gain) && Math.Abs(gain - 1) > 1e-3 ? gain : null;
    }

    public static float[] Difference(Elements made, Elements old)
    {
        var difference = new float[made.Words.Length];
        for (var i = 0; i < difference.Length; i++)
            difference[i] = FloatValue.Factorable(FloatValue.Finite(made.Lattice, made.Words[i]) - FloatValue.Finite(old.Lattice, old.Words[i]));
        return difference;
    }
}
