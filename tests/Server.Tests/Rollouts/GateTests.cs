using System.Collections.Immutable;
using System.Text.Json;
using Coppice.Client;
using Coppice.Protocol;
using Coppice.Rollouts;
using static Coppice.Protocol.ReportKind;
using static Coppice.Server.Tests.RunningServer;
using static Coppice.Server.Tests.TestDevice;

namespace Coppice.Server.Tests.Rollouts;

public class GateTests : IAsyncLifetime
{
    static readonly Gate Failures = new(GateKind.Failures) { Max = 0.3 };

    RunningServer server = null!;
    readonly List<TestDevice> devices = [];

    public async Task InitializeAsync()
    {
        server = await StartAsync();
        await server.PublishAsync("1.0.0");
        await server.PublishAsync("1.1.0");
    }

    public async Task DisposeAsync() => await server.DisposeAsync();

    async Task EnrolAsync(int count)
    {
        var token = await server.Client.CreateJoinTokenAsync(new(TimeSpan.FromHours(1), count));
        for (var i = 0; i < count; i++)
        {
            var device = new TestDevice(server, $"till-{devices.Count}");
            (await device.EnrolAsync(token.Token)).Dispose();
            devices.Add(device);
        }
    }

    Task<RolloutView> RollOutAsync(string release, ImmutableArray<Phase> phases, params Gate[] gates) => server.Client.StartRolloutAsync(new(Bearing, V(release), phases)
    {
        Gates = [.. gates],
        Policy = new(null, PhaseAction.Revert),
        Deadline = TimeSpan.FromHours(24),
    });

    async Task<RolloutView> JudgedAsync(RolloutState state, string id = "r-1")
    {
        await server.JudgeAsync();
        var now = await server.RolloutAsync(id);
        Assert.True(now.State == state, $"{now.State}: {now.Verdict}");
        return now;
    }

    static Report Measured(long sequence, ReportKind kind, string rollout, string release, params (string Name, double Value)[] measures) =>
        Report(sequence, kind, release, rollout) with { Measures = measures.ToImmutableDictionary(measure => measure.Name, measure => measure.Value) };

    [Fact]
    public async Task A_phase_goes_on_when_its_gates_are_good_and_why_gives_the_same_verdict_from_what_was_kept()
    {
        await EnrolAsync(30);
        await RollOutAsync("1.0.0", [new(1, TimeSpan.FromHours(1))], Failures);
        await devices[0].SayAsync(Report(1, Refused, why: "a lie"));
        foreach (var device in devices[1..5])
            await device.SayAsync(Report(1, Settled));
        var early = await JudgedAsync(RolloutState.Running); // one refusal of five holds nobody
        Assert.StartsWith("Cannot tell yet: failures: 1 of 5 devices failed", early.Verdict, StringComparison.Ordinal);
        Assert.True(early.Gates[0].DevicesNeeded > 0);

        foreach (var device in devices[5..])
            await device.SayAsync(Report(1, Settled));
        server.Time.Advance(TimeSpan.FromHours(1));
        await JudgedAsync(RolloutState.Complete);

        var why = await server.Client.WhyAsync("r-1");
        var decision = Assert.Single(why.Decisions);
        Assert.Equal((PhaseAction.Complete, 29, 1), (decision.Action, decision.Evidence.Counts.Settled, decision.Evidence.Counts.Refused));
        var again = PhaseVerdict.Judge(decision.Evidence);
        Assert.Equal((decision.Action, decision.Why), (again.Action, again.Why));
        Assert.Equal(EventKind.RolloutStarted, Assert.Single(why.Orders).Kind);
    }

    [Fact]
    public async Task A_phase_that_cannot_be_told_is_said_once_and_waits_for_an_operator()
    {
        await EnrolAsync(3);
        await RollOutAsync("1.0.0", [new(1, TimeSpan.Zero)], Failures);
        await devices[0].SayAsync(Report(1, Refused, why: "a lie"));
        await devices[1].SayAsync(Report(1, Settled));
        Assert.Null((await JudgedAsync(RolloutState.Running)).UndecidedSince); // a third may come

        await devices[2].SayAsync(Report(1, Settled));
        var now = await JudgedAsync(RolloutState.Running);
        await JudgedAsync(RolloutState.Running);

        Assert.Equal(server.Time.GetUtcNow(), now.UndecidedSince);
        Assert.EndsWith("an operator decides, by skip, retry, abort or revert.", now.Verdict, StringComparison.Ordinal);
        var why = await server.Client.WhyAsync("r-1");
        Assert.Equal((PhaseAction.Wait, now.Verdict), Assert.Single(why.Decisions) is var said ? (said.Action, said.Why) : default);
        Assert.Equal(now.Verdict, Assert.Single((await server.Client.ListEventsAsync()).Events, e => e.Kind == EventKind.RolloutUndecided).Why);
        Assert.Equal((now.Verdict, true), PhaseVerdict.Judge(why.Decisions[0].Evidence) is var again ? (again.Why, again.IsUndecided) : default);

        Assert.Equal((RolloutState.Complete, null), await server.Client.AdvanceAsync("r-1", 1, "looked at it") is var done ? (done.State, done.UndecidedSince) : default);
    }

    [Fact]
    public async Task What_the_plan_names_happens_when_nobody_decides_in_time()
    {
        await EnrolAsync(3);
        await server.Client.StartRolloutAsync(new(Bearing, V("1.0.0"), [new(1, TimeSpan.Zero)])
        {
            Gates = [Failures],
            Policy = new(null, PhaseAction.Hold) { OnUndecided = PhaseAction.Revert, DecideWithin = TimeSpan.FromHours(6) },
        });
        await devices[0].SayAsync(Report(1, Refused, why: "a lie"));
        foreach (var device in devices[1..])
            await device.SayAsync(Report(1, Settled));
        await JudgedAsync(RolloutState.Running);
        server.Time.Advance(TimeSpan.FromHours(5));
        await JudgedAsync(RolloutState.Running);
        await server.Client.HoldAsync("r-1", "let me see");
        await server.Client.ResumeAsync("r-1", "two hours more"); // and the time counts anew
        await JudgedAsync(RolloutState.Running);
        server.Time.Advance(TimeSpan.FromHours(5));
        await JudgedAsync(RolloutState.Running);

        server.Time.Advance(TimeSpan.FromHours(1));
        Assert.EndsWith("no operator decided within 6h.", (await JudgedAsync(RolloutState.Reverted)).Why, StringComparison.Ordinal);

        foreach (var decision in (await server.Client.WhyAsync("r-1")).Decisions)
            Assert.Equal((decision.Action, decision.Why), PhaseVerdict.Judge(decision.Evidence) is var again ? (again.Action, again.Why) : default);
    }

    [Theory]
    [InlineData("confidence", 0, "0 is no confidence; give more than 0.5 and less than 1, as 0.99, or leave it out for 0.95.")]
    [InlineData("deadline", "0s", "0ms is no time to be silent for; give more than 0 and at most 366 days, as 24h, or leave it out for 7d.")]
    public async Task Zero_is_no_way_to_say_that_a_field_is_left_out(string field, object zero, string problem)
    {
        var body = JsonSerializer.Serialize(new Dictionary<string, object> { ["model"] = "plant/bearing", ["release"] = "1.0.0", ["phases"] = new object[] { new { share = 1 } }, [field] = zero });

        var found = await server.Operator.PostAsync("v1/rollouts", Answers.Json(body)).ProblemAsync(400);

        Assert.Equal(problem, Assert.Single(found.Errors![field]));
    }

    [Fact]
    public async Task Crashes_are_a_gate_of_their_own_and_revert_the_rollout()
    {
        await EnrolAsync(12);
        await RollOutAsync("1.0.0", [new(1, TimeSpan.Zero)], new Gate(GateKind.Crashes) { Max = 0.05 });
        foreach (var device in devices[6..])
            await device.SayAsync(Report(1, Settled));
        foreach (var device in devices[..6])
            await device.SayAsync(Measured(1, TakenBack, "r-1", "1.0.0", (ReportFigures.Crashes, 1)));

        var now = await JudgedAsync(RolloutState.Reverted);

        Assert.Equal(6, now.Counts.Crashed);
        Assert.Matches("^crashes: [1-6] of [0-9]+ devices crashed with it", now.Why); // the worker may have known before the last of them
        Assert.Equal(RolloutState.Reverted, (await server.PlanAsDeviceAsync())!.Rollouts[0].State);
    }

    [Fact]
    public async Task A_silent_device_is_waited_for_until_its_deadline_and_no_longer()
    {
        await EnrolAsync(2);
        await RollOutAsync("1.0.0", [new(1, TimeSpan.Zero)], Failures);
        await devices[0].SayAsync(Report(1, Started));
        await devices[1].SayAsync(Report(1, Settled));
        server.Time.Advance(TimeSpan.FromHours(23));
        Assert.Equal(1, (await JudgedAsync(RolloutState.Running)).Counts.Underway);

        server.Time.Advance(TimeSpan.FromHours(2));

        Assert.Equal(1, (await JudgedAsync(RolloutState.Complete)).Counts.Silent);
    }

    [Fact]
    public async Task A_device_that_is_off_is_no_failure_and_is_waited_for_as_long()
    {
        await EnrolAsync(3);
        await RollOutAsync("1.0.0", [new(1, TimeSpan.Zero)], Failures);
        foreach (var device in devices[..2])
            await device.SayAsync(Report(1, Settled));
        await JudgedAsync(RolloutState.Running); // two say too little, and a third may come

        server.Time.Advance(TimeSpan.FromHours(25));
        Assert.Equal((2, 0), (await JudgedAsync(RolloutState.Complete)).Counts is var counts ? (counts.Settled, counts.Failures) : default);
    }

    [Fact]
    public async Task A_metric_is_held_against_what_the_same_devices_reported_before()
    {
        await EnrolAsync(4);
        await RollOutAsync("1.0.0", [new(1, TimeSpan.Zero)], Failures);
        foreach (var device in devices)
            await device.SayAsync(Measured(1, Settled, "r-1", "1.0.0", ("latencyP95Ms", 10)));
        await JudgedAsync(RolloutState.Complete);
        var slower = new Gate(GateKind.Metric) { Metric = "latencyP95Ms", Against = Reference.Before, MaxRise = 0.2 };
        await RollOutAsync("1.1.0", [new(1, TimeSpan.Zero)], slower);

        foreach (var device in devices)
            await device.SayAsync(Measured(2, Settled, "r-2", "1.1.0", ("latencyP95Ms", 15)));
        var held = await JudgedAsync(RolloutState.Running, "r-2");
        Assert.Equal(0.5, held.Gates[0].Seen!.Value, 1e-9);
        foreach (var device in devices)
            await device.SayAsync(Measured(3, Settled, "r-2", "1.1.0", ("latencyP95Ms", 11)));

        await JudgedAsync(RolloutState.Complete, "r-2");
    }

    [Fact]
    public async Task A_check_is_said_from_outside_about_the_present_phase_only()
    {
        await EnrolAsync(1);
        await RollOutAsync("1.0.0", [new(1, TimeSpan.Zero)], new Gate(GateKind.Check) { Check = "bench" });
        await devices[0].SayAsync(Report(1, Settled));
        await JudgedAsync(RolloutState.Running);

        Assert.Equal("/problems/no-check", (await Assert.ThrowsAsync<ControlException>(() => server.Client.CheckAsync("r-1", new("branch", true, "ok", 0)))).Type);
        Assert.Equal("/problems/rollout-state", (await Assert.ThrowsAsync<ControlException>(() => server.Client.CheckAsync("r-1", new("bench", true, "ok", 1)))).Type);
        await server.Client.CheckAsync("r-1", new("bench", true, "all 40 parts measured", 0));

        await JudgedAsync(RolloutState.Complete);
        Assert.Equal("bench is good: all 40 parts measured", (await server.Client.ListEventsAsync()).Events.Single(e => e.Kind == EventKind.CheckSaid).Why);
    }

    [Fact]
    public async Task An_aborted_rollout_keeps_what_devices_have_and_is_over_for_good()
    {
        await RollOutAsync("1.0.0", [new(1, TimeSpan.Zero)], Failures);

        Assert.Equal(RolloutState.Aborted, (await server.Client.AbortAsync("r-1", "no longer wanted")).State);
        Assert.Equal(RolloutState.Aborted, (await server.Client.AbortAsync("r-1", "twice")).State);

        Assert.Equal(RolloutState.Aborted, (await server.PlanAsDeviceAsync())!.Rollouts[0].State);
        foreach (var order in (Func<Task>[])[() => server.Client.ResumeAsync("r-1", "x"), () => server.Client.RetryAsync("r-1", 2, "x"), () => server.Client.AdvanceAsync("r-1", 1, "x")])
            Assert.Equal("/problems/rollout-state", (await Assert.ThrowsAsync<ControlException>(order)).Type);
        Assert.Equal(RolloutState.Reverted, (await server.Client.RevertAsync("r-1", "back after all")).State);
    }

    [Fact]
    public async Task What_devices_follow_is_in_the_signed_plan_and_gates_are_not()
    {
        await server.Client.StartRolloutAsync(new(Bearing, V("1.0.0"), [new(1, TimeSpan.Zero) { Selector = "site = oslo", Gates = [Failures] }])
        {
            Spread = TimeSpan.FromHours(2),
            FetchEarly = true,
            Consent = "May the machine stop for a minute?",
            ForcedFrom = server.Time.GetUtcNow().AddDays(7),
            StartsAt = server.Time.GetUtcNow().AddHours(3),
            Requires = [new(Coppice.Registry.ModelName.Parse("plant/embedder"), Range(">=1.2.0"))],
        });

        var rollout = (await server.PlanAsDeviceAsync())!.Rollouts[0];

        Assert.Equal((TimeSpan.FromHours(2), true, "May the machine stop for a minute?"), (rollout.Spread, rollout.FetchEarly, rollout.Consent));
        Assert.Equal((rollout.StartsAt, "site = oslo", null), (rollout.Since, rollout.Phases[0].Selector, rollout.Phases[0].Gates));
        Assert.Equal("plant/embedder", Assert.Single(rollout.Requires!.Value).Model.ToString());
        Assert.StartsWith("Starts in 03:00", (await server.RolloutAsync()).Verdict, StringComparison.Ordinal);
        Assert.Equal(TimeSpan.FromHours(-3), (await server.Client.WhyAsync("r-1")).Now.InPhase);

        static Coppice.Registry.VersionRange Range(string text) => Coppice.Registry.VersionRange.TryParse(text, out var range) ? range : throw new ArgumentException(text);
    }

    [Theory]
    [InlineData("failures")]
    [InlineData("metric")]
    public async Task A_bad_arm_stops_an_experiment_although_all_devices_together_look_well(string kind)
    {
        await EnrolAsync(100);
        Gate gate = kind == "failures" ? new(GateKind.Failures) { Max = 0.35 } : new(GateKind.Metric) { Metric = "latencyP95Ms", Max = 16 };
        await server.Client.StartRolloutAsync(new(Bearing, V("1.1.0"), [new(1)])
        {
            Arms = [new("control", 1, V("1.0.0")), new("b", 1, V("1.1.0"))],
            Experiment = new("accuracy", Goal.Higher),
            Gates = [gate],
            Policy = new(null, PhaseAction.Revert),
            Salt = "fixed",
        });
        var plan = (await server.PlanAsDeviceAsync())!.Rollouts[0];
        var arms = devices.ToLookup(device => plan.ArmOf(device.Id)!.Name);
        var random = new Random(1);
        foreach (var (i, (well, badly)) in arms["control"].Zip(arms["b"]).Index()) // one of each, so that at no time there are more of the bad
        {
            await well.SayAsync(Measured(1, Settled, "r-1", "1.0.0", ("latencyP95Ms", 10 + random.NextDouble())));
            await badly.SayAsync(Measured(1, kind == "failures" && i % 5 < 3 ? Refused : Settled, "r-1", "1.1.0", ("latencyP95Ms", 20 + random.NextDouble())));
        }

        await server.JudgeAsync();

        // It may have been decided before the last device spoke.
        var decision = (await server.Client.WhyAsync("r-1")).Decisions[^1];
        var verdict = PhaseVerdict.Judge(decision.Evidence);
        Assert.Equal((PhaseAction.Revert, decision.Why), (decision.Action, verdict.Why));
        Assert.Equal([("control", false), ("b", true)], verdict.Gates.Select(gate => (gate.Arm!, gate.Standing == GateStanding.Bad)));
        Assert.StartsWith($"{gate.Name()} of b: ", decision.Why, StringComparison.Ordinal);
        Assert.NotEqual(PhaseAction.Revert, PhaseVerdict.Judge(decision.Evidence with { ByArm = [] }).Action);
    }

    [Fact]
    public async Task An_experiment_keeps_arms_apart_and_its_winner_becomes_everybodys()
    {
        await EnrolAsync(100);
        var started = await server.Client.StartRolloutAsync(new(Bearing, V("1.1.0"), [new(1)])
        {
            Arms = [new("control", 1, V("1.0.0")), new("b", 1, V("1.1.0"))],
            Experiment = new("accuracy", Goal.Higher) { SharpAt = 100, Promote = true },
            Gates = [Failures],
            Policy = new(null, PhaseAction.Revert),
        });
        Assert.Equal(2, started.Experiment!.Arms.Length);
        var plan = (await server.PlanAsDeviceAsync())!.Rollouts[0];
        var random = new Random(1);
        foreach (var device in devices[..30])
            await SayAsync(device);
        Assert.Null((await JudgedAsync(RolloutState.Running)).Experiment!.Winner);
        foreach (var device in devices[30..])
            await SayAsync(device);

        await server.JudgeAsync();

        var promoted = (await server.PlanAsDeviceAsync())!.Rollouts[0];
        Assert.Equal((null, "1.1.0"), (promoted.Arms, promoted.Release.ToString()));
        var decision = Assert.Single((await server.Client.WhyAsync("r-1")).Decisions);
        Assert.Equal(PhaseAction.Promote, decision.Action);
        var again = PhaseVerdict.Judge(decision.Evidence);
        Assert.Equal((decision.Action, decision.Why, "b"), (again.Action, again.Why, again.Compared!.Winner));
        Assert.Contains("b is better than control", (await server.Client.ListEventsAsync(limit: 500)).Events.Single(e => e.Kind == EventKind.ArmPromoted).Why, StringComparison.Ordinal);

        Task SayAsync(TestDevice device)
        {
            var arm = plan.ArmOf(device.Id)!;
            return device.SayAsync(Measured(1, Settled, "r-1", arm.Release!.ToString(), ("deviceAccuracy", (arm.Name == "b" ? 0.95 : 0.90) + 0.01 * random.NextDouble())));
        }
    }
}
