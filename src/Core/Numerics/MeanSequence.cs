namespace Coppice.Numerics;

/// <summary>What samples say of a mean, however often somebody looks: valid as the samples grow many, whatever their distribution.</summary>
/// <remarks>
/// Asymptotic confidence sequences of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit theory and asymptotic
/// confidence sequences" (arXiv 2103.06476v7): equation 9 for two sides, 134 for one, 155 for the p-value and 161 for ρ, with GrowthBook's
/// parametrisation. The p-value is Johari's mSPRT with ρ = τ/σ. Give no verdict on fewer than some thirty samples.
/// </remarks>
public static class MeanSequence
{
    /// <summary>GrowthBook's default for the number of samples at which the sequence is to be sharpest.</summary>
    public const double SharpAt = 5000;

    /// <summary>ρ of the normal mixture over a variance process: <c>TwoSidedNormalMixture::best_rho</c> of confseq.</summary>
    public static double BestRho(double variance, double alpha)
    {
        var twice = -2 * Math.Log(alpha);
        return variance / (twice + Math.Log(1 + twice));
    }

    /// <summary>How far a sum with a variance process of <paramref name="variance"/> may ever be from its mean, two-sided: confseq's <c>normal_mixture_bound</c>.</summary>
    public static double NormalBound(double variance, double alpha, double sharpAt, double alphaSharp = 0.05)
    {
        var rho = BestRho(sharpAt, alphaSharp);
        return Math.Sqrt((variance + rho) * (Math.Log(1 + variance / rho) - 2 * Math.Log(alpha)));
    }

    /// <summary>ln of the one-sided normal mixture: confseq's <c>normal_log_mixture</c>.</summary>
    public static double OneSidedNormalLogEvidence(double sum, double variance, double sharpAt, double alphaSharp = 0.05)
    {
        var rho = BestRho(sharpAt, 2 * alphaSharp);
        return 0.5 * Math.Log(4 * rho / (variance + rho)) + sum * sum / (2 * (variance + rho)) + Math.Log(SpecialFunctions.NormalBelow(sum / Math.Sqrt(variance + rho)));
    }

    /// <summary>ρ of the mean's sequence.</summary>
    public static double Rho(double alpha, double sharpAt = SharpAt) => Math.Sqrt((-2 * Math.Log(alpha) + Math.Log(1 - 2 * Math.Log(alpha))) / sharpAt);

    /// <summary>Half the width of the two-sided sequence.</summary>
    /// <param name="standardError">Of the estimate.</param>
    /// <param name="samples">How many it rests on.</param>
    /// <param name="alpha">Chance that the true mean is ever outside.</param>
    /// <param name="sharpAt">Number of samples at which it is to be sharpest.</param>
    public static double HalfWidth(double standardError, double samples, double alpha, double sharpAt = SharpAt)
    {
        var rho = Rho(alpha, sharpAt);
        var grown = samples * rho * rho + 1;
        return standardError * Math.Sqrt(samples) * Math.Sqrt(2 * grown * Math.Log(Math.Sqrt(grown) / alpha) / (samples * rho * samples * rho));
    }

    /// <summary>Distance of the one-sided bound from the estimate.</summary>
    public static double OneSidedWidth(double standardError, double samples, double alpha, double sharpAt = SharpAt)
    {
        var rho = Rho(2 * alpha, sharpAt);
        var grown = samples * rho * rho + 1;
        return standardError * Math.Sqrt(samples) * Math.Sqrt(2 * grown / (samples * rho * samples * rho) * Math.Log(1 + Math.Sqrt(grown) / (2 * alpha)));
    }

    /// <summary>The always-valid p-value of "the mean is 0", two-sided.</summary>
    public static double P(double estimate, double standardError, double samples, double rho)
    {
        var grown = samples * rho * rho + 1;
        var square = estimate * estimate * samples / (standardError * standardError);
        return Math.Min(1, Math.Sqrt(grown) * Math.Exp(-rho * rho * square / (2 * grown)));
    }

    /// <summary>The always-valid p-value of "the mean is at most 0": the α at which the one-sided bound is just 0.</summary>
    /// <remarks>Equation 134 solved for α with ρ fixed: √(nρ² + 1) / (2 (exp(ρ²S² / (2(nρ² + 1))) - 1)).</remarks>
    public static double PAbove(double estimate, double standardError, double samples, double rho)
    {
        if (!(estimate > 0))
            return 1;
        if (standardError == 0)
            return 0;
        var grown = samples * rho * rho + 1;
        var square = estimate * estimate * samples / (standardError * standardError);
        return Math.Min(1, Math.Sqrt(grown) / (2 * SpecialFunctions.ExpMinusOne(rho * rho * square / (2 * grown))));
    }
}

/// <summary>Count, mean and spread of figures, added one by one or merged (Welford; Chan, Golub and LeVeque).</summary>
/// <param name="Count">How many.</param>
/// <param name="Mean">Their mean; 0 for none.</param>
/// <param name="Squares">Sum of squared differences from the mean.</param>
public readonly record struct Moments(long Count, double Mean, double Squares)
{
    /// <summary>With one more.</summary>
    public Moments Add(double value)
    {
        var off = value - Mean;
        var mean = Mean + off / (Count + 1);
        return new(Count + 1, mean, Squares + off * (value - mean));
    }

    /// <summary>With others.</summary>
    public Moments Merge(Moments other)
    {
        if (other.Count == 0)
            return this;
        if (Count == 0)
            return other;
        var (count, off) = (Count + other.Count, other.Mean - Mean);
        return new(count, Mean + off * other.Count / count, Squares + other.Squares + off * off * ((double)Count * other.Count / count));
    }

    /// <summary>Of a sum and a sum of squares.</summary>
    public static Moments Of(long count, double sum, double squares) => count == 0 ? default : new(count, sum / count, Math.Max(0, squares - sum * sum / count));

    /// <summary>The unbiased variance; 0 for fewer than two.</summary>
    public double Variance => Count < 2 ? 0 : Squares / (Count - 1);

    /// <summary>The variance of the mean.</summary>
    public double VarianceOfMean => Count == 0 ? 0 : Variance / Count;
}
