using System.Collections.Immutable;
using Coppice.Access;
using Coppice.Client;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Rollouts;
using static Coppice.Server.Tests.RunningServer;
using static Coppice.Server.Tests.TestDevice;

namespace Coppice.Server.Tests.Rollouts;

public class RolloutsTests : IAsyncLifetime
{
    RunningServer server = null!;

    public async Task InitializeAsync()
    {
        server = await StartAsync();
        await server.PublishAsync("1.0.0");
        await server.PublishAsync("1.1.0");
    }

    public async Task DisposeAsync() => await server.DisposeAsync();

    async Task<Rollout> PlannedAsync(int at = 0) => (await server.PlanAsDeviceAsync())!.Rollouts[at];

    static async Task<string?> RefusedAsync(Func<Task> order) => (await Assert.ThrowsAsync<ControlException>(order)).Type;

    static ImmutableSortedDictionary<string, long> Ways(params (string Way, long Bytes)[] ways) => ways.ToImmutableSortedDictionary(way => way.Way, way => way.Bytes, StringComparer.Ordinal);

    [Fact]
    public async Task A_started_rollout_is_in_the_plan_that_devices_read()
    {
        Assert.Null(await server.PlanAsDeviceAsync());

        var view = await server.Client.StartRolloutAsync(new(Bearing, V("1.0.0"), [new(0.25, TimeSpan.FromHours(24)), new(1)])
        {
            Selector = "site = oslo",
            Windows = [new([DayOfWeek.Sunday], new(22, 0), new(4, 0))],
            Why = "better",
        });

        Assert.Equal(("r-1", RolloutState.Running, 0, "admin"), (view.Id, view.State, view.Phase, view.StartedBy));
        var plan = (await server.PlanAsDeviceAsync())!;
        Assert.Equal(1, plan.Serial);
        var rollout = Assert.Single(plan.Rollouts);
        Assert.Equal(("r-1", "1.0.0", "site = oslo", 0.25, 1), (rollout.Id, rollout.Release.ToString(), rollout.Selector, rollout.Share, rollout.Attempt));
        Assert.Equal((await server.Client.GetReleaseAsync(Bearing, V("1.0.0"))).Release.Digest, rollout.Manifest);
        Assert.Equal(new(22, 0), Assert.Single(rollout.Windows).From);
        var started = (await server.Client.ListEventsAsync()).Events[^1];
        Assert.Equal((EventKind.RolloutStarted, "r-1", "better"), (started.Kind, started.Rollout, started.Why));
    }

    [Fact]
    public async Task Everything_wrong_with_a_rollout_is_said_at_once()
    {
        var problem = await server.Operator.PostAsync("v1/rollouts", Answers.Json(
            """{"model":"plant/bearing","release":"1.0.0","selector":"site =","phases":[{"share":0.5},{"share":0.2,"soak":"1h"},{"share":7}],"policy":{"maxFailures":-1,"onFailure":"advance"}}""")).ProblemAsync(400);

        Assert.Equal(["phases[1].share", "phases[2].share", "policy.maxFailures", "policy.onFailure", "selector, character 7"], problem.Errors!.Keys.Order());
        Assert.Equal("/problems/no-release", await RefusedAsync(() => server.StartRolloutAsync("9.0.0")));
        Assert.Contains("$.phases", (await server.Operator.PostAsync("v1/rollouts", Answers.Json("""{"model":"plant/bearing","release":"1.0.0","phases":7}""")).ProblemAsync(400)).Detail);
        Assert.Contains("$.shares", (await server.Operator.PostAsync("v1/rollouts", Answers.Json("""{"model":"plant/bearing","release":"1.0.0","phases":[],"shares":[1]}""")).ProblemAsync(400)).Detail);
    }

    [Fact]
    public async Task A_model_has_one_running_rollout_and_a_new_one_goes_on_top()
    {
        await server.StartRolloutAsync("1.0.0");
        Assert.Equal("/problems/rollout-active", await RefusedAsync(() => server.StartRolloutAsync("1.1.0")));
        await server.Client.AdvanceAsync("r-1", 1, "done");
        await server.StartRolloutAsync("1.1.0");

        Assert.Equal(["r-2", "r-1"], (await server.PlanAsDeviceAsync())!.Rollouts.Select(rollout => rollout.Id));
        Assert.NotEqual((await PlannedAsync(0)).Salt, (await PlannedAsync(1)).Salt);
        Assert.Equal("r-2", Assert.Single((await server.Client.ListRolloutsAsync(Bearing, RolloutState.Running)).Rollouts).Id);
        Assert.Equal(2, (await server.Client.ListRolloutsAsync()).Rollouts.Length);
        Assert.Equal("r-2", (await server.Client.GetModelAsync(Bearing)).Model.Running);
    }

    [Fact]
    public async Task Rollouts_come_in_pages_newest_first_and_those_that_one_may_not_see_are_left_out_of_theirs()
    {
        var other = ModelName.Parse("vision/camera");
        await server.PublishAsync("1.0.0", other);
        for (var i = 1; i <= 3; i++) // r-1, r-3, r-5 of the one model, r-2, r-4, r-6 of the other
        {
            foreach (var model in (ModelName[])[Bearing, other])
                await server.Client.AbortAsync((await server.Client.StartRolloutAsync(new(model, V("1.0.0"), [new(1)]))).Id, "next");
        }

        var seen = new List<string>();
        var pages = 0;
        for (var before = (long?)null; pages == 0 || before is not null; pages++)
        {
            var page = await server.Client.ListRolloutsAsync(before: before, limit: 4);
            seen.AddRange(page.Rollouts.Select(rollout => rollout.Id));
            before = page.Next;
        }

        Assert.Equal(2, pages);
        Assert.Equal(["r-6", "r-5", "r-4", "r-3", "r-2", "r-1"], seen);
        using var plant = await server.OperatorAsync("plant", new RoleGrant(Role.Viewer) { Models = "plant/*" });
        using var client = new CoppiceClient(plant.BaseAddress!, plant.DefaultRequestHeaders.Authorization!.Parameter);
        var first = await client.ListRolloutsAsync(limit: 2);
        Assert.Equal(("r-5", 5L), (Assert.Single(first.Rollouts).Id, first.Next!.Value));
    }

    [Fact]
    public async Task Two_starts_at_once_are_one_rollout()
    {
        var starts = await Task.WhenAll(Enumerable.Range(0, 8).Select(async _ =>
        {
            try
            {
                return (await server.StartRolloutAsync("1.0.0")).Id;
            }
            catch (ControlException e)
            {
                return e.Type;
            }
        }));

        Assert.Single(starts, "r-1");
        Assert.Equal(7, starts.Count(outcome => outcome == "/problems/rollout-active"));
    }

    [Fact]
    public async Task Each_verb_is_in_the_plan_afterwards_and_twice_is_once()
    {
        await server.StartRolloutAsync("1.0.0", new Phase(0.1), new Phase(0.5), new Phase(1));
        var serial = 1L;
        async Task Ordered(Func<Task<RolloutView>> order, RolloutState state, int phase, int attempt)
        {
            await order();
            var view = await order();
            serial++;
            Assert.Equal((state, phase, attempt), (view.State, view.Phase, view.Attempt));
            var plan = (await server.PlanAsDeviceAsync())!;
            Assert.Equal((serial, state, phase, attempt), (plan.Serial, plan.Rollouts[0].State, plan.Rollouts[0].Phase, plan.Rollouts[0].Attempt));
        }

        await Ordered(() => server.Client.AdvanceAsync("r-1", 1, "go"), RolloutState.Running, 1, 1);
        await Ordered(() => server.Client.HoldAsync("r-1", "wait"), RolloutState.Held, 1, 1);
        Assert.Equal("/problems/rollout-state", await RefusedAsync(() => server.Client.AdvanceAsync("r-1", 2, "go")));
        await Ordered(() => server.Client.ResumeAsync("r-1", "go on"), RolloutState.Running, 1, 1);
        await Ordered(() => server.Client.RetryAsync("r-1", 2, "mended"), RolloutState.Running, 1, 2);
        Assert.Equal("/problems/rollout-state", await RefusedAsync(() => server.Client.RetryAsync("r-1", 4, "too far")));
        Assert.Equal("/problems/rollout-state", await RefusedAsync(() => server.Client.AdvanceAsync("r-1", 3, "too far")));
        await Ordered(() => server.Client.AdvanceAsync("r-1", 2, "go"), RolloutState.Running, 2, 2);
        await Ordered(() => server.Client.AdvanceAsync("r-1", 3, "done"), RolloutState.Complete, 2, 2);
        await Ordered(() => server.Client.RevertAsync("r-1", "worse"), RolloutState.Reverted, 2, 2);
        Assert.Equal("/problems/rollout-state", await RefusedAsync(() => server.Client.ResumeAsync("r-1", "back")));
        Assert.Equal("/problems/rollout-state", await RefusedAsync(() => server.Client.HoldAsync("r-1", "back")));
        Assert.Equal("/problems/rollout-state", await RefusedAsync(() => server.Client.RetryAsync("r-1", 3, "back")));

        Assert.Equal(
            [EventKind.RolloutStarted, EventKind.RolloutAdvanced, EventKind.RolloutHeld, EventKind.RolloutResumed, EventKind.RolloutRetried, EventKind.RolloutAdvanced, EventKind.RolloutCompleted, EventKind.RolloutReverted],
            (await server.Client.ListEventsAsync()).Events.Where(e => e.Rollout == "r-1").Select(e => e.Kind));
    }

    [Fact]
    public async Task Orders_need_a_reason_and_say_how_far()
    {
        await server.StartRolloutAsync("1.0.0");

        Assert.Equal(["phase", "why"], (await server.Operator.PostAsync("v1/rollouts/r-1/advance", Answers.Json("""{"why":""}""")).ProblemAsync(400)).Errors!.Keys.Order());
        Assert.Equal(["attempt"], (await server.Operator.PostAsync("v1/rollouts/r-1/retry", Answers.Json("""{"why":"x"}""")).ProblemAsync(400)).Errors!.Keys);
        await server.Operator.PostAsync("v1/rollouts/r-9/hold", Answers.Json("""{"why":"x"}""")).ProblemAsync(404);
        await server.Operator.PostAsync("v1/rollouts/seven/hold", Answers.Json("""{"why":"x"}""")).ProblemAsync(404);
        await server.Operator.GetAsync("v1/rollouts/r-9").ProblemAsync(404);
        Assert.Equal(["model", "state"], (await server.Operator.GetAsync("v1/rollouts?model=x&state=y").ProblemAsync(400)).Errors!.Keys.Order());
    }

    [Fact]
    public async Task A_rollout_that_failed_is_not_resumed_but_retried_and_a_retry_forgives()
    {
        await server.StartRolloutAsync("1.0.0");
        var device = await server.EnrolAsync("till-1");
        await device.SayAsync(Report(1, ReportKind.Refused, why: "accuracy 70 %"));
        await server.JudgeAsync();
        Assert.Equal(RolloutState.Held, (await server.RolloutAsync()).State);

        Assert.Equal("/problems/too-many-failures", await RefusedAsync(() => server.Client.ResumeAsync("r-1", "go on")));
        var retried = await server.Client.RetryAsync("r-1", 2, "the data set was at fault");
        await server.JudgeAsync();

        Assert.Equal((RolloutState.Running, new RolloutCounts(0, 0, 0, 0)), ((await server.RolloutAsync()).State, retried.Counts));
        await device.SayAsync(Report(2, ReportKind.Settled, attempt: 2));
        Assert.Equal(new(1, 0, 0, 0), (await server.RolloutAsync()).Counts);
    }

    [Fact]
    public async Task A_held_rollout_is_not_resumed_under_one_that_runs()
    {
        await server.StartRolloutAsync("1.0.0");
        await server.Client.HoldAsync("r-1", "wait");
        await server.StartRolloutAsync("1.1.0");

        Assert.Equal("/problems/rollout-active", await RefusedAsync(() => server.Client.ResumeAsync("r-1", "go on")));
        Assert.Equal("/problems/rollout-active", await RefusedAsync(() => server.Client.RetryAsync("r-1", 2, "go on")));
    }

    [Fact]
    public async Task A_rollout_shows_its_devices_page_by_page_and_what_was_saved()
    {
        await server.StartRolloutAsync("1.0.0");
        for (var i = 1; i <= 3; i++)
        {
            var device = await server.EnrolAsync($"till-{i}");
            await device.SayAsync(Report(1, ReportKind.Switched) with { Variant = "fp32", BytesFetched = 10, BytesTotal = 100, BytesByWay = Ways(("patch", 8), ("index", 2), ("copied", 90)) });
        }

        var page = await server.Client.GetRolloutAsync("r-1", null, 2);
        Assert.Equal((2, "till-2"), (page.Devices.Length, page.Next));
        Assert.Equal("till-3", Assert.Single((await server.Client.GetRolloutAsync("r-1", page.Next, 2)).Devices).Device);
        Assert.Equal((30L, 300L, 3), (page.Rollout.BytesFetched, page.Rollout.BytesTotal, page.Rollout.Counts.Underway));
        Assert.Equal(Ways(("patch", 24), ("index", 6), ("copied", 270)), page.Rollout.BytesByWay);
        Assert.Equal(page.Rollout.BytesByWay, (await server.Client.GetReleaseAsync(Bearing, page.Rollout.Release)).BytesByWay);
        Assert.Equal("fp32", page.Devices[0].Variant);
    }
}
