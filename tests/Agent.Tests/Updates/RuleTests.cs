using Coppice.Agent.Serving;
using Coppice.Agent.Updates;

namespace Coppice.Agent.Tests.Updates;

public sealed class RuleTests
{
    static TimeSpan Seconds(double seconds) => TimeSpan.FromSeconds(seconds);

    [Theory]
    [InlineData(1, 0.0, 2.5)]
    [InlineData(1, 1.0, 5)]
    [InlineData(3, 1.0, 20)]
    [InlineData(30, 0.0, 300)]
    [InlineData(30, 1.0, 600)]
    [InlineData(int.MaxValue, 1.0, 600)]
    public void Waits_double_up_to_the_bound_and_are_between_half_and_all_of_it(int failures, double chance, double expected) =>
        Assert.Equal(expected, Backoff.After(failures, Seconds(5), Seconds(600), chance).TotalSeconds, 6);

    [Theory]
    [InlineData(0, true, true, true)]    // a crash of the process in probation: once is enough
    [InlineData(0, false, true, false)]  // at load: not yet
    [InlineData(1, false, true, true)]   // at load, the second time
    [InlineData(0, true, false, false)]  // the machine went with it: not yet
    [InlineData(1, true, false, true)]
    public void Crashes_condemn(int before, bool probation, bool sameBoot, bool condemned)
    {
        var exposure = new Exposure("slot", before, Open: true, sameBoot ? "now" : "then");
        Assert.Equal(condemned, CrashRule.Condemns(exposure, probation, "now"));
        Assert.Equal(before + 1, CrashRule.Count(exposure).Crashes);
    }

    [Fact]
    public void A_process_that_ended_while_nothing_was_exposed_condemns_nothing() =>
        Assert.False(CrashRule.Condemns(new("slot", 1, Open: false, "now"), probation: true, "now"));

    static readonly ProbationPolicy Policy = new() { Time = Seconds(60), Runs = 10 };

    static ProbationReference Against(double trialMs, RunCounts? before = null) => new(TimeSpan.FromMilliseconds(trialMs), null, before);

    static RunCounts Runs(long runs, long errors, double p95) => new(runs, errors, TimeSpan.FromMilliseconds(p95));

    [Fact]
    public void Probation_ends_when_both_time_and_runs_have_come()
    {
        Assert.Equal(Outcome.Nothing, ProbationVerdict.Judge(Policy, Against(5), Runs(100, 0, 5), Seconds(59)).Outcome);
        Assert.Equal(Outcome.Nothing, ProbationVerdict.Judge(Policy, Against(5), Runs(9, 0, 5), Seconds(600)).Outcome);
        Assert.Equal(Outcome.Done, ProbationVerdict.Judge(Policy, Against(5), Runs(10, 0, 5), Seconds(60)).Outcome);
    }

    [Fact]
    public void Nothing_but_failures_is_enough_after_three()
    {
        Assert.Equal(Outcome.Nothing, ProbationVerdict.Judge(Policy, Against(5), Runs(2, 2, 5), Seconds(1)).Outcome);
        Assert.Equal(Outcome.Failed, ProbationVerdict.Judge(Policy, Against(5), Runs(3, 3, 5), Seconds(1)).Outcome);
    }

    [Fact]
    public void A_share_of_failures_is_held_against_the_release_before()
    {
        Assert.Equal(Outcome.Failed, ProbationVerdict.Judge(Policy, Against(5), Runs(100, 6, 5), Seconds(1)).Outcome);
        Assert.Equal(Outcome.Nothing, ProbationVerdict.Judge(Policy, Against(5, Runs(1_000, 40, 5)), Runs(100, 6, 5), Seconds(1)).Outcome);
    }

    [Fact]
    public void A_slow_release_is_taken_back_unless_it_was_as_slow_in_trial_or_its_limit_allows_it()
    {
        Assert.Equal(Outcome.Failed, ProbationVerdict.Judge(Policy, Against(5), Runs(50, 0, 21), Seconds(1)).Outcome);
        Assert.Equal(Outcome.Nothing, ProbationVerdict.Judge(Policy, Against(6), Runs(50, 0, 21), Seconds(1)).Outcome);
        Assert.Equal(Outcome.Nothing, ProbationVerdict.Judge(Policy, Against(5) with { Limit = TimeSpan.FromMilliseconds(25) }, Runs(50, 0, 21), Seconds(1)).Outcome);
        Assert.Equal(Outcome.Nothing, ProbationVerdict.Judge(Policy, Against(0.01), Runs(50, 0, 1.5), Seconds(1)).Outcome); // below what a scheduler gives
    }
}
