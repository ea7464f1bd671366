using System.Collections.Immutable;
using System.Net;
using Coppice.Access;
using Coppice.Client;
using Coppice.Protocol;
using Coppice.Rollouts;
using static Coppice.Server.Tests.RunningServer;

namespace Coppice.Server.Tests.Preconditions;

/// <summary>Writes on condition that a thing is as it was read.</summary>
public sealed class IfMatchTests : IAsyncLifetime
{
    RunningServer server = null!;

    public async Task InitializeAsync() => server = await StartAsync();

    public async Task DisposeAsync() => await server.DisposeAsync();

    async Task<string> TagAsync(string path)
    {
        using var answer = await server.Operator.GetAsync(path);
        return answer.EnsureSuccessStatusCode().Headers.ETag!.ToString();
    }

    async Task<HttpResponseMessage> SendAsync(HttpMethod method, string path, string? body, string tag)
    {
        using var request = new HttpRequestMessage(method, path) { Content = body is null ? null : Answers.Json(body) };
        request.Headers.TryAddWithoutValidation("If-Match", tag);
        return await server.Operator.SendAsync(request);
    }

    static async Task<ControlException> RefusedAsync(Func<Task> act) => await Assert.ThrowsAsync<ControlException>(act);

    [Fact]
    public async Task Of_two_who_have_seen_the_same_group_the_second_is_refused_and_told_what_it_is_now()
    {
        var seen = (await server.Client.PutGroupAsync("night", new() { Selector = "site = oslo" })).Revision!;
        Assert.Equal($"\"{seen}\"", await TagAsync("v1/groups/night"));

        var now = await server.Client.PutGroupAsync("night", new() { Selector = "site = bergen" }, seen);
        var refused = await RefusedAsync(() => server.Client.PutGroupAsync("night", new() { Selector = "site = rome" }, seen));

        Assert.Equal(("/problems/changed", 412), (refused.Type, refused.Problem.Status));
        Assert.Contains($"at revision \"{now.Revision}\" now, not at \"{seen}\"", refused.Detail);
        Assert.Equal("site = bergen", (await server.Client.GetGroupAsync("night")).Selector);
        Assert.Equal("/problems/changed", (await RefusedAsync(() => server.Client.DeleteGroupAsync("night", seen))).Type);
        await server.Client.DeleteGroupAsync("night", now.Revision);
    }

    [Fact]
    public async Task What_is_not_there_has_no_revision_that_could_match()
    {
        Assert.Equal("/problems/changed", (await RefusedAsync(() => server.Client.PutGroupAsync("night", new(), "0123456789abcdef"))).Type);
        Assert.Empty(await server.Client.ListGroupsAsync());
        Assert.Equal(HttpStatusCode.PreconditionFailed, (await SendAsync(HttpMethod.Put, "v1/groups/night", "{}", "*")).StatusCode);
        await server.Client.PutGroupAsync("night", new());
        Assert.Equal(HttpStatusCode.OK, (await SendAsync(HttpMethod.Put, "v1/groups/night", "{}", "*")).StatusCode);
    }

    [Theory]
    [InlineData("0123456789abcdef")]
    [InlineData("W/\"0123456789abcdef\"")]
    [InlineData("\"a\", b")]
    public async Task What_is_no_strong_tag_is_refused_and_nothing_done(string tag)
    {
        Assert.Equal(HttpStatusCode.BadRequest, (await SendAsync(HttpMethod.Put, "v1/groups/night", "{}", tag)).StatusCode);
        Assert.Empty(await server.Client.ListGroupsAsync());
    }

    [Fact]
    public async Task Operators_and_policies_are_changed_only_as_they_were_seen()
    {
        var alice = await server.Client.PutOperatorAsync("alice", new([new(Role.Viewer)]));
        await server.Client.PutOperatorAsync("alice", new([new(Role.Operator)]));
        Assert.Equal("/problems/changed", (await RefusedAsync(() => server.Client.PutOperatorAsync("alice", new([new(Role.Admin)]), alice.Revision))).Type);
        Assert.Equal("/problems/changed", (await RefusedAsync(() => server.Client.RemoveOperatorAsync("alice", alice.Revision))).Type);
        Assert.Equal(Role.Operator, (await server.Client.ListOperatorsAsync()).Operators.Single(one => one.Name == "alice").Grants.Single().Role);

        var policy = await server.Client.SetPolicyAsync(new("plant/*", 1, "first"));
        await server.Client.SetPolicyAsync(new("plant/*", 2, "more"));
        Assert.Equal(HttpStatusCode.PreconditionFailed, (await SendAsync(HttpMethod.Put, "v1/policies", """{"models":"plant/*","approvals":0,"why":"less"}""", $"\"{policy.Revision}\"")).StatusCode);
        Assert.Equal(2, (await server.Client.ListPoliciesAsync()).Single().Approvals);
    }

    [Fact]
    public async Task Labels_that_many_change_at_once_are_all_there()
    {
        await server.EnrolAsync("till-1");

        await Task.WhenAll(Enumerable.Range(0, 8).Select(i => server.Client.RelabelDeviceAsync("till-1", labels => labels.SetItem($"l{i}", "x"))));

        Assert.Equal(8, (await server.Client.GetDeviceAsync("till-1")).Labels.Count);
    }

    [Fact]
    public async Task A_devices_revision_is_of_its_labels_and_not_of_what_it_reports_or_which_groups_it_is_put_into()
    {
        var till = await server.EnrolAsync("till-1");
        await server.Client.PutGroupAsync("night", new());
        var seen = (await server.Client.GetDeviceAsync("till-1")).Revision;

        server.Time.Advance(TimeSpan.FromMinutes(3));
        await till.SayAsync(new Report(1, server.Time.GetUtcNow(), ReportKind.Settled, Bearing, V("1.0.0")));
        await server.Client.ChangeGroupAsync("night", new() { Add = ["till-1"] });

        var now = await server.Client.LabelDeviceAsync("till-1", ImmutableDictionary<string, string>.Empty.Add("site", "oslo"), seen);
        Assert.NotEqual(seen, now.Revision);
        Assert.Equal($"\"{now.Revision}\"", await TagAsync("v1/devices/till-1"));
    }

    [Fact]
    public async Task An_order_that_somebody_else_was_faster_with_is_refused_also_before_it_would_wait_for_approval()
    {
        await server.PublishAsync("1.0.0");
        var seen = await server.StartRolloutAsync("1.0.0", new Phase(0.5), new Phase(1));
        var held = await server.Client.HoldAsync(seen.Id, "odd figures", seen.Revision);
        Assert.Equal($"\"{held.Revision}\"", await TagAsync($"v1/rollouts/{seen.Id}"));

        Assert.Equal("/problems/changed", (await RefusedAsync(() => server.Client.RevertAsync(seen.Id, "no good", seen.Revision))).Type);
        Assert.Equal("/problems/changed", (await RefusedAsync(() => server.Client.ResumeAsync(seen.Id, "looked", seen.Revision))).Type);
        Assert.Equal(RolloutState.Held, (await server.Client.GetRolloutAsync(seen.Id)).Rollout.State);

        await server.Client.SetPolicyAsync(new("plant/*", 1, "two pairs of eyes"));
        Assert.Equal("/problems/changed", (await RefusedAsync(() => server.Client.ResumeAsync(seen.Id, "looked", seen.Revision))).Type);
        Assert.Empty((await server.Client.ListApprovalsAsync()).Approvals);
        await Assert.ThrowsAsync<AwaitsApprovalException>(() => server.Client.ResumeAsync(seen.Id, "looked", held.Revision));
    }
}
