namespace Coppice.Numerics;

/// <summary>Both ends of what a figure may be.</summary>
public readonly record struct Interval(double Low, double High);

/// <summary>What counts say of a rate, however often somebody looks: exact for every sample size and every moment of stopping.</summary>
/// <remarks>
/// The beta-binomial mixture of Howard, Ramdas, McAuliffe and Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences",
/// Annals of Statistics 49(2), 2021, propositions 6 and 7, as in their package confseq. With x hits in n tries and a rate p,
/// ln M = -x ln p - (n - x) ln(1 - p) + ln B(r/p + n - x, r/(1 - p) + x) - ln B(r/p, r/(1 - p)), B incomplete at 1 - p for one side.
/// M is a supermartingale when the rate is p, so that by Ville's inequality it ever reaches 1/α with chance at most α.
/// r is chosen to be sharpest at a number of tries. Tries may be correlated with nothing but their own past.
/// </remarks>
public static class RateSequence
{
    const double AlphaSharp = 0.05;

    /// <summary>ln M against "the rate is at most <paramref name="rate"/>": large when there are too many hits.</summary>
    /// <param name="hits">0 to <paramref name="tries"/>.</param>
    /// <param name="tries">0 and up.</param>
    /// <param name="rate">Above 0 and below 1.</param>
    /// <param name="sharpAt">The number of tries at which it is to be sharpest.</param>
    public static double LogEvidenceAbove(long hits, long tries, double rate, double sharpAt) => OneSided(hits, tries, rate, sharpAt);

    /// <summary>ln M against "the rate is at least <paramref name="rate"/>": large when there are too few hits.</summary>
    public static double LogEvidenceBelow(long hits, long tries, double rate, double sharpAt) => OneSided(tries - hits, tries, 1 - rate, sharpAt);

    /// <summary>The always-valid p-value of "the rate is at most <paramref name="rate"/>".</summary>
    public static double PAbove(long hits, long tries, double rate, double sharpAt) => Math.Min(1, Math.Exp(-LogEvidenceAbove(hits, tries, rate, sharpAt)));

    /// <summary>The always-valid p-value of "the rate is at least <paramref name="rate"/>".</summary>
    public static double PBelow(long hits, long tries, double rate, double sharpAt) => Math.Min(1, Math.Exp(-LogEvidenceBelow(hits, tries, rate, sharpAt)));

    /// <summary>The highest rate that the hits exceed; with chance 1 - α the true rate is never below it.</summary>
    public static double LowerBound(long hits, long tries, double alpha, double sharpAt) =>
        hits == 0 ? 0 : Bisect(0, (double)hits / tries, rate => OneSided(hits, tries, rate, sharpAt) > -Math.Log(alpha), towardsHigh: true);

    /// <summary>The lowest rate that the hits stay below; with chance 1 - α the true rate is never above it.</summary>
    public static double UpperBound(long hits, long tries, double alpha, double sharpAt) =>
        1 - LowerBound(tries - hits, tries, alpha, sharpAt);

    /// <summary>Both bounds at once, with chance 1 - α together: <c>bernoulli_confidence_interval</c> of confseq.</summary>
    public static Interval TwoSided(long hits, long tries, double alpha, double sharpAt, double alphaSharp = AlphaSharp)
    {
        if (tries == 0)
            return new(0, 1);
        var seen = (double)hits / tries;
        bool Excluded(double rate) => TwoSidedLogEvidence(hits, tries, rate, sharpAt, alphaSharp) > -Math.Log(alpha);
        return new(hits == 0 ? 0 : Bisect(0, seen, Excluded, towardsHigh: true), hits == tries ? 1 : Bisect(seen, 1, Excluded, towardsHigh: false));
    }

    /// <summary>ln M against "the rate is <paramref name="rate"/>", for both sides.</summary>
    public static double TwoSidedLogEvidence(long hits, long tries, double rate, double sharpAt, double alphaSharp = AlphaSharp)
    {
        Check(hits, tries, rate);
        var spread = Spread(rate, sharpAt, alphaSharp);
        var (a, b) = (spread / rate, spread / (1 - rate));
        return -hits * Math.Log(rate) - (tries - hits) * SpecialFunctions.LogOnePlus(-rate)
            + SpecialFunctions.LogBeta(a + tries - hits, b + hits) - SpecialFunctions.LogBeta(a, b);
    }

    static double OneSided(long hits, long tries, double rate, double sharpAt)
    {
        Check(hits, tries, rate);
        if (tries == 0)
            return 0;
        var spread = Spread(rate, sharpAt, 2 * AlphaSharp);
        var (a, b) = (spread / rate, spread / (1 - rate));
        var (after, other) = (a + tries - hits, b + hits);
        return -hits * Math.Log(rate) - (tries - hits) * SpecialFunctions.LogOnePlus(-rate)
            + SpecialFunctions.LogBetaBelow(after, other, 1 - rate) + SpecialFunctions.LogBeta(after, other)
            - SpecialFunctions.LogBetaBelow(a, b, 1 - rate) - SpecialFunctions.LogBeta(a, b);
    }

    /// <summary>r of the mixture.</summary>
    static double Spread(double rate, double sharpAt, double alpha)
    {
        var variance = rate * (1 - rate);
        return Math.Max(MeanSequence.BestRho(variance * sharpAt, alpha) - variance, 1e-3 * variance);
    }

    static void Check(long hits, long tries, double rate)
    {
        if (hits < 0 || hits > tries)
            throw new ArgumentOutOfRangeException(nameof(hits), hits, $"Hits are 0 to the {tries} tries.");
        if (rate is not (> 0 and < 1))
            throw new ArgumentOutOfRangeException(nameof(rate), rate, "A rate above 0 and below 1 is wanted.");
    }

    /// <summary>Where rates stop being excluded, between an end that is and a middle that is not.</summary>
    static double Bisect(double low, double high, Func<double, bool> excluded, bool towardsHigh)
    {
        for (var i = 0; i < 60; i++)
        {
            var middle = low + (high - low) / 2;
            if (middle <= low || middle >= high)
                break;
            if (excluded(middle) == towardsHigh)
                low = middle;
            else
                high = middle;
        }

        return towardsHigh ? low : high; // on the side that claims less
    }
}
