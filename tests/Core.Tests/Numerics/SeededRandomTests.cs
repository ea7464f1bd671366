using Coppice.Numerics;

namespace Coppice.Core.Tests.Numerics;

public sealed class SeededRandomTests
{
    [Fact]
    public void Xoshiro_gives_its_published_numbers()
    {
        // The reference implementation's first outputs from the state 1, 2, 3, 4, as other ports test them.
        var random = SeededRandom.FromState(1, 2, 3, 4);

        Assert.Equal([11520, 0, 1509978240, 1215971899390074240], Enumerable.Range(0, 4).Select(_ => random.NextUInt64()));
    }

    [Fact]
    public void A_seed_is_spread_by_SplitMix64()
    {
        // SplitMix64's published outputs for the seed 1234567 are the state, which gives this first number: rotl(s1 × 5, 7) × 9.
        var expected = ulong.RotateLeft(unchecked(3203168211198807973UL * 5), 7) * 9;

        Assert.Equal(expected, new SeededRandom(1234567).NextUInt64());
    }

    [Fact]
    public void A_state_of_zeros_is_refused() => Assert.Throws<ArgumentException>(() => SeededRandom.FromState(0, 0, 0, 0));

    [Fact]
    public void Normal_numbers_have_the_moments_and_tails_of_the_normal_distribution()
    {
        const int count = 200_000;
        var random = new SeededRandom(7);
        double sum = 0, squares = 0, fourths = 0;
        var beyondTwo = 0;
        for (var i = 0; i < count; i++)
        {
            var x = random.NextGaussian();
            (sum, squares, fourths) = (sum + x, squares + x * x, fourths + x * x * x * x);
            beyondTwo += Math.Abs(x) > 2 ? 1 : 0;
        }

        Assert.Equal(0, sum / count, 0.01); // four standard errors or more each
        Assert.Equal(1, squares / count, 0.015);
        Assert.Equal(3, fourths / count, 0.1);
        Assert.Equal(0.0455, (double)beyondTwo / count, 0.002);
    }

    [Fact]
    public void Normal_numbers_are_those_of_the_polar_method_with_the_library_logarithm()
    {
        var (random, uniform) = (new SeededRandom(99), new SeededRandom(99));
        for (var pair = 0; pair < 1000; pair++)
        {
            double x, y, square;
            do
            {
                x = 2 * uniform.NextDouble() - 1;
                y = 2 * uniform.NextDouble() - 1;
                square = x * x + y * y;
            }
            while (square is >= 1 or 0);
            var scale = Math.Sqrt(-2 * Math.Log(square) / square);

            Assert.Equal(x * scale, random.NextGaussian(), 1e-14);
            Assert.Equal(y * scale, random.NextGaussian(), 1e-14);
        }
    }

    [Fact]
    public void Integers_below_a_bound_come_equally_often()
    {
        var random = new SeededRandom(3);
        var counts = new int[7];
        for (var i = 0; i < 70_000; i++)
            counts[random.NextInt32(7)]++;

        Assert.All(counts, count => Assert.InRange(count, 9_600, 10_400)); // 4.3 standard deviations
    }

    [Fact]
    public void Forks_are_repeatable_and_differ_from_each_other_and_from_their_root()
    {
        ulong[] streams = [0, 1, 2, 1UL << 63];
        var numbers = streams.Select(stream => new SeededRandom(5).Fork(stream).NextUInt64()).ToArray();

        Assert.Equal(numbers, streams.Select(stream => new SeededRandom(5).Fork(stream).NextUInt64()));
        Assert.Equal(5, numbers.Append(new SeededRandom(5).NextUInt64()).Distinct().Count());
    }

    [Fact]
    public void A_shuffle_keeps_every_item_and_reaches_every_order()
    {
        var random = new SeededRandom(11);
        var orders = new Dictionary<string, int>();
        for (var i = 0; i < 6000; i++)
        {
            char[] items = ['a', 'b', 'c'];
            random.Shuffle<char>(items);
            var order = new string(items);
            orders[order] = orders.GetValueOrDefault(order) + 1;
        }

        Assert.Equal(["abc", "acb", "bac", "bca", "cab", "cba"], orders.Keys.Order());
        Assert.All(orders.Values, count => Assert.InRange(count, 870, 1130));
    }
}
