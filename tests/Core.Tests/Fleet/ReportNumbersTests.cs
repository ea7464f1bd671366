using Coppice.Fleet;

namespace Coppice.Core.Tests.Fleet;

public sealed class ReportNumbersTests
{
    /// <summary>The numbers as they are kept after some have come, each through the text.</summary>
    static string After(params long[] numbers)
    {
        var text = "";
        foreach (var number in numbers)
        {
            var kept = ReportNumbers.Parse(text);
            kept.Add(number);
            text = kept.ToString();
        }

        return text;
    }

    [Fact]
    public void Numbers_that_follow_each_other_are_one_run_in_whatever_order_they_come()
    {
        Assert.Equal("1-4", After(1, 2, 3, 4));
        Assert.Equal("1-4", After(4, 2, 1, 3, 2, 4));
        Assert.Equal("2-2 5-6 9-9", After(9, 5, 2, 6));
        Assert.Equal("9223372036854775806-9223372036854775807", After(long.MaxValue, long.MaxValue - 1));
    }

    [Fact]
    public void What_is_there_without_a_gap_after_a_number_is_told()
    {
        var kept = ReportNumbers.Parse("3-5 8-9");

        Assert.Equal([0, 1, 5, 5, 5, 5, 6, 9, 9, 9, 10], Enumerable.Range(0, 11).Select(number => kept.Through(number)));
    }

    [Fact]
    public void Each_number_is_new_once_as_a_set_would_have_it_while_there_are_few_gaps()
    {
        var random = new Random(20261127);
        for (var turn = 0; turn < 200; turn++)
        {
            var (kept, known) = (new ReportNumbers(), new HashSet<long>());
            for (var i = 0; i < 80; i++)
            {
                var number = random.Next(1, ReportNumbers.MaxRuns * 2); // never more runs than are remembered
                Assert.Equal(known.Add(number), kept.Add(number));
            }

            var again = ReportNumbers.Parse(kept.ToString());
            Assert.All(known, number => Assert.False(again.Add(number)));
            Assert.Equal(kept.ToString(), again.ToString());
        }
    }

    [Fact]
    public void Of_more_gaps_than_are_remembered_the_oldest_closes_and_what_was_kept_stays_kept()
    {
        var numbers = Enumerable.Range(1, ReportNumbers.MaxRuns + 3).Select(i => 10L * i).ToArray();
        var kept = ReportNumbers.Parse(After(numbers));

        Assert.StartsWith("10-40 50-50 60-60 ", kept.ToString(), StringComparison.Ordinal);
        Assert.False(kept.Add(25)); // too late
        Assert.True(kept.Add(45));
        Assert.All(numbers, number => Assert.False(kept.Add(number)));
    }

    [Theory]
    [InlineData("7")]
    [InlineData("1-x")]
    [InlineData("1-2 -3")]
    public void What_it_has_not_written_is_refused(string text) => Assert.Throws<FormatException>(() => ReportNumbers.Parse(text));
}
