using Coppice.Agent;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Rollouts;
using Coppice.Tests;

namespace Coppice.EndToEnd;

/// <summary>A public model's next release runs as a shadow: in an app that is asked, and in an agent's process that is killed.</summary>
public sealed class RealShadowTests
{
    const string Model = "real/silero";

    [Fact]
    public async Task A_real_model_runs_beside_the_one_that_answers_survives_nothing_that_kills_its_host_and_serves_once_promoted()
    {
        if (!SharedFiles.TryFind("models/silero_vad_onnx", out var folder))
            return;
        await using var site = await Site.StartAsync();
        await site.PublishAsync(Model, "1.0.0", Path.Combine(folder, "old.onnx"));
        await site.PublishAsync(Model, "2.0.0", Path.Combine(folder, "new.onnx"), "--breaking");
        var first = await site.RollOutAsync(Model, "1.0.0");
        site.StartAgent("till-1", "--model", Model, "--check-in", "1s");
        await using var agent = await CoppiceAgent.OpenAsync(new()
        {
            Data = site.PathOf("app"),
            Server = site.Url.ToString(),
            JoinToken = site.JoinToken,
            Device = "app",
            Models = [Model],
            CheckIn = TimeSpan.FromSeconds(1),
            Policy = new() { Poll = TimeSpan.FromMilliseconds(200), Retry = TimeSpan.FromMilliseconds(100), Probation = new() { Time = TimeSpan.FromMilliseconds(300) } },
        });
        await Site.UntilAsync(async () => (await Task.WhenAll(ServesAsync("app"), ServesAsync("till-1"))).All(serving => serving is ("1.0.0", true)), "1.0.0 settled on both");
        await site.CompleteAsync(first.Id);

        var started = await site.Control.StartRolloutAsync(new(ModelName.Parse(Model), SemanticVersion.Parse("2.0.0"), [new(1)])
        {
            Arms = [new("control", 1e-6), new("b", 1, SemanticVersion.Parse("2.0.0")) { Shadow = true, ShadowShare = 1 }],
            Experiment = new("agreement", Goal.Higher),
            Policy = new(10, PhaseAction.Hold),
        });
        await Site.UntilAsync(() => Task.FromResult(agent.Model(Model).Shadow is not null), "the shadow runs in the app");
        RolloutDevice? word = null;
        await Site.UntilAsync(
            async () =>
            {
                Assert.Equal("1.0.0", RealSwitchTests.RunOnce(agent, Model));
                word = (await site.Control.GetRolloutAsync(started.Id)).Devices.FirstOrDefault(device => device.Device == "app");
                Assert.True(word?.Kind is null or ReportKind.Started or ReportKind.Switched or ReportKind.Settled, $"{word?.Kind}: {word?.Why}");
                return word?.Kind == ReportKind.Settled;
            },
            "the shadow has settled in the app");
        Assert.Equal((true, 0), (word!.Shadow, word.Measures!["errors"]));
        Assert.InRange(word.Measures["agreement"], 0, 1);
        Assert.True(word.Measures["runs"] >= 20 && word.Measures["latencyP95Ms"] > 0 && word.Measures["servingLatencyP95Ms"] > 0);
        Assert.Equal(("1.0.0", true), await ServesAsync("app"));

        await Site.UntilAsync(() => Task.FromResult(AgentStatus.History(site.PathOf("till-1")).Any(happened => happened.Kind == AgentEventKind.ShadowStarted)), "the shadow runs in the agent's process");
        Assert.Equal("2.0.0", (await site.StatusAsync(site.PathOf("till-1"))).GetProperty("models")[0].GetProperty("shadow").GetString());
        await site.Agent("till-1").KillAsync();
        site.StartAgent("till-1", "--model", Model, "--check-in", "1s");
        await Site.UntilAsync(async () => (await site.Control.GetRolloutAsync(started.Id)).Devices.Any(device => device is { Device: "till-1", Kind: ReportKind.TakenBack, Shadow: true }), "the shadow is taken off");
        Assert.Equal(("1.0.0", true), await ServesAsync("till-1"));

        await site.Control.PromoteAsync(started.Id, new("b", "as good"));
        await Site.UntilAsync(async () => await ServesAsync("app") is ("2.0.0", true), "2.0.0 serves in the app");
        Assert.Equal((null, "2.0.0"), (agent.Model(Model).Shadow, agent.Model(Model).Release?.ToString()));
        Assert.Equal(("1.0.0", true), await ServesAsync("till-1")); // where it took its host down, not by the same attempt

        async Task<(string? Release, bool Settled)> ServesAsync(string device) =>
            (await site.Control.ListDevicesAsync()).Devices.FirstOrDefault(known => known.Id == device)?.Models.FirstOrDefault() is { } model ? (model.Serving?.ToString(), model.Settled) : default;
    }
}
