using Coppice.Access;
using Coppice.Client;
using Coppice.Protocol;
using Coppice.Rollouts;
using static Coppice.Server.Tests.RunningServer;

namespace Coppice.Server.Tests.Approvals;

public sealed class ApprovalTests : IAsyncLifetime
{
    readonly List<CoppiceClient> clients = [];
    RunningServer server = null!;
    CoppiceClient alice = null!;
    CoppiceClient bob = null!;
    CoppiceClient keeper = null!;

    public async Task InitializeAsync()
    {
        server = await StartAsync();
        await server.PublishAsync("1.0.0");
        keeper = await ClientAsync("keeper", server.Client, new RoleGrant(Role.Admin)); // makes the others' tokens, and asks for nothing
        alice = await ClientAsync("alice", keeper, new RoleGrant(Role.Operator));
        bob = await ClientAsync("bob", keeper, new RoleGrant(Role.Operator));
        await keeper.SetPolicyAsync(new("plant/*", 1, "two pairs of eyes"));
    }

    public async Task DisposeAsync()
    {
        clients.ForEach(client => client.Dispose());
        await server.DisposeAsync();
    }

    async Task<CoppiceClient> ClientAsync(string name, CoppiceClient by, params RoleGrant[] grants)
    {
        await by.PutOperatorAsync(name, new([.. grants]));
        return await AnotherAsync(name, by);
    }

    async Task<CoppiceClient> AnotherAsync(string name, CoppiceClient by)
    {
        var client = new CoppiceClient(server.Plane.Url, (await by.CreateTokenAsync(new("t", TimeSpan.FromDays(100)) { Operator = name })).Token);
        clients.Add(client);
        return client;
    }

    static async Task<ApprovalView> AwaitsAsync(Func<Task> act) => (await Assert.ThrowsAsync<AwaitsApprovalException>(act)).Approval;

    static async Task<string?> RefusedAsync(Func<Task> act) => (await Assert.ThrowsAsync<ControlException>(act)).Type;

    static Task<RolloutView> StartByAsync(CoppiceClient who, string version = "1.0.0") => who.StartRolloutAsync(new(Bearing, V(version), [new Phase(0.5), new Phase(1)]) { Why = "better" });

    [Fact]
    public async Task A_rollout_that_awaits_is_in_no_plan_until_another_person_approves_and_then_it_is_the_askers()
    {
        var asked = await AwaitsAsync(() => StartByAsync(alice));

        Assert.Equal(("a-1", ApprovalState.Awaiting, "alice", 1), (asked.Id, asked.State, asked.AskedBy, asked.Needed));
        Assert.Null(await server.PlanAsDeviceAsync());
        Assert.Empty((await alice.ListRolloutsAsync()).Rollouts);
        Assert.Equal("a-1", (await AwaitsAsync(() => StartByAsync(alice))).Id); // asked twice, it waits once
        var done = await bob.ApproveAsync("a-1", "looked at the figures");
        Assert.Equal((ApprovalState.Done, "r-1", "bob"), (done.State, done.Rollout, done.DoneBy));
        Assert.Equal("alice", (await server.RolloutAsync()).StartedBy);
        Assert.Equal("r-1", Assert.Single((await server.PlanAsDeviceAsync())!.Rollouts).Id);
        Assert.Equal((ApprovalState.Done, "r-1"), ((await bob.ApproveAsync("a-1", "again")).State, Assert.Single((await alice.ListRolloutsAsync()).Rollouts).Id));
        Assert.Equal([EventKind.ApprovalAsked, EventKind.ApprovalGiven, EventKind.RolloutStarted], (await server.Client.ListEventsAsync(limit: 500)).Events.Select(e => e.Kind).Where(kind => kind is EventKind.ApprovalAsked or EventKind.ApprovalGiven or EventKind.RolloutStarted));
    }

    [Fact]
    public async Task An_experiment_shows_its_arms_to_the_approver_and_promoting_one_awaits_approval_as_its_start_did()
    {
        await server.PublishAsync("2.0.0");
        var asked = await AwaitsAsync(() => alice.StartRolloutAsync(new(Bearing, V("2.0.0"), [new Phase(1)])
        {
            Arms = [new("control", 1), new("b", 1, V("2.0.0"))],
            Experiment = new("accuracy", Goal.Higher),
            Why = "is it better?",
        }));
        Assert.Equal(["control", "b"], asked.Ordered!.Arms.Select(arm => arm.Name));
        await bob.ApproveAsync(asked.Id, "let us see");

        var promotion = await AwaitsAsync(() => alice.PromoteAsync("r-1", new("b", "it is")));

        Assert.Equal((ApprovalAct.Promote, "r-1", "b"), (promotion.Act, promotion.Rollout, promotion.Arm));
        Assert.Equal(promotion.Id, (await AwaitsAsync(() => alice.PromoteAsync("r-1", new("b", "it is")))).Id);
        Assert.NotNull((await server.PlanAsDeviceAsync())!.Rollouts[0].Arms);
        Assert.Equal("/problems/own-approval", await RefusedAsync(() => alice.ApproveAsync(promotion.Id, "mine")));

        var done = await bob.ApproveAsync(promotion.Id, "so it is");

        Assert.Equal((ApprovalState.Done, "r-1"), (done.State, done.Rollout));
        Assert.Null((await server.PlanAsDeviceAsync())!.Rollouts[0].Arms);
        var happened = Assert.Single((await server.Client.ListEventsAsync(limit: 500)).Events, e => e.Kind == EventKind.ArmPromoted);
        Assert.Equal(("alice", "it is"), (happened.By, happened.Why));
        Assert.Equal("/problems/rollout-state", await RefusedAsync(async () => await bob.ApproveAsync((await AwaitsAsync(() => alice.PromoteAsync("r-1", new("control", "no")))).Id, "again")));
    }

    [Fact]
    public async Task Attack_nobody_approves_their_own_act_whichever_token_they_show_and_whoever_made_the_approvers()
    {
        await AwaitsAsync(() => StartByAsync(alice));
        Assert.Equal("/problems/own-approval", await RefusedAsync(() => alice.ApproveAsync("a-1", "mine")));
        Assert.Equal("/problems/own-approval", await RefusedAsync(async () => await (await AnotherAsync("alice", keeper)).ApproveAsync("a-1", "my other token")));
        Assert.Equal(ApprovalState.Awaiting, (await alice.GetApprovalAsync("a-1")).State);

        // An admin who asks, and makes somebody else's token to approve with.
        var asked = await AwaitsAsync(() => StartByAsync(keeper));
        var puppet = await ClientAsync("puppet", keeper, new RoleGrant(Role.Operator));
        Assert.Equal("/problems/own-approval", await RefusedAsync(() => puppet.ApproveAsync(asked.Id, "sure")));
        Assert.Null(await server.PlanAsDeviceAsync());
        Assert.Equal(3, (await server.Client.ListEventsAsync(limit: 500)).Events.Count(e => e.Kind == EventKind.ActRefused && e.Why.Contains("own-approval", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task Attack_an_insider_who_publishes_can_neither_ask_nor_approve()
    {
        var publisher = await ClientAsync("team", keeper, new RoleGrant(Role.Publisher));
        Assert.Equal("/problems/forbidden", await RefusedAsync(() => StartByAsync(publisher)));
        await AwaitsAsync(() => StartByAsync(alice));
        Assert.Equal("/problems/forbidden", await RefusedAsync(() => publisher.ApproveAsync("a-1", "mine")));
        Assert.Equal("/problems/forbidden", await RefusedAsync(() => publisher.SetPolicyAsync(new("plant/*", 0, "away with it"))));
        Assert.Equal("/problems/forbidden", await RefusedAsync(() => alice.SetPolicyAsync(new("plant/*", 0, "away with it"))));
    }

    [Fact]
    public async Task Going_on_after_a_hold_raising_a_phase_and_retrying_wait_and_stopping_does_not()
    {
        await AwaitsAsync(() => StartByAsync(alice));
        await bob.ApproveAsync("a-1", "go");
        var advance = await AwaitsAsync(() => alice.AdvanceAsync("r-1", 1, "faster"));
        Assert.Equal((ApprovalAct.Advance, 1), (advance.Act, advance.Phase));
        Assert.Equal(0, (await server.RolloutAsync()).Phase);
        await bob.ApproveAsync(advance.Id, "yes");
        Assert.Equal(1, (await server.RolloutAsync()).Phase);
        await alice.HoldAsync("r-1", "stop");
        Assert.Equal(RolloutState.Held, (await server.RolloutAsync()).State);
        var resume = await AwaitsAsync(() => alice.ResumeAsync("r-1", "go on"));
        Assert.Equal(RolloutState.Held, (await server.RolloutAsync()).State);
        await bob.ApproveAsync(resume.Id, "yes");
        Assert.Equal(RolloutState.Running, (await server.RolloutAsync()).State);
        var retry = await AwaitsAsync(() => alice.RetryAsync("r-1", 2, "again"));
        await bob.ApproveAsync(retry.Id, "yes");
        Assert.Equal(2, (await server.RolloutAsync()).Attempt);
        await alice.RevertAsync("r-1", "back");
        Assert.Equal(RolloutState.Reverted, (await server.RolloutAsync()).State);
    }

    [Fact]
    public async Task What_was_rejected_or_has_waited_a_week_cannot_be_approved()
    {
        await AwaitsAsync(() => StartByAsync(alice));
        await bob.RejectAsync("a-1", "not on a Friday");
        Assert.Equal("/problems/approval-state", await RefusedAsync(() => bob.ApproveAsync("a-1", "yes after all")));
        Assert.Equal("a-2", (await AwaitsAsync(() => StartByAsync(alice))).Id);
        server.Time.Advance(TimeSpan.FromDays(7));
        Assert.Equal("/problems/approval-state", await RefusedAsync(() => bob.ApproveAsync("a-2", "late")));
        Assert.Equal("a-3", (await AwaitsAsync(() => StartByAsync(alice))).Id);
        await alice.RejectAsync("a-3", "changed my mind");
        Assert.Equal(["a-2"], (await alice.ListApprovalsAsync(ApprovalState.Awaiting)).Approvals.Select(approval => approval.Id));
    }

    [Fact]
    public async Task What_cannot_be_done_any_more_when_it_is_approved_says_why_and_waits_on()
    {
        await AwaitsAsync(() => StartByAsync(alice));
        await keeper.RevokeAsync(Bearing, V("1.0.0"), "bad");
        Assert.Equal("/problems/release-revoked", await RefusedAsync(() => bob.ApproveAsync("a-1", "yes")));
        Assert.Equal((ApprovalState.Awaiting, 1), ((await bob.GetApprovalAsync("a-1")).State, (await bob.GetApprovalAsync("a-1")).Votes.Length));
    }

    [Fact]
    public async Task Two_approvals_are_those_of_two_people_and_the_strictest_policy_counts()
    {
        await keeper.SetPolicyAsync(new("*", 2, "everything by three"));
        await keeper.SetPolicyAsync(new("plant/bearing", 0, "no say"));
        await AwaitsAsync(() => StartByAsync(alice));
        await bob.ApproveAsync("a-1", "one");
        await (await AnotherAsync("bob", keeper)).ApproveAsync("a-1", "one again");
        Assert.Equal((ApprovalState.Awaiting, 1), ((await bob.GetApprovalAsync("a-1")).State, (await bob.GetApprovalAsync("a-1")).Votes.Length));
        await keeper.ApproveAsync("a-1", "two");
        Assert.Equal("r-1", (await bob.GetApprovalAsync("a-1")).Rollout);
        Assert.Equal(["*", "plant/*"], (await alice.ListPoliciesAsync()).Select(policy => policy.Models));
    }

    [Fact]
    public async Task Who_may_roll_out_to_some_devices_approves_for_no_others()
    {
        var oslo = await ClientAsync("oslo", keeper, new RoleGrant(Role.Operator) { Devices = "label.site = oslo" });
        await AwaitsAsync(() => StartByAsync(alice));
        Assert.Equal("/problems/forbidden", await RefusedAsync(() => oslo.ApproveAsync("a-1", "yes")));
        var own = await AwaitsAsync(() => StartByAsync(oslo));
        Assert.Equal("label.site = oslo", own.Selector);
    }

    [Fact]
    public async Task What_is_wrong_with_a_request_is_said_at_once_and_nobody_is_asked()
    {
        Assert.Equal("/problems/validation", await RefusedAsync(() => alice.StartRolloutAsync(new(Bearing, V("1.0.0"), [new Phase(7)]))));
        Assert.Equal("/problems/validation", await RefusedAsync(() => keeper.SetPolicyAsync(new("vis*", 11, ""))));
        Assert.Empty((await alice.ListApprovalsAsync()).Approvals);
        Assert.Equal("/problems/not-found", await RefusedAsync(() => bob.ApproveAsync("a-9", "yes")));
    }
}
