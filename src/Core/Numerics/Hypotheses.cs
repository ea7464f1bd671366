using System.Collections.Immutable;

namespace Coppice.Numerics;

/// <summary>Tests that are looked at once, and what to do when there are many.</summary>
public static class Hypotheses
{
    /// <summary>A sample ratio this unlikely means that the assignment or the reports are broken, not that chance was unkind (as GrowthBook).</summary>
    public const double SampleRatioAlarm = 0.001;

    /// <summary>p-values after Holm's step-down correction: rejecting those up to α is wrong about any of them with chance at most α. With always-valid p-values, at any moment.</summary>
    public static ImmutableArray<double> Holm(params ReadOnlySpan<double> ps)
    {
        var order = Order(ps);
        var adjusted = new double[ps.Length];
        var least = 0.0;
        for (var i = 0; i < order.Length; i++)
            adjusted[order[i]] = least = Math.Max(least, Math.Min(1, (order.Length - i) * ps[order[i]]));
        return [.. adjusted];
    }

    /// <summary>p-values after Benjamini and Hochberg's step-up correction: of those up to α that are rejected, a share of α is wrong on average.</summary>
    public static ImmutableArray<double> BenjaminiHochberg(params ReadOnlySpan<double> ps)
    {
        var order = Order(ps);
        var adjusted = new double[ps.Length];
        var most = 1.0;
        for (var i = order.Length - 1; i >= 0; i--)
            adjusted[order[i]] = most = Math.Min(most, ps[order[i]] * order.Length / (i + 1));
        return [.. adjusted];
    }

    /// <summary>Pearson's χ² test that counts come in given proportions: the chance of counts this far off or further.</summary>
    /// <param name="counts">Of each arm; arms without weight are left out.</param>
    /// <param name="weights">0 and up, in any unit.</param>
    /// <returns>1 when there is nothing to compare.</returns>
    public static double SampleRatioP(ReadOnlySpan<long> counts, ReadOnlySpan<double> weights)
    {
        var (total, weight, arms) = (0L, 0.0, 0);
        for (var i = 0; i < Math.Min(counts.Length, weights.Length); i++)
        {
            if (weights[i] > 0)
                (total, weight, arms) = (total + counts[i], weight + weights[i], arms + 1);
        }

        if (arms < 2 || total == 0)
            return 1;
        var distance = 0.0;
        for (var i = 0; i < counts.Length; i++)
        {
            if (i >= weights.Length || !(weights[i] > 0))
                continue;
            var expected = total * weights[i] / weight;
            distance += (counts[i] - expected) * (counts[i] - expected) / expected;
        }

        return SpecialFunctions.ChiSquareAbove(distance, arms - 1);
    }

    /// <summary>Welch's comparison of two means: the second less the first.</summary>
    public static MeanDifference Welch(Moments first, Moments second)
    {
        var (a, b) = (first.VarianceOfMean, second.VarianceOfMean);
        var error = Math.Sqrt(a + b);
        var degrees = (a + b) * (a + b) / (a * a / (first.Count - 1) + b * b / (second.Count - 1));
        return new(second.Mean - first.Mean, error, degrees);
    }

    /// <summary>The relative difference of two means, (second - first) / first, with the delta method's error.</summary>
    public static MeanDifference WelchRelative(Moments first, Moments second)
    {
        var plain = Welch(first, second);
        var mean = first.Mean;
        var variance = second.VarianceOfMean / (mean * mean) + second.Mean * second.Mean * first.VarianceOfMean / (mean * mean * mean * mean);
        return plain with { Estimate = plain.Estimate / mean, StandardError = Math.Sqrt(variance) };
    }

    static int[] Order(ReadOnlySpan<double> ps)
    {
        var keys = ps.ToArray();
        var order = new int[keys.Length];
        for (var i = 0; i < order.Length; i++)
            order[i] = i;
        Array.Sort(keys, order);
        return order;
    }
}

/// <summary>A difference of two means.</summary>
/// <param name="Estimate">The difference.</param>
/// <param name="StandardError">Of the difference.</param>
/// <param name="Degrees">Degrees of freedom (Welch and Satterthwaite).</param>
public readonly record struct MeanDifference(double Estimate, double StandardError, double Degrees)
{
    /// <summary>Two-sided p-value of "there is no difference".</summary>
    public double P => Math.Min(1, 2 * SpecialFunctions.StudentAbove(Math.Abs(Estimate / StandardError), Degrees));

    /// <summary>Where the difference is, wrong with chance α, when looked at once.</summary>
    public Interval At(double alpha)
    {
        var width = SpecialFunctions.StudentQuantileAbove(alpha / 2, Degrees) * StandardError;
        return new(Estimate - width, Estimate + width);
    }
}
