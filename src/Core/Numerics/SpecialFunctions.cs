namespace Coppice.Numerics;

/// <summary>The functions that tests and intervals are made of, to within about 1e-14 of their size.</summary>
/// <remarks>Logarithms of small tails stay exact where the tails themselves would round to zero.</remarks>
public static class SpecialFunctions
{
    const double HalfLogTwoPi = 0.91893853320467274178;
    const double Epsilon = 1.1102230246251565e-16;
    const double Tiny = 1e-300;
    const int MostTerms = 200_000;

    /// <summary>ln(1 + x) without losing a small x (Kahan).</summary>
    public static double LogOnePlus(double x)
    {
        var sum = 1 + x;
        return sum == 1 ? x : Math.Log(sum) * (x / (sum - 1));
    }

    /// <summary>eˣ - 1 without losing a small x (Kahan).</summary>
    public static double ExpMinusOne(double x)
    {
        var power = Math.Exp(x);
        if (power == 1)
            return x;
        var less = power - 1;
        return less == -1 || double.IsPositiveInfinity(power) ? less : less * (x / Math.Log(power));
    }

    /// <summary>ln Γ(x).</summary>
    /// <param name="x">Above 0.</param>
    public static double LogGamma(double x)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(x);
        var below = 0.0;
        if (x < StirlingFrom)
        {
            var product = 1.0; // Γ(x) = Γ(x + n) / (x (x + 1) … (x + n - 1))
            for (; x < StirlingFrom; x++)
                product *= x;
            below = Math.Log(product);
        }

        return (x - 0.5) * Math.Log(x) - x + HalfLogTwoPi + StirlingError(x) - below;
    }

    /// <summary>ln B(a, b), without the cancellation of three large logarithms.</summary>
    /// <param name="a">Above 0.</param>
    /// <param name="b">Above 0.</param>
    public static double LogBeta(double a, double b)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(a);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(b);
        var (small, large) = a < b ? (a, b) : (b, a);
        if (large < StirlingFrom)
            return LogGamma(a) + LogGamma(b) - LogGamma(a + b);
        var sum = small + large;
        var error = StirlingError(large) - StirlingError(sum);
        if (small < StirlingFrom)
            return LogGamma(small) - (large - 0.5) * LogOnePlus(small / large) - small * Math.Log(sum) + small + error;
        return HalfLogTwoPi + StirlingError(small) + error - small * LogOnePlus(large / small) - large * LogOnePlus(small / large) + 0.5 * Math.Log(sum / small / large);
    }

    /// <summary>The regularised incomplete beta function I_x(a, b): the chance that a Beta(a, b) number is at most x.</summary>
    public static double Beta(double a, double b, double x) => Math.Exp(LogBetaBelow(a, b, x));

    /// <summary>ln I_x(a, b); exact also where I_x is smaller than a double can be.</summary>
    /// <param name="a">Above 0.</param>
    /// <param name="b">Above 0.</param>
    /// <param name="x">0 to 1.</param>
    public static double LogBetaBelow(double a, double b, double x)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(a);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(b);
        if (x <= 0)
            return double.NegativeInfinity;
        if (x >= 1)
            return 0;
        return x <= (a + 1) / (a + b + 2)
            ? LogBetaTail(a, b, x, 1 - x)
            : LogOnePlus(-Math.Exp(LogBetaTail(b, a, 1 - x, x)));
    }

    /// <summary>P(a, x), the regularised lower incomplete gamma function.</summary>
    public static double GammaBelow(double a, double x) => x <= 0 ? 0 : x < a + 1 ? GammaSeries(a, x) : 1 - GammaFraction(a, x);

    /// <summary>Q(a, x) = 1 - P(a, x), exact also where it is small.</summary>
    public static double GammaAbove(double a, double x) => x <= 0 ? 1 : x < a + 1 ? 1 - GammaSeries(a, x) : GammaFraction(a, x);

    /// <summary>Chance that a χ² number exceeds x.</summary>
    public static double ChiSquareAbove(double x, double degrees) => GammaAbove(degrees / 2, x / 2);

    /// <summary>Φ(z): the chance that a standard normal number is at most z.</summary>
    public static double NormalBelow(double z) => z < 0 ? 0.5 * GammaAbove(0.5, z * z / 2) : 1 - 0.5 * GammaAbove(0.5, z * z / 2);

    /// <summary>The z with Φ(z) = p (Wichura, algorithm AS 241, PPND16).</summary>
    /// <param name="p">Above 0 and below 1.</param>
    public static double NormalQuantile(double p)
    {
        if (p is not (> 0 and < 1))
            throw new ArgumentOutOfRangeException(nameof(p), p, "A chance above 0 and below 1 is wanted.");
        var q = p - 0.5;
        if (Math.Abs(q) <= 0.425)
        {
            var r = 0.180625 - q * q;
            return q * Polynomial(r, 2509.0809287301226727, 33430.575583588128105, 67265.770927008700853, 45921.953931549871457, 13731.693765509461125, 1971.5909503065514427, 133.14166789178437745, 3.387132872796366608)
                / Polynomial(r, 5226.495278852545925, 28729.085735721942674, 39307.89580009271061, 21213.794301586595867, 5394.1960214247511077, 687.1870074920579083, 42.313330701600911252, 1);
        }

        var root = Math.Sqrt(-Math.Log(q < 0 ? p : 1 - p));
        double z;
        if (root <= 5)
        {
            root -= 1.6;
            z = Polynomial(root, 7.7454501427834140764e-4, 0.0227238449892691845833, 0.24178072517745061177, 1.27045825245236838258, 3.64784832476320460504, 5.7694972214606914055, 4.6303378461565452959, 1.42343711074968357734)
                / Polynomial(root, 1.05075007164441684324e-9, 5.475938084995344946e-4, 0.0151986665636164571966, 0.14810397642748007459, 0.68976733498510000455, 1.6763848301838038494, 2.05319162663775882187, 1);
        }
        else
        {
            root -= 5;
            z = Polynomial(root, 2.01033439929228813265e-7, 2.71155556874348757815e-5, 0.0012426609473880784386, 0.026532189526576123093, 0.29656057182850489123, 1.7848265399172913358, 5.4637849111641143699, 6.6579046435011037772)
                / Polynomial(root, 2.04426310338993978564e-15, 1.4215117583164458887e-7, 1.8463183175100546818e-5, 7.868691311456132591e-4, 0.0148753612908506148525, 0.13692988092273580531, 0.59983220655588793769, 1);
        }

        return q < 0 ? -z : z;
    }

    /// <summary>Chance that Student's t exceeds <paramref name="t"/>.</summary>
    public static double StudentAbove(double t, double degrees)
    {
        var tail = 0.5 * Beta(degrees / 2, 0.5, degrees / (degrees + t * t));
        return t > 0 ? tail : 1 - tail;
    }

    /// <summary>The t that Student's t exceeds with a chance.</summary>
    /// <param name="chance">Above 0, at most a half.</param>
    /// <param name="degrees">Degrees of freedom, above 0.</param>
    public static double StudentQuantileAbove(double chance, double degrees)
    {
        if (chance is not (> 0 and <= 0.5))
            throw new ArgumentOutOfRangeException(nameof(chance), chance, "A chance above 0 and up to a half is wanted.");
        var (low, high) = (0.0, 1.0);
        while (StudentAbove(high, degrees) > chance)
            (low, high) = (high, high * 2);
        while (high - low > Epsilon * high)
        {
            var middle = low + (high - low) / 2;
            if (middle <= low || middle >= high)
                break;
            if (StudentAbove(middle, degrees) > chance)
                low = middle;
            else
                high = middle;
        }

        return low + (high - low) / 2;
    }

    const double StirlingFrom = 16;

    /// <summary>What Stirling's formula leaves out of ln Γ(x); x from 16 on, where the terms end below 1e-17.</summary>
    static double StirlingError(double x)
    {
        var square = 1 / (x * x);
        return (1.0 / 12 - square * (1.0 / 360 - square * (1.0 / 1260 - square * (1.0 / 1680 - square * (1.0 / 1188 - square * (691.0 / 360360 - square / 156)))))) / x;
    }

    /// <summary>ln I_x(a, b) by the continued fraction, which converges fast for x below the mean.</summary>
    static double LogBetaTail(double a, double b, double x, double rest) => LogBetaPower(a, b, x, rest) - Math.Log(a) + Math.Log(BetaFraction(a, b, x));

    /// <summary>ln(xᵃ (1 - x)ᵇ / B(a, b)).</summary>
    static double LogBetaPower(double a, double b, double x, double rest)
    {
        if (a < StirlingFrom || b < StirlingFrom)
            return a * Math.Log(x) + b * Math.Log(rest) - LogBeta(a, b);
        // About the mean, so that nothing large cancels.
        var sum = a + b;
        var off = rest < x ? b / sum - rest : x - a / sum;
        var deviance = a * LogOnePlus(off * sum / a) + b * LogOnePlus(-off * sum / b);
        return deviance + 0.5 * Math.Log(a / sum * b) - HalfLogTwoPi - (StirlingError(a) + StirlingError(b) - StirlingError(sum));
    }

    /// <summary>Lentz's evaluation of the fraction in DLMF 8.17.22.</summary>
    static double BetaFraction(double a, double b, double x)
    {
        var c = 1.0;
        var d = 1 - (a + b) * x / (a + 1);
        d = 1 / (Math.Abs(d) < Tiny ? Tiny : d);
        var value = d;
        for (var m = 1; m <= MostTerms; m++)
        {
            var even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
            (c, d) = Lentz(c, d, even);
            value *= c * d;
            var odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
            (c, d) = Lentz(c, d, odd);
            value *= c * d;
            if (Math.Abs(c * d - 1) < 2 * Epsilon)
                break;
        }

        return value;
    }

    static (double C, double D) Lentz(double c, double d, double numerator)
    {
        d = 1 + numerator * d;
        c = 1 + numerator / c;
        return (Math.Abs(c) < Tiny ? Tiny : c, 1 / (Math.Abs(d) < Tiny ? Tiny : d));
    }

    /// <summary>xᵃ e⁻ˣ / Γ(a).</summary>
    static double GammaPower(double a, double x)
    {
        if (a < StirlingFrom)
            return Math.Exp(a * Math.Log(x) - x - LogGamma(a));
        var off = (x - a) / a;
        return Math.Exp(a * (LogOnePlus(off) - off) - StirlingError(a) - HalfLogTwoPi + 0.5 * Math.Log(a));
    }

    static double GammaSeries(double a, double x)
    {
        var term = 1 / a;
        var sum = term;
        for (var n = 1; n <= MostTerms && term > sum * Epsilon; n++)
            sum += term *= x / (a + n);
        return sum * GammaPower(a, x);
    }

    static double GammaFraction(double a, double x)
    {
        var b = x + 1 - a;
        var c = 1 / Tiny;
        var d = 1 / b;
        var value = d;
        for (var i = 1; i <= MostTerms; i++)
        {
            var numerator = -i * (i - a);
            b += 2;
            d = numerator * d + b;
            c = b + numerator / c;
            d = 1 / (Math.Abs(d) < Tiny ? Tiny : d);
            if (Math.Abs(c) < Tiny)
                c = Tiny;
            value *= c * d;
            if (Math.Abs(c * d - 1) < 2 * Epsilon)
                break;
        }

        return value * GammaPower(a, x);
    }

    static double Polynomial(double x, params ReadOnlySpan<double> highestFirst)
    {
        var value = 0.0;
        foreach (var coefficient in highestFirst)
            value = value * x + coefficient;
        return value;
    }
}
