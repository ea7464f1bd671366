using System.Collections.Immutable;
using Coppice.Access;
using Coppice.Client;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Rollouts;
using static Coppice.Server.Tests.RunningServer;
using static Coppice.Server.Tests.TestDevice;

namespace Coppice.Server.Tests.Rollouts;

/// <summary>A server with releases of three models.</summary>
public abstract class SetServer : IAsyncLifetime
{
    private protected static readonly ModelName Embedder = ModelName.Parse("plant/embedder");
    private protected static readonly ModelName Llm = ModelName.Parse("plant/llm");

    private protected RunningServer server = null!;

    public async Task InitializeAsync()
    {
        server = await StartAsync();
        await server.PublishAsync("2.0.0");
        await server.PublishAsync("2.0.0", Embedder);
        await server.PublishAsync("2.0.0", Llm);
        await server.PublishAsync("1.0.0", Llm);
    }

    public async Task DisposeAsync() => await server.DisposeAsync();

    private protected static StartRollout Wanted(string llm = "2.0.0") => new(Bearing, V("2.0.0"), [new(1)]) { With = [new(Embedder, V("2.0.0")), new(Llm, V(llm))] };

    private protected async Task<RolloutPlan> PlanAsync(ModelName model) => (await new TufWalk(server.Anyone, server.Time).PlanAsync(model))!;

    private protected static async Task<ControlException> RefusedAsync(Func<Task> order) => await Assert.ThrowsAsync<ControlException>(order);
}

/// <summary>What of sets the database is asked for; run on PostgreSQL too.</summary>
public class SetQueriesTests : SetServer
{
    [Fact]
    public async Task A_set_stands_in_the_plan_of_its_leading_model_and_the_others_point_to_it()
    {
        var started = await server.Client.StartRolloutAsync(Wanted());

        Assert.Equal([Embedder, Llm], started.With!.Value.Select(member => member.Model));
        var plans = new Dictionary<ModelName, RolloutPlan> { [Bearing] = await PlanAsync(Bearing), [Embedder] = await PlanAsync(Embedder), [Llm] = await PlanAsync(Llm) };
        Assert.Equal((await server.Client.GetReleaseAsync(Llm, V("2.0.0"))).Release.Digest, plans[Bearing].Rollouts[0].With!.Value[1].Manifest);
        Assert.Equal((RolloutState.Held, Bearing), (plans[Llm].Rollouts[0].State, plans[Llm].Rollouts[0].Lead));
        Assert.Equal((RolloutState.Running, "2.0.0"), (SetForm.Resolved(plans[Llm], plans).Rollouts[0].State, SetForm.Resolved(plans[Llm], plans).Rollouts[0].Release.ToString()));

        var serial = plans[Llm].Serial;
        await server.Client.HoldAsync("r-1", "wait");
        Assert.Equal((RolloutState.Held, serial), ((await PlanAsync(Bearing)).Rollouts[0].State, (await PlanAsync(Llm)).Serial)); // the others' plans stay as they are
        Assert.Equal("r-1", (await server.Client.GetModelAsync(Llm)).Rollouts[0].Id);
    }

    [Fact]
    public async Task Two_running_rollouts_name_no_model_twice()
    {
        await server.Client.StartRolloutAsync(Wanted());
        var alone = await RefusedAsync(() => server.Client.StartRolloutAsync(new(Llm, V("1.0.0"), [new(1)])));
        Assert.Equal(("/problems/rollout-active", "r-1 brings plant/llm 2.0.0 with plant/bearing 2.0.0 (phase 1 of 1); let it finish, hold it or revert it first."), (alone.Type, alone.Problem.Detail));
        Assert.Equal("r-1", (await server.Client.GetModelAsync(Llm)).Model.Running);

        await server.Client.HoldAsync("r-1", "wait");
        await server.Client.StartRolloutAsync(new(Llm, V("1.0.0"), [new(1)]));
        Assert.Equal("/problems/rollout-active", (await RefusedAsync(() => server.Client.ResumeAsync("r-1", "go on"))).Type);
        Assert.Contains("r-2 brings plant/llm 1.0.0", (await RefusedAsync(() => server.Client.StartRolloutAsync(Wanted()))).Problem.Detail);
    }

    [Fact]
    public async Task A_gate_may_look_at_a_model_that_comes_along_by_that_models_own_figures()
    {
        Gate Slower(ModelName? model) => new(GateKind.Metric) { Metric = "latencyP95Ms", Model = model, Against = Reference.Before, MaxRise = 0.2 };
        await server.Client.StartRolloutAsync(Wanted() with { Gates = [Slower(null), Slower(Embedder), new(GateKind.Metric) { Metric = "latencyP95Ms", Model = Llm, Max = 100 }], Policy = new(null, PhaseAction.Revert) });
        var token = await server.Client.CreateJoinTokenAsync(new(TimeSpan.FromHours(1), 40));
        for (var i = 0; i < 40; i++)
        {
            var device = new TestDevice(server, $"till-{i}");
            (await device.EnrolAsync(token.Token)).Dispose();
            Report Of(long sequence, ReportKind kind, ModelName model, double latency, string release = "2.0.0", string rollout = "r-1") => Report(sequence, kind, release, rollout) with
            {
                Model = model,
                Measures = ImmutableDictionary<string, double>.Empty.Add("latencyP95Ms", latency).Add(model == Bearing ? "servingLatencyP95Ms" : "runs", 10 + 0.01 * i),
            };
            await device.SayAsync(Of(1, ReportKind.Settled, Embedder, 10 + 0.01 * i, "1.0.0", "r-99")); // of the release before, which came with another set
            await device.SayAsync(Of(2, ReportKind.Switched, Embedder, 99), Of(3, ReportKind.Settled, Embedder, 30), Of(4, ReportKind.Settled, Llm, 50), Of(5, ReportKind.Settled, Bearing, 10));
        }

        await server.JudgeAsync();

        // It may have been decided before the last device spoke.
        var decision = (await server.Client.WhyAsync("r-1")).Decisions[^1];
        var gates = PhaseVerdict.Judge(decision.Evidence).Gates;
        Assert.Equal([("latencyP95Ms high against before", GateStanding.Good), ("latencyP95Ms of plant/embedder high against before", GateStanding.Bad), ("latencyP95Ms of plant/llm high", GateStanding.Good)], gates.Select(gate => (gate.Gate, gate.Standing)));
        Assert.All(gates, gate => Assert.InRange(gate.Devices, 30, 40));
        Assert.InRange(gates[1].Seen!.Value, 1.9, 2.0); // its last word, not its first
        Assert.Equal((PhaseAction.Revert, RolloutState.Reverted), (decision.Action, (await server.RolloutAsync()).State));
    }

    [Fact]
    public async Task A_revoked_member_reverts_the_set_in_the_leading_plan()
    {
        await server.Client.StartRolloutAsync(Wanted());
        await server.Client.RevokeAsync(Llm, V("2.0.0"), "it leaks");

        Assert.Equal((RolloutState.Reverted, "plant/llm 2.0.0 was revoked: it leaks"), ((await server.RolloutAsync()).State, (await server.RolloutAsync()).Why));
        Assert.Equal(RolloutState.Reverted, (await PlanAsync(Bearing)).Rollouts[0].State);
        Assert.Equal("2.0.0", Assert.Single((await PlanAsync(Llm)).Revoked).ToString());
    }
}

/// <summary>A rollout that brings releases of several models.</summary>
public sealed class SetsTests : SetServer
{
    [Fact]
    public async Task Every_release_of_a_set_must_be_there_and_may_serve()
    {
        Assert.Equal("/problems/no-release", (await RefusedAsync(() => server.Client.StartRolloutAsync(Wanted() with { With = [new(Llm, V("9.0.0"))] }))).Type);
        await server.Client.RevokeAsync(Llm, V("1.0.0"), "leaks");
        Assert.Equal("/problems/release-revoked", (await RefusedAsync(() => server.Client.StartRolloutAsync(Wanted("1.0.0")))).Type);
        Assert.Equal(["with"], (await server.Operator.PostAsync("v1/rollouts", Answers.Json(
            """{"model":"plant/bearing","release":"2.0.0","phases":[{"share":1}],"with":[{"model":"plant/llm","release":"2.0.0"}],"arms":[{"name":"control","weight":1},{"name":"b","weight":1,"release":"2.0.0"}],"experiment":{"metric":"settled","goal":"higher"}}""")).ProblemAsync(400)).Errors!.Keys);
    }

    [Fact]
    public async Task A_device_counts_once_and_what_its_other_models_say_is_known_of_them()
    {
        await server.Client.StartRolloutAsync(Wanted());
        var device = await server.EnrolAsync("till-1");
        Report Of(long sequence, ReportKind kind, ModelName model) => Report(sequence, kind, "2.0.0") with { Model = model };
        await device.SayAsync(Report(1, ReportKind.Started, "2.0.0"), Report(2, ReportKind.Switched, "2.0.0"), Of(3, ReportKind.Switched, Embedder), Of(4, ReportKind.Switched, Llm));
        Assert.Equal(1, (await server.RolloutAsync()).Counts.Underway);

        await device.SayAsync(Of(5, ReportKind.Settled, Embedder), Of(6, ReportKind.Settled, Llm), Report(7, ReportKind.Settled, "2.0.0"));
        Assert.Equal(new(1, 0, 0, 0), (await server.RolloutAsync()).Counts);
        Assert.Equal("2.0.0", Assert.Single((await server.Client.ExplainDeviceAsync("till-1", Llm)).Models).Serving?.ToString());
        await server.JudgeAsync();
        Assert.True((await server.RolloutAsync()).State is RolloutState.Running or RolloutState.Complete);
    }

    [Fact]
    public async Task An_explanation_speaks_of_the_set_and_of_what_keeps_it_back()
    {
        await server.EnrolAsync("till-1", ("os", "linux"), ("disk.free", "1000000000"));
        async Task<ModelExplanation> AskedAsync(ModelName model) => Assert.Single((await server.Client.ExplainDeviceAsync("till-1", model)).Models);
        await server.Client.StartRolloutAsync(Wanted());
        foreach (var model in (ModelName[])[Bearing, Embedder, Llm])
            Assert.Equal(("r-1", "2.0.0"), ((await AskedAsync(model)).Rollout, (await AskedAsync(model)).Release?.ToString()));
        Assert.Contains("together with plant/embedder 2.0.0 and plant/llm 2.0.0 or not at all", (await AskedAsync(Bearing)).Verdict);

        await server.Client.HoldAsync("r-1", "wait");
        await server.Client.StartRolloutAsync(new(Llm, V("1.0.0"), [new(1)]));
        await server.Client.AdvanceAsync("r-2", 1, "done");
        await server.Client.ResumeAsync("r-1", "go on");
        var kept = await AskedAsync(Bearing);
        Assert.Equal("It has nothing, and takes nothing.", kept.Verdict);
        Assert.Contains(kept.Reasons, why => why.StartsWith("r-1 (2.0.0): brings plant/llm 2.0.0 with it, and plant/llm is not to take that: r-2 (1.0.0)", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Who_starts_a_set_has_the_right_to_every_model_of_it()
    {
        using var http = await server.OperatorAsync("ann", new RoleGrant(Role.Operator) { Models = "plant/bearing" }, new RoleGrant(Role.Operator) { Models = "plant/embedder", Devices = "label.site = oslo" });
        using var ann = new CoppiceClient(http, null);
        Assert.Equal(403, (await Assert.ThrowsAsync<ControlException>(() => ann.StartRolloutAsync(Wanted()))).Problem.Status);

        var confined = await ann.StartRolloutAsync(Wanted() with { With = [new(Embedder, V("2.0.0"))] });
        Assert.Contains("label.site = oslo", confined.Selector); // the narrowest of what they may
    }

    [Fact]
    public async Task A_policy_on_one_model_of_a_set_makes_its_rollout_wait()
    {
        await server.Operator.PutAsync("v1/policies", Answers.Json("""{"models":"plant/llm","approvals":1,"why":"two pairs of eyes"}"""));
        using var asked = await server.Operator.PostAsync("v1/rollouts", Answers.Json(
            """{"model":"plant/bearing","release":"2.0.0","phases":[{"share":1}],"with":[{"model":"plant/llm","release":"2.0.0"}]}"""));
        Assert.Equal(202, (int)asked.StatusCode);
        Assert.Empty((await server.Client.ListRolloutsAsync()).Rollouts);
    }
}
