using Coppice.Bench.Rollouts;

namespace Coppice.Core.Tests.Rollouts;

/// <summary>Each kind of gate alone, with the whole α to itself, looked at after everything that is heard. Figures for the guide: <c>rollouts alarms</c> of the bench.</summary>
public sealed class GateAlarmTests
{
    const int Runs = 10_000;

    public static TheoryData<string> Kinds => [.. GateRuns.Kinds.Keys];

    [Theory, MemberData(nameof(Kinds))]
    public void A_release_at_its_limit_is_called_bad_in_at_most_alpha_of_ten_thousand_phases_however_often_one_looks(string kind) =>
        Assert.InRange(GateRuns.Bad(GateRuns.Kinds[kind], 0, Runs, 60, 5), 1, Runs / 20);

    [Theory, MemberData(nameof(Kinds))]
    public void And_one_that_is_far_beyond_it_is_caught(string kind) =>
        Assert.InRange(GateRuns.Bad(GateRuns.Kinds[kind], 0.2, 200, 100, 5), 180, 200);

    [Theory]
    [InlineData(0, 2)]
    [InlineData(2, 1)]
    public void All_gates_of_all_arms_in_all_phases_together_call_releases_at_their_limits_bad_in_at_most_alpha_of_ten_thousand_rollouts(int arms, int phases) =>
        Assert.InRange(GateRuns.WholeBad(arms, phases, Runs, 36, 5), 1, Runs / 20);
}
