using Coppice.Cli.Quickstart;

namespace Coppice.Cli.Tests.Quickstart;

public sealed class BearingGeometryTests
{
    [Fact]
    public void The_defect_orders_of_bearing_6205_are_those_that_Case_Western_publishes()
    {
        // Case Western Reserve University's Bearing Data Center, drive end bearing SKF 6205: 9 balls of 0.3126 in on 1.537 in.
        var bearing = new BearingGeometry(9, 0.3126 * 25.4, 1.537 * 25.4, 0);

        Assert.Equal(3.5848, bearing.OuterRaceOrder, 1e-4);
        Assert.Equal(5.4152, bearing.InnerRaceOrder, 1e-4);
        Assert.Equal(4.7135, 2 * bearing.BallSpinOrder, 1e-4);
        Assert.Equal(0.39828, bearing.CageOrder, 1e-4);
    }

    [Fact]
    public void Each_ball_passes_one_race_or_the_other_once_a_turn()
    {
        var bearing = new BearingGeometry(8, 6.75, 28.5, 0.2);

        Assert.Equal(bearing.Balls, bearing.OuterRaceOrder + bearing.InnerRaceOrder, 1e-12);
        Assert.Equal(bearing.Balls * bearing.CageOrder, bearing.OuterRaceOrder, 1e-12);
    }

    [Fact]
    public void Strikes_scale_with_the_shaft_and_a_healthy_bearing_has_none()
    {
        var bearing = new BearingGeometry(9, 7.94, 39.04, 0);

        Assert.Equal(60 * bearing.InnerRaceOrder, bearing.StrikeHertz(BearingState.InnerRace, 60));
        Assert.Equal(0, bearing.StrikeHertz(BearingState.Healthy, 60));
    }
}
