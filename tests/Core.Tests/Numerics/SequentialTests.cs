using System.Text.Json;
using Coppice.Numerics;

namespace Coppice.Core.Tests.Numerics;

/// <summary>Against tests/Vectors/sequential-tests.json, and by simulation.</summary>
public sealed class SequentialTests
{
    static readonly JsonElement Confseq = NumericVectors.Read("sequential-tests.json").GetProperty("confseq");
    static readonly JsonElement Growthbook = NumericVectors.Read("sequential-tests.json").GetProperty("growthbook");

    [Fact]
    public void Mixtures_are_those_of_confseq()
    {
        var rho = Confseq.GetProperty("bestRho").Numbers();
        Assert.Equal(rho[2], MeanSequence.BestRho(rho[0], rho[1]), 1e-5);
        var bound = Confseq.GetProperty("normalMixtureBound").Numbers();
        Assert.Equal(bound[3], MeanSequence.NormalBound(bound[0], bound[1], bound[2]), 1e-5);
        var normal = Confseq.GetProperty("normalLogMixtureOneSided").Numbers();
        Assert.Equal(normal[3], MeanSequence.OneSidedNormalLogEvidence(normal[0], normal[1], normal[2]), 1e-5);
        Assert.Equal(Math.Log(1 / 0.05), MeanSequence.OneSidedNormalLogEvidence(27.66071, 100, 100), 1e-5); // the published one-sided bound

        // s = 10 and v = 100 with g = 0.2 and h = 0.8 are 135 hits of 625 tries at a rate of 0.2.
        var two = Confseq.GetProperty("betaBinomialLogTwoSided").Numbers();
        Assert.Equal(two[^1], RateSequence.TwoSidedLogEvidence(135, 625, 0.2, 625), 1e-5);
        var one = Confseq.GetProperty("betaBinomialLogOneSided").Numbers();
        Assert.Equal(one[^1], RateSequence.LogEvidenceAbove(135, 625, 0.2, 625), 1e-5);
    }

    [Fact]
    public void Intervals_of_rates_are_those_of_confseq()
    {
        foreach (var row in Confseq.GetProperty("bernoulli").EnumerateArray())
        {
            var given = row.Numbers();
            var found = RateSequence.TwoSided((long)given[0], (long)given[1], 0.05, given[2]);
            Assert.Equal(given[3], found.Low, 1e-5);
            Assert.Equal(given[4], found.High, 1e-5);
        }
    }

    [Fact]
    public void Welch_is_GrowthBooks()
    {
        foreach (var row in Growthbook.GetProperty("welch").EnumerateArray())
        {
            var (a, b) = (row.GetProperty("a").Moments(), row.GetProperty("b").Moments());
            var found = row.GetProperty("relative").GetBoolean() ? Hypotheses.WelchRelative(a, b) : Hypotheses.Welch(a, b);
            Assert.Equal(row.GetProperty("estimate").GetDouble(), found.Estimate, 1e-5);
            Assert.Equal(row.GetProperty("low").GetDouble(), found.At(0.05).Low, 1e-5);
            Assert.Equal(row.GetProperty("high").GetDouble(), found.At(0.05).High, 1e-5);
            Assert.Equal(row.GetProperty("p").GetDouble(), found.P, 1e-5);
        }
    }

    [Fact]
    public void Sequences_of_means_are_GrowthBooks()
    {
        var row = Growthbook.GetProperty("sequential")[0];
        var found = Hypotheses.WelchRelative(row.GetProperty("a").Moments(), row.GetProperty("b").Moments());
        var width = MeanSequence.HalfWidth(found.StandardError, 6461, 0.05, row.GetProperty("sharpAt").GetDouble());
        Same(row, found.Estimate, found.Estimate - width, found.Estimate + width);

        var shares = Growthbook.GetProperty("sequentialProportion");
        // A proportion's variance is p (1 - p), without Bessel's correction: the squares that make it so.
        Moments Of(double[] counts) => new((long)counts[1], counts[0] / counts[1], counts[0] / counts[1] * (1 - counts[0] / counts[1]) * (counts[1] - 1));
        var proportion = Hypotheses.WelchRelative(Of(shares.GetProperty("a").Numbers()), Of(shares.GetProperty("b").Numbers()));
        width = MeanSequence.HalfWidth(proportion.StandardError, 6461, 0.05);
        Same(shares, proportion.Estimate, proportion.Estimate - width, proportion.Estimate + width);

        var sides = Growthbook.GetProperty("sequentialOneSided");
        foreach (var (name, difference) in new[]
        {
            ("absolute", Hypotheses.Welch(sides.GetProperty("a").Moments(), sides.GetProperty("b").Moments())),
            ("relative", Hypotheses.WelchRelative(sides.GetProperty("a").Moments(), sides.GetProperty("b").Moments())),
        })
        {
            var side = MeanSequence.OneSidedWidth(difference.StandardError, 6461, 0.05);
            Same(sides.GetProperty(name), difference.Estimate, difference.Estimate - side, difference.Estimate + side);
        }

        static void Same(JsonElement expected, double estimate, double low, double high)
        {
            Assert.Equal(expected.GetProperty("estimate").GetDouble(), estimate, 1e-5);
            Assert.Equal(expected.GetProperty("low").GetDouble(), low, 1e-5);
            Assert.Equal(expected.GetProperty("high").GetDouble(), high, 1e-5);
        }
    }

    [Fact]
    public void The_always_valid_p_value_is_Joharis_mixture_test_and_agrees_with_the_interval()
    {
        // n 1000, difference 0.1, σ² 1, τ² 0.01: worked from the formula of the mSPRT with a normal mixture.
        Assert.Equal(0.035207, MeanSequence.P(0.1, Math.Sqrt(1.0 / 1000), 1000, Math.Sqrt(0.01)), 1e-6);

        foreach (var alpha in (double[])[0.2, 0.05, 0.001])
        {
            var width = MeanSequence.OneSidedWidth(0.03, 900, alpha);
            Assert.Equal(alpha, MeanSequence.PAbove(width, 0.03, 900, MeanSequence.Rho(2 * alpha)), alpha * 1e-9);
            width = MeanSequence.HalfWidth(0.03, 900, alpha);
            Assert.Equal(alpha, MeanSequence.P(width, 0.03, 900, MeanSequence.Rho(alpha)), alpha * 1e-9);
        }
    }

    [Fact]
    public void Sample_ratios_and_corrections_are_GrowthBooks()
    {
        foreach (var row in Growthbook.GetProperty("sampleRatio").EnumerateArray())
            Assert.Equal(row[2].GetDouble(), Hypotheses.SampleRatioP([.. row[0].Numbers().Select(count => (long)count)], row[1].Numbers()), 5e-10);
        foreach (var row in Growthbook.GetProperty("holm").EnumerateArray())
            Near(row[1].Numbers(), Hypotheses.Holm(row[0].Numbers()));
        foreach (var row in Growthbook.GetProperty("benjaminiHochberg").EnumerateArray())
            Near(row[1].Numbers(), Hypotheses.BenjaminiHochberg(row[0].Numbers()));

        static void Near(IReadOnlyList<double> expected, IReadOnlyList<double> found)
        {
            Assert.Equal(expected.Count, found.Count);
            for (var i = 0; i < expected.Count; i++)
                Assert.Equal(expected[i], found[i], 1e-8);
        }
    }

    [Fact]
    public void Moments_are_the_same_one_by_one_and_merged()
    {
        var random = new SeededRandom(5);
        var figures = Enumerable.Range(0, 1_000).Select(_ => 1e6 + random.NextGaussian()).ToArray();
        var all = figures.Aggregate(default(Moments), (moments, figure) => moments.Add(figure));
        var parts = figures.Chunk(77).Select(part => part.Aggregate(default(Moments), (moments, figure) => moments.Add(figure))).Aggregate(default(Moments), (a, b) => a.Merge(b));

        Assert.Equal(figures.Average(), all.Mean, 1e-9);
        Assert.Equal(all.Mean, parts.Mean, 1e-9);
        Assert.Equal(all.Variance, parts.Variance, 1e-9);
    }

    [Theory]
    [InlineData(0.01)]
    [InlineData(0.05)]
    [InlineData(0.3)]
    public void A_rate_that_is_just_allowed_is_called_too_high_by_at_most_alpha_of_ten_thousand_who_look_after_every_try(double rate)
    {
        const int Runs = 10_000, Tries = 1_500;
        // The evidence grows with the hits, so that a table of the least hits that alarm makes each look one comparison.
        foreach (var alpha in (double[])[0.05, 0.01])
        {
            var alarmAt = new int[Tries + 1];
            for (int tries = 1, hits = 0; tries <= Tries; tries++)
            {
                while (hits <= tries && RateSequence.PAbove(hits, tries, rate, 5 / rate) > alpha)
                    hits++;
                alarmAt[tries] = hits;
            }

            var random = new SeededRandom(1);
            var alarms = 0;
            for (var run = 0; run < Runs; run++)
            {
                for (int tries = 1, hits = 0; tries <= Tries; tries++)
                {
                    hits += random.NextDouble() < rate ? 1 : 0;
                    if (hits >= alarmAt[tries])
                    {
                        alarms++;
                        break;
                    }
                }
            }

            Assert.InRange(alarms, 1, (int)(alpha * Runs));
        }
    }

    [Fact]
    public void A_mean_that_is_just_allowed_is_called_too_high_by_at_most_alpha_of_ten_thousand_who_look_after_every_device()
    {
        const int Runs = 10_000, Devices = 600, First = 30;
        var rho = MeanSequence.Rho(0.1, 400);
        var alarms = 0;
        var random = new SeededRandom(2);
        for (var run = 0; run < Runs; run++)
        {
            var moments = default(Moments);
            for (var device = 1; device <= Devices; device++)
            {
                moments = moments.Add(Math.Sqrt(12) * (random.NextDouble() - 0.5)); // not normal, mean 0
                if (device >= First && moments.Mean > 0 && MeanSequence.PAbove(moments.Mean, Math.Sqrt(moments.VarianceOfMean), device, rho) <= 0.05)
                {
                    alarms++;
                    break;
                }
            }
        }

        Assert.InRange(alarms, 1, 500);
    }
}
