using System.Collections.Immutable;
using Coppice.Access;
using Coppice.Client;
using Coppice.Protocol;
using Coppice.Rollouts;
using static Coppice.Protocol.ReportKind;
using static Coppice.Server.Tests.RunningServer;
using static Coppice.Server.Tests.TestDevice;

namespace Coppice.Server.Tests.Fleet;

public sealed class ExplanationTests : IAsyncLifetime
{
    RunningServer server = null!;
    TestDevice device = null!;

    public async Task InitializeAsync()
    {
        server = await RunningServer.StartAsync();
        device = await server.EnrolAsync("till-1", ("os", "linux"), ("disk.free", "1000000000"));
        await server.PublishAsync("1.0.0");
    }

    public async Task DisposeAsync() => await server.DisposeAsync();

    async Task<ModelExplanation> AskedAsync() => Assert.Single((await server.Client.ExplainDeviceAsync("till-1", Bearing)).Models);

    [Fact]
    public async Task A_device_takes_what_reaches_it_and_of_the_rest_it_is_said_why_not()
    {
        Assert.Equal("Nobody has rolled out a release of the model.", (await AskedAsync()).Verdict);

        await server.Client.StartRolloutAsync(new(Bearing, V("1.0.0"), [new(1)]) { Selector = "site = oslo" });
        var outside = await AskedAsync();
        Assert.Equal("It has nothing, and takes nothing.", outside.Verdict);
        Assert.Contains("r-1 (1.0.0): for devices where site = oslo", outside.Reasons);

        await server.Client.LabelDeviceAsync("till-1", ImmutableDictionary<string, string>.Empty.Add("site", "oslo"));
        var inside = await AskedAsync();
        Assert.StartsWith("It takes 1.0.0 (", inside.Verdict);
        Assert.Equal(("r-1", "1.0.0"), (inside.Rollout, inside.Release?.ToString()));

        // And the device does what the server said.
        await device.SayAsync(Report(1, Started), Report(2, Switched), Report(3, Settled));
        var after = await AskedAsync();
        Assert.Equal(("It keeps 1.0.0.", "1.0.0"), (after.Verdict, after.Serving?.ToString()));
        Assert.StartsWith("Settled 1.0.0 at ", after.LastWord);
    }

    [Fact]
    public async Task What_a_device_does_not_tell_is_named_where_its_decision_is_told_beforehand()
    {
        await server.EnrolAsync("till-2", ("os", "linux"), ("withheld", "line,ram"));
        Assert.Contains((await server.Client.ExplainDeviceAsync("till-2", Bearing)).Notes, note => note.StartsWith("It does not tell line,ram: ", StringComparison.Ordinal));
        Assert.DoesNotContain((await server.Client.ExplainDeviceAsync("till-1", Bearing)).Notes, note => note.Contains("does not tell", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_release_that_needs_another_model_is_explained_by_it_and_not_rolled_out_where_no_release_would_do()
    {
        var embedder = Coppice.Registry.ModelName.Parse("plant/embedder");
        Assert.True(Coppice.Registry.ModelRequirement.TryParse("plant/embedder >=2.0.0", out var needs));
        await server.PublishAsync("2.0.0", null, needs!);
        await server.PublishAsync("1.0.0", embedder);
        var refused = await Assert.ThrowsAsync<ControlException>(() => server.StartRolloutAsync("2.0.0"));
        Assert.Equal(("/problems/needs-model", "plant/bearing 2.0.0 needs plant/embedder >=2.0.0, and of plant/embedder there are 1.0.0; publish one that will do, and roll it out first."), (refused.Type, refused.Problem.Detail));

        await server.PublishAsync("2.0.0", embedder);
        await server.StartRolloutAsync("2.0.0");
        Assert.Contains("r-1 (2.0.0): needs plant/embedder >=2.0.0, which does not serve here", (await AskedAsync()).Reasons);

        await server.Client.StartRolloutAsync(new(embedder, V("2.0.0"), [new(1)]));
        await device.SayAsync(Report(1, Settled, "2.0.0", "r-2") with { Model = embedder });
        Assert.StartsWith("It takes 2.0.0 (", (await AskedAsync()).Verdict, StringComparison.Ordinal);

        await device.SayAsync(Report(2, Settled, "2.0.0"));
        await server.Client.AdvanceAsync("r-2", 1, "all have it");
        await server.Client.StartRolloutAsync(new(embedder, V("1.0.0"), [new(1)]));
        Assert.Contains("r-3 (1.0.0): plant/bearing 2.0.0, which serves here, needs plant/embedder >=2.0.0", Assert.Single((await server.Client.ExplainDeviceAsync("till-1", embedder)).Models).Reasons);
    }

    [Fact]
    public async Task What_failed_there_is_not_taken_again()
    {
        await server.Client.StartRolloutAsync(new(Bearing, V("1.0.0"), [new(1)]) { Policy = new(5, PhaseAction.Hold) }); // one failure does not hold it
        await device.SayAsync(Report(1, Started), Report(2, Refused, why: "accuracy 70 %"));
        Assert.Contains("r-1 (1.0.0): not tried again after attempt 1 (accuracy 70 %)", Assert.Single((await server.Client.ExplainDeviceAsync("till-1")).Models).Reasons);
    }

    [Fact]
    public async Task Silence_revocation_and_the_unknown_are_said_first()
    {
        Assert.Contains("spoken of no model", (await server.Client.ExplainDeviceAsync("till-1")).Notes[^1]);
        server.Time.Advance(TimeSpan.FromDays(3));
        Assert.Contains("3d ago", (await server.Client.ExplainDeviceAsync("till-1")).Notes[0]);
        await server.Client.RevokeDeviceAsync("till-1", "stolen");
        Assert.Contains("revoked at", (await server.Client.ExplainDeviceAsync("till-1")).Notes[0]);
        Assert.Equal("/problems/not-found", (await Assert.ThrowsAsync<ControlException>(() => server.Client.ExplainDeviceAsync("nobody"))).Problem.Type);
        Assert.Equal(["model"], (await server.Operator.GetAsync("v1/devices/till-1/explanation?model=x").ProblemAsync(400)).Errors!.Keys);
    }

    [Fact]
    public async Task Models_that_the_caller_may_not_see_are_not_told_of()
    {
        await server.StartRolloutAsync("1.0.0", new Phase(1));
        await device.SayAsync(Report(1, Started));
        var other = await server.OperatorAsync("vera", new RoleGrant(Role.Viewer) { Models = "vision/*" });
        Assert.Contains("spoken of no model", await other.GetStringAsync("v1/devices/till-1/explanation"));
        await other.GetAsync($"v1/devices/till-1/explanation?model={Bearing}").ProblemAsync(404);
    }
}
