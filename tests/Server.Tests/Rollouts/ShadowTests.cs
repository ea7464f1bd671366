using System.Collections.Immutable;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Rollouts;
using Coppice.Trust;
using static Coppice.Protocol.ReportKind;
using static Coppice.Server.Tests.RunningServer;
using static Coppice.Server.Tests.TestDevice;

namespace Coppice.Server.Tests.Rollouts;

public class ShadowTests : IAsyncLifetime
{
    RunningServer server = null!;
    readonly List<TestDevice> devices = [];

    public async Task InitializeAsync()
    {
        server = await RunningServer.StartAsync();
        await server.PublishAsync("1.0.0");
        var (draft, blob) = MakeRelease("1.1.0");
        Assert.True(DocumentJson.TryRead(draft, out ReleaseManifest? manifest, out _));
        var signed = DocumentJson.Write(manifest with { Variants = [manifest.Variants[0] with { Runtime = "onnxruntime" }] }); // an app's own files have no runs to copy
        await server.Client.PutBlobAsync(Sha256Digest.Of(blob), new MemoryStream(blob), blob.Length);
        await server.Client.PublishAsync(Bearing, new(signed, server.Sign(signed, "1.1.0")));
        await server.StartRolloutAsync("1.0.0", new Phase(1));
        await server.Client.AdvanceAsync("r-1", 1, "everybody has it");
    }

    public async Task DisposeAsync() => await server.DisposeAsync();

    /// <summary>Devices that serve 1.0.0.</summary>
    async Task EnrolAsync(int count, params (string Name, string Value)[] facts)
    {
        var token = await server.Client.CreateJoinTokenAsync(new(TimeSpan.FromHours(1), count));
        for (var i = 0; i < count; i++)
        {
            var device = new TestDevice(server, $"till-{devices.Count}");
            (await device.EnrolAsync(token.Token, facts)).Dispose();
            await device.SayAsync(Report(1, Settled));
            devices.Add(device);
        }
    }

    /// <summary>An experiment in which 1.1.0 is the shadow of nearly everybody.</summary>
    Task<RolloutView> StartAsync(ExperimentTerms terms, params Gate[] gates) => server.Client.StartRolloutAsync(new(Bearing, V("1.1.0"), [new(1)])
    {
        Arms = [new("control", 0.0001), new("b", 1, V("1.1.0")) { Shadow = true, ShadowShare = 0.2 }],
        Experiment = terms,
        Gates = [.. gates],
        Policy = new(gates.Length > 0 ? null : 0, PhaseAction.Revert),
        Why = "is it as good?",
    });

    static Report Said(long sequence, ReportKind kind, params (string Name, double Value)[] figures) => Report(sequence, kind, "1.1.0", "r-2") with
    {
        Shadow = true,
        Measures = figures.Length == 0 ? null : figures.ToImmutableDictionary(figure => figure.Name, figure => figure.Value),
    };

    [Fact]
    public async Task The_signed_plan_and_whatever_tells_of_it_name_the_shadow()
    {
        var started = await StartAsync(new("agreement", Goal.Higher));

        var arm = (await server.PlanAsDeviceAsync())!.Rollouts[0].Arms!.Value[1];
        Assert.Equal((null, null, V("1.1.0"), 0.2), (arm.Release, arm.Manifest, arm.Shadow!.Release, arm.Shadow.Share));
        Assert.Equal([null, true], started.Experiment!.Arms.Select(standing => standing.Shadow));
        Assert.True(started.Ordered!.Arms[1].Shadow);
        Assert.Equal("is it as good?; arm b runs 1.1.0 as a shadow", (await server.Client.ListEventsAsync()).Events.Single(e => e is { Kind: EventKind.RolloutStarted, Rollout: "r-2" }).Why);
    }

    [Fact]
    public async Task What_a_device_says_of_its_shadow_counts_for_the_rollout_and_changes_nothing_of_what_serves()
    {
        await EnrolAsync(2);
        await StartAsync(new("agreement", Goal.Higher));
        await devices[0].SayAsync(Said(2, Started), Said(3, Switched, ("latencyP95Ms", 3)), Said(4, Settled, ("agreement", 0.99)));
        await devices[1].SayAsync(Said(2, Started), Said(3, Switched), Said(4, TakenBack, ("crashes", 1)));

        foreach (var device in devices)
        {
            var model = Assert.Single((await server.Client.GetDeviceAsync(device.Id)).Models);
            Assert.Equal(("1.0.0", true, "r-1"), (model.Serving?.ToString(), model.Settled, model.Rollout));
        }

        var detail = await server.Client.GetRolloutAsync("r-2");
        Assert.Equal((1, 1, 1), (detail.Rollout.Counts.Settled, detail.Rollout.Counts.TakenBack, detail.Rollout.Counts.Crashed));
        Assert.All(detail.Devices, device => Assert.True(device.Shadow));
        Assert.True((await server.Client.ListReportsAsync(devices[0].Id)).Reports[0].Report.Shadow);

        await server.JudgeAsync();
        Assert.Equal(RolloutState.Reverted, (await server.RolloutAsync("r-2")).State); // its failure is a failure of the arm
    }

    [Fact]
    public async Task Gates_judge_a_shadow_by_its_agreement_and_by_the_release_that_answers_beside_it()
    {
        await EnrolAsync(40);
        await StartAsync(new("agreement", Goal.Higher), new(GateKind.Metric) { Metric = "agreement", Min = 0.98 }, new(GateKind.Metric) { Metric = "latencyP95Ms", Against = Reference.Before, MaxRise = 0.2 });
        var random = new Random(1);
        foreach (var device in devices)
            await device.SayAsync(Said(2, Settled, ("agreement", 0.9 + 0.01 * random.NextDouble()), ("latencyP95Ms", 10), ("servingLatencyP95Ms", 10 + 0.1 * random.NextDouble())));

        await server.JudgeAsync();
        var gates = PhaseVerdict.Judge((await server.Client.WhyAsync("r-2")).Decisions[^1].Evidence).Gates; // it may have been decided before the last device spoke
        Assert.Equal((GateStanding.Bad, GateStanding.Good), (gates[0].Standing, gates[1].Standing));
        Assert.Equal(RolloutState.Reverted, (await server.RolloutAsync("r-2")).State);
        Assert.Equal("1.0.0", (await server.Client.GetDeviceAsync(devices[0].Id)).Models[0].Serving?.ToString());
    }

    [Fact]
    public async Task Against_a_control_that_reports_nothing_it_is_compared_with_what_serves_on_its_own_devices_and_by_policy_promoted()
    {
        await EnrolAsync(80);
        await StartAsync(new("accuracy", Goal.Higher) { SharpAt = 100, Promote = true }, new Gate(GateKind.Failures) { Max = 0.5 });
        var random = new Random(1);
        foreach (var device in devices[1..])
            await device.SayAsync(Said(2, Settled, ("deviceAccuracy", 0.95 + 0.01 * random.NextDouble()), ("servingAccuracy", 0.90 + 0.01 * random.NextDouble())));
        await devices[0].SayAsync(Said(2, TakenBack, ("crashes", 1)));

        await server.JudgeAsync();

        var decision = Assert.Single((await server.Client.WhyAsync("r-2")).Decisions);
        Assert.Equal((PhaseAction.Promote, "b"), (decision.Action, PhaseVerdict.Judge(decision.Evidence).Compared!.Winner));
        Assert.EndsWith("b was a shadow, and 1.1.0 serves from now on.", (await server.Client.ListEventsAsync(limit: 500)).Events.Single(e => e.Kind == EventKind.ArmPromoted).Why, StringComparison.Ordinal);
        await PromotedAsync();
        Assert.Equal(1, (await server.RolloutAsync("r-2")).Counts.TakenBack); // where it crashed it is not tried again
    }

    [Fact]
    public async Task Promoted_by_hand_its_release_is_everybodys_and_devices_say_anew_that_it_serves()
    {
        await EnrolAsync(3);
        var agrees = new Gate(GateKind.Metric) { Metric = "agreement", Min = 0.98 };
        await StartAsync(new("accuracy", Goal.Higher), agrees, new(GateKind.Failures) { Max = 0.4 });
        Assert.Equal(["agreement low", "failures"], (await server.RolloutAsync("r-2")).Gates.Select(gate => gate.Gate));
        foreach (var device in devices)
            await device.SayAsync(Said(2, Settled, ("agreement", 1)));

        await server.Client.PromoteAsync("r-2", new("b", "it says the same at half the size"));

        await PromotedAsync();
        var promoted = await server.RolloutAsync("r-2");
        Assert.Equal((0, "failures"), (promoted.Counts.Settled, Assert.Single(promoted.Gates).Gate)); // nobody will report agreement any more
        await devices[0].SayAsync(Said(3, Settled, ("agreement", 1))); // it had not heard of it yet
        Assert.Equal(0, (await server.RolloutAsync("r-2")).Counts.Settled);
        await devices[0].SayAsync(Report(4, Settled, "1.1.0", "r-2"));
        Assert.Equal(1, (await server.RolloutAsync("r-2")).Counts.Settled);
        Assert.Equal("1.1.0", (await server.Client.GetDeviceAsync(devices[0].Id)).Models[0].Serving?.ToString());
    }

    async Task PromotedAsync()
    {
        var plan = (await server.PlanAsDeviceAsync())!.Rollouts[0];
        Assert.Equal(("r-2", null, "1.1.0", RolloutState.Running), (plan.Id, plan.Arms, plan.Release.ToString(), plan.State));
    }

    [Fact]
    public async Task A_promoted_control_ends_it()
    {
        await StartAsync(new("accuracy", Goal.Higher));
        Assert.Equal(RolloutState.Reverted, (await server.Client.PromoteAsync("r-2", new("control", "no better"))).State);
    }

    [Fact]
    public async Task A_device_is_explained_with_its_shadow_and_why_it_has_none()
    {
        await EnrolAsync(1, ("ram.free", "1000000000"), ("disk.free", "1000000000"), ("runtime.onnxruntime", "1.30.0"), ("os", "linux"));
        await EnrolAsync(1, ("ram.total", "1000"), ("ram.free", "10"), ("disk.free", "1000000000"), ("runtime.onnxruntime", "1.30.0"), ("os", "linux"));
        await StartAsync(new("agreement", Goal.Higher));
        async Task<ModelExplanation> AskedAsync(int device) => Assert.Single((await server.Client.ExplainDeviceAsync(devices[device].Id, Bearing)).Models);

        Assert.Equal("It keeps 1.0.0. It is to run 1.1.0 (fp32) beside it, on 20 % of its requests, and that answers none.", (await AskedAsync(0)).Verdict);
        await devices[0].SayAsync(Said(2, Started), Said(3, Switched));
        var runs = await AskedAsync(0);
        Assert.Equal("It keeps 1.0.0. It runs 1.1.0 beside it, on 20 % of its requests, and that answers none.", runs.Verdict);
        Assert.Contains("r-2 (arm b, 1.1.0 as a shadow): runs beside what serves, and answers nobody", runs.Reasons);

        var small = await AskedAsync(1);
        Assert.EndsWith("It is to run 1.1.0 beside it, and nothing of that fits it.", small.Verdict, StringComparison.Ordinal);
        Assert.Contains(small.Reasons, reason => reason.Contains("of memory beside what serves with 100 B to spare, there is 10 B", StringComparison.Ordinal));
    }
}
