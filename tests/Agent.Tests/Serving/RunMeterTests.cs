using Coppice.Agent.Serving;

namespace Coppice.Agent.Tests.Serving;

public sealed class RunMeterTests
{
    [Fact]
    public void The_95th_percentile_is_within_a_quarter_of_the_true_one()
    {
        var meter = new RunMeter();
        for (var run = 1; run <= 1_000; run++)
            meter.Count(TimeSpan.FromMicroseconds(run * 100), failed: run % 100 == 0);

        var counts = meter.Read();

        Assert.Equal((1_000, 10), (counts.Runs, counts.Errors));
        Assert.InRange(counts.LatencyP95.TotalMilliseconds, 95, 95 * 1.25);
    }

    [Fact]
    public void No_run_is_lost_between_threads()
    {
        var meter = new RunMeter();
        Parallel.For(0, 40_000, run => meter.Count(TimeSpan.FromMicroseconds(run), failed: run % 4 == 0));
        Assert.Equal((40_000, 10_000), (meter.Read().Runs, meter.Read().Errors));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-5)]
    [InlineData(86_400_000_000)]
    public void Spans_out_of_range_fall_into_the_first_and_last_bucket(long microseconds)
    {
        var meter = new RunMeter();
        meter.Count(TimeSpan.FromMicroseconds(microseconds), failed: false);
        Assert.Equal(1, meter.Read().Runs);
    }
}
