using System.Text.Json;
using Coppice.Numerics;
using Coppice.Tests;

namespace Coppice.Core.Tests.Numerics;

/// <summary>Against tests/Vectors/special-functions.json.</summary>
public sealed class SpecialFunctionTests
{
    static readonly JsonElement Vectors = NumericVectors.Read("special-functions.json");

    [Theory]
    [InlineData("logGamma", 1e-14)]
    [InlineData("logBeta", 1e-14)]
    [InlineData("logBetaBelow", 1e-12)]
    [InlineData("gammaAbove", 1e-12)]
    [InlineData("normalBelow", 1e-13)]
    [InlineData("normalQuantile", 1e-14)]
    [InlineData("studentAbove", 1e-13)]
    public void Values_are_near_double_precision(string function, double tolerance)
    {
        foreach (var row in Vectors.GetProperty(function).EnumerateArray())
        {
            var given = row.EnumerateArray().Select(value => value.GetDouble()).ToArray();
            var found = function switch
            {
                "logGamma" => SpecialFunctions.LogGamma(given[0]),
                "logBeta" => SpecialFunctions.LogBeta(given[0], given[1]),
                "logBetaBelow" => SpecialFunctions.LogBetaBelow(given[0], given[1], given[2]),
                "gammaAbove" => SpecialFunctions.GammaAbove(given[0], given[1]),
                "normalBelow" => SpecialFunctions.NormalBelow(given[0]),
                "normalQuantile" => SpecialFunctions.NormalQuantile(given[0]),
                _ => SpecialFunctions.StudentAbove(given[0], given[1]),
            };
            var off = Math.Abs(found - given[^1]) / Math.Max(Math.Abs(given[^1]), function.StartsWith("log", StringComparison.Ordinal) ? 1 : 1e-300);
            Assert.True(off <= tolerance, $"{function}({string.Join(", ", given[..^1])}) is {found:R}, not {given[^1]:R}: off by {off:g3}");
        }
    }

    [Fact]
    public void Quantiles_and_tails_undo_each_other()
    {
        foreach (var chance in (double[])[1e-12, 0.001, 0.025, 0.2, 0.5])
        {
            Assert.Equal(chance, SpecialFunctions.NormalBelow(SpecialFunctions.NormalQuantile(chance)), 1e-13 * chance + 1e-16);
            Assert.Equal(chance, SpecialFunctions.StudentAbove(SpecialFunctions.StudentQuantileAbove(chance, 7.5), 7.5), 1e-12 * chance + 1e-16);
        }
    }

    [Fact]
    public void Beta_tails_add_up_to_one_on_either_side_of_the_mean()
    {
        var random = new SeededRandom(11);
        for (var i = 0; i < 2_000; i++)
        {
            var (a, b, x) = (Math.Exp(random.Between(-2, 10)), Math.Exp(random.Between(-2, 10)), random.Between(0.001, 0.999));
            Assert.Equal(1, SpecialFunctions.Beta(a, b, x) + SpecialFunctions.Beta(b, a, 1 - x), 1e-10);
        }
    }
}

static class NumericVectors
{
    public static JsonElement Read(string file) => JsonDocument.Parse(File.ReadAllBytes(Path.Combine(RepositoryRoot.Path, "tests", "Vectors", file))).RootElement.Clone();

    public static double[] Numbers(this JsonElement array) => [.. array.EnumerateArray().Select(value => value.GetDouble())];

    public static Moments Moments(this JsonElement array) => Numbers(array) is [var count, var sum, var squares] ? Coppice.Numerics.Moments.Of((long)count, sum, squares) : throw new InvalidDataException(array.ToString());
}
