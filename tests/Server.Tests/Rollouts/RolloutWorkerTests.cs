using Coppice.Protocol;
using Coppice.Rollouts;
using static Coppice.Protocol.ReportKind;
using static Coppice.Server.Tests.RunningServer;
using static Coppice.Server.Tests.TestDevice;

namespace Coppice.Server.Tests.Rollouts;

public class RolloutWorkerTests : IAsyncLifetime
{
    RunningServer server = null!;

    public async Task InitializeAsync()
    {
        server = await StartAsync();
        await server.PublishAsync("1.0.0");
    }

    public async Task DisposeAsync() => await server.DisposeAsync();

    async Task JudgedAsync(RolloutState state, int phase)
    {
        await server.JudgeAsync();
        var now = await server.RolloutAsync();
        Assert.Equal((state, phase), (now.State, now.Phase));
        var planned = (await server.PlanAsDeviceAsync())!.Rollouts[0];
        Assert.Equal((state, phase), (planned.State, planned.Phase));
    }

    /// <summary>A device that a share of the first rollout reaches, and a smaller one does not.</summary>
    async Task<TestDevice> ReachedAsync(double above, double upTo)
    {
        var salt = (await server.PlanAsDeviceAsync())!.Rollouts[0].Salt;
        var id = Enumerable.Range(0, 100_000).Select(i => $"d{i}").First(id => Cohort.Of(salt, id) is var place && Cohort.Reaches(upTo, place) && !Cohort.Reaches(above, place));
        return await server.EnrolAsync(id);
    }

    [Fact]
    public async Task No_report_is_never_a_pass_however_long_it_takes()
    {
        await server.StartRolloutAsync("1.0.0", new Phase(0.5, TimeSpan.FromHours(1)), new Phase(1, TimeSpan.FromHours(1)));
        server.Time.Advance(TimeSpan.FromDays(30));

        await JudgedAsync(RolloutState.Running, 0);

        Assert.StartsWith("No device has settled; no device that is known here is in the phase's reach: an operator decides", (await server.RolloutAsync()).Verdict, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_phase_advances_when_it_has_soaked_and_the_last_completes()
    {
        await server.StartRolloutAsync("1.0.0", new Phase(0.5, TimeSpan.FromHours(1)), new Phase(1, TimeSpan.FromHours(2)));
        var (early, late) = (await ReachedAsync(0, 0.5), await ReachedAsync(0.5, 1));

        await early.SayAsync(Report(1, Started), Report(2, Switched));
        server.Time.Advance(TimeSpan.FromHours(1));
        await JudgedAsync(RolloutState.Running, 0); // under way
        await early.SayAsync(Report(3, Settled));
        await JudgedAsync(RolloutState.Running, 1);

        server.Time.Advance(TimeSpan.FromHours(3));
        await JudgedAsync(RolloutState.Running, 1); // those of the first phase say nothing about the second
        await late.SayAsync(Report(1, Settled));
        await JudgedAsync(RolloutState.Complete, 1);
        Assert.Equal(
            [("coppice", EventKind.RolloutAdvanced), ("coppice", EventKind.RolloutCompleted)],
            (await server.Client.ListEventsAsync()).Events.Where(e => e.Kind is EventKind.RolloutAdvanced or EventKind.RolloutCompleted).Select(e => (e.By, e.Kind)));
    }

    [Fact]
    public async Task A_phase_that_adds_nobody_goes_by_the_devices_before()
    {
        await server.StartRolloutAsync("1.0.0", new Phase(0.5, TimeSpan.FromHours(1)), new Phase(0.8, TimeSpan.FromHours(1)), new Phase(1, TimeSpan.FromHours(1)));
        var early = await ReachedAsync(0, 0.5);
        await early.SayAsync(Report(1, Settled));

        foreach (var (state, phase) in new[] { (RolloutState.Running, 1), (RolloutState.Running, 2), (RolloutState.Complete, 2) })
        {
            server.Time.Advance(TimeSpan.FromMinutes(59));
            await server.JudgeAsync();
            Assert.NotEqual((state, phase), ((await server.RolloutAsync()).State, (await server.RolloutAsync()).Phase)); // soaks all the same
            server.Time.Advance(TimeSpan.FromMinutes(1));
            await JudgedAsync(state, phase);
        }
    }

    [Fact]
    public async Task A_phase_without_a_soak_waits_for_an_operator()
    {
        await server.StartRolloutAsync("1.0.0", new Phase(0.5), new Phase(1));
        await (await ReachedAsync(0, 0.5)).SayAsync(Report(1, Settled));
        server.Time.Advance(TimeSpan.FromDays(30));

        await JudgedAsync(RolloutState.Running, 0);
    }

    [Theory]
    [InlineData(PhaseAction.Hold, RolloutState.Held)]
    [InlineData(PhaseAction.Revert, RolloutState.Reverted)]
    public async Task One_failure_too_many_stops_the_rollout_and_the_event_says_why(PhaseAction onFailure, RolloutState stopped)
    {
        await server.Client.StartRolloutAsync(new(Bearing, V("1.0.0"), [new(1)]) { Policy = new(1, onFailure) });
        var (first, second) = (await server.EnrolAsync("till-1"), await server.EnrolAsync("till-2"));

        await first.SayAsync(Report(1, Refused, why: "accuracy 70 %"));
        await JudgedAsync(RolloutState.Running, 0);
        await first.SayAsync(Report(2, Refused, why: "accuracy 70 %")); // a device counts once
        await JudgedAsync(RolloutState.Running, 0);
        await second.SayAsync(Report(1, TakenBack, why: "crashed"));
        await JudgedAsync(stopped, 0);

        Assert.Equal("1 device refused it and 1 device took it back; 1 failures are allowed.", (await server.Client.ListEventsAsync()).Events[^1].Why);
    }

    [Fact]
    public async Task A_bad_release_is_held_without_waiting_for_the_clock()
    {
        await server.StartRolloutAsync("1.0.0");
        var device = await server.EnrolAsync("till-1");

        await device.SayAsync(Report(1, Refused, why: "accuracy 70 %")); // the clock's timers never fire in this test

        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        while ((await server.Client.GetRolloutAsync("r-1", cancel: patience.Token)).Rollout.State != RolloutState.Held)
            await Task.Yield();
        await server.Get<Coppice.Server.Rollouts.PlanPublisher>().ReconcileAsync(patience.Token); // the worker may still be publishing
        Assert.Equal(RolloutState.Held, (await server.PlanAsDeviceAsync())!.Rollouts[0].State);
    }

    [Fact]
    public async Task Devices_that_fit_no_variant_neither_pass_nor_fail_nor_hold_anybody_up()
    {
        await server.StartRolloutAsync("1.0.0", new Phase(1, TimeSpan.Zero));
        await (await server.EnrolAsync("till-1")).SayAsync(Report(1, Unfit, why: "needs 4 GB"));
        await JudgedAsync(RolloutState.Running, 0);

        await (await server.EnrolAsync("till-2")).SayAsync(Report(1, Settled));
        await JudgedAsync(RolloutState.Complete, 0);

        Assert.Equal(1, (await server.RolloutAsync()).Unfit);
    }

    [Fact]
    public async Task A_device_that_never_comes_back_holds_the_phase_up_until_it_is_retired()
    {
        await server.StartRolloutAsync("1.0.0", new Phase(1, TimeSpan.Zero));
        await (await server.EnrolAsync("till-1")).SayAsync(Report(1, Started));
        await (await server.EnrolAsync("till-2")).SayAsync(Report(1, Settled));
        await JudgedAsync(RolloutState.Running, 0);

        await server.Client.RetireDeviceAsync("till-1");

        await JudgedAsync(RolloutState.Complete, 0);
    }

    [Fact]
    public async Task Reports_about_another_release_attempt_or_rollout_count_for_nothing()
    {
        await server.StartRolloutAsync("1.0.0");
        var device = await server.EnrolAsync("till-1");

        await device.SayAsync(
            Report(1, Refused, release: "2.0.0"), Report(2, Refused, attempt: 2), Report(3, Refused, rollout: "r-7"), Report(4, Refused, rollout: null), Report(5, Refused, rollout: "nonsense"));

        await JudgedAsync(RolloutState.Running, 0);
        Assert.Empty((await server.Client.GetRolloutAsync("r-1")).Devices);
    }
}
