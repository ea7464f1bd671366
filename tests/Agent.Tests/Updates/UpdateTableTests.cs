using Coppice.Agent.Updates;

namespace Coppice.Agent.Tests.Updates;

public sealed class UpdateTableTests
{
    public static TheoryData<UpdateStep, Outcome> EveryCell
    {
        get
        {
            var cells = new TheoryData<UpdateStep, Outcome>();
            foreach (var step in Enum.GetValues<UpdateStep>())
            {
                foreach (var outcome in Enum.GetValues<Outcome>())
                    cells.Add(step, outcome);
            }

            return cells;
        }
    }

    [Theory, MemberData(nameof(EveryCell))]
    public void From_any_cell_a_run_of_successes_ends_idle(UpdateStep step, Outcome outcome)
    {
        var next = UpdateTable.Next(step, outcome);
        for (var steps = 0; next != UpdateStep.Idle; steps++)
        {
            Assert.True(steps < 12, $"still at {next} after twelve successes");
            next = UpdateTable.Next(next, Outcome.Done);
        }
    }

    [Theory, MemberData(nameof(EveryCell))]
    public void Only_a_passed_trial_leads_to_a_switch(UpdateStep step, Outcome outcome) =>
        Assert.Equal(UpdateTable.Next(step, outcome) == UpdateStep.Switch, (step, outcome) is (UpdateStep.Trial, Outcome.Done) or (UpdateStep.Switch, Outcome.Nothing or Outcome.Restarted));

    [Theory, MemberData(nameof(EveryCell))]
    public void A_release_that_crashed_or_is_revoked_never_goes_on(UpdateStep step, Outcome outcome)
    {
        if (outcome is Outcome.Crashed or Outcome.Revoked)
            Assert.True(UpdateTable.Next(step, outcome) is UpdateStep.TakeBack or UpdateStep.Withdraw);
    }

    [Theory, MemberData(nameof(EveryCell))]
    public void A_step_that_is_saved_under_another_restarts_as_that_one(UpdateStep step, Outcome _) =>
        Assert.Equal(UpdateTable.Next(step, Outcome.Restarted), UpdateTable.Next(UpdateTable.Saved(step), Outcome.Restarted));

    [Theory, MemberData(nameof(EveryCell))]
    public void A_failure_with_no_way_back_ends_in_a_report(UpdateStep step, Outcome outcome)
    {
        if (outcome == Outcome.Failed && step is UpdateStep.Trial or UpdateStep.Switch)
            Assert.Equal(UpdateStep.Report, UpdateTable.Next(step, Outcome.Failed));
    }
}
