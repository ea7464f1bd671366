using Coppice.Access;
using Coppice.Client;
using Coppice.Protocol;
using Coppice.Rollouts;
using Coppice.Server.Access;
using Coppice.Server.Storage;
using Microsoft.EntityFrameworkCore;
using static Coppice.Server.Tests.RunningServer;

namespace Coppice.Server.Tests.Access;

public sealed class TokenTests : IAsyncLifetime
{
    RunningServer server = null!;

    public async Task InitializeAsync() => server = await RunningServer.StartAsync();

    public async Task DisposeAsync() => await server.DisposeAsync();

    async Task<CreatedApiToken> TokenAsync(string name, params RoleGrant[] grants)
    {
        await server.Client.PutOperatorAsync(name, new([.. grants]));
        return await server.Client.CreateTokenAsync(new("ci", TimeSpan.FromDays(1)) { Operator = name });
    }

    CoppiceClient As(string token) => new(server.Plane.Url, token);

    static async Task<ControlProblem> RefusedAsync(Func<Task> act) => (await Assert.ThrowsAsync<ControlException>(act)).Problem;

    [Fact]
    public async Task A_token_is_told_once_kept_as_a_hash_and_noted_when_it_is_used()
    {
        var created = await TokenAsync("alice", new RoleGrant(Role.Viewer));
        using var alice = As(created.Token);
        var me = await alice.GetMeAsync();

        Assert.Equal(("alice", "operator:alice", $"token {created.View.Id}"), (me.Name, me.Subject, me.Credential));
        Assert.StartsWith("cpa_" + created.View.Id, created.Token);
        var listed = Assert.Single((await alice.ListTokensAsync()).Tokens);
        Assert.Equal(created.View.Id, listed.Id);
        Assert.Equal(server.Time.GetUtcNow(), listed.LastUsedAt);
        Assert.Equal("127.0.0.1", listed.LastUsedFrom);
        Assert.True(ApiToken.TryParse(created.Token, out var token));
        await server.Get<Database>().ReadAsync(async db =>
        {
            var row = await db.ApiTokens.SingleAsync(row => row.Id == token.Id);
            Assert.DoesNotContain(token.Secret, row.Hash);
            Assert.Equal(64, row.Hash.Length);
            return true;
        }, CancellationToken.None);
    }

    [Fact]
    public async Task Attack_an_expired_a_revoked_a_damaged_and_a_guessed_token_open_nothing_and_say_why_only_to_who_has_the_secret()
    {
        var created = await TokenAsync("alice", new RoleGrant(Role.Viewer));
        using var alice = As(created.Token);
        var guessed = new ApiToken(created.View.Id, new string('a', 43)).ToString();

        async Task<string> WhyAsync(string token)
        {
            using var client = new HttpClient { BaseAddress = server.Plane.Url, DefaultRequestHeaders = { Authorization = new("Bearer", token) } };
            return (await client.GetAsync("v1/models").ProblemAsync(401)).Detail!;
        }

        Assert.Contains("not known here", await WhyAsync(guessed));
        Assert.Contains("not known here", await WhyAsync(OperatorStore.NewToken().ToString()));
        Assert.Contains("damaged", await WhyAsync(created.Token[..^1]));
        Assert.Contains("of no kind", await WhyAsync("x"));
        server.Time.Advance(TimeSpan.FromDays(1));
        Assert.Contains("expired at", await WhyAsync(created.Token));
        Assert.Contains("not known here", await WhyAsync(guessed));

        var second = await server.Client.CreateTokenAsync(new("ci", TimeSpan.FromDays(1)) { Operator = "alice" });
        await server.Client.RevokeTokenAsync(second.View.Id);
        Assert.Contains("revoked at", await WhyAsync(second.Token));
    }

    [Fact]
    public async Task A_token_narrows_its_operators_rights_and_never_widens_them()
    {
        await server.PublishAsync("1.0.0");
        await server.Client.PutOperatorAsync("ci", new([new(Role.Viewer)]));
        var wide = await server.Client.CreateTokenAsync(new("wide", TimeSpan.FromDays(1)) { Operator = "ci", Grants = [new(Role.Admin)] });
        using var ci = As(wide.Token);

        await ci.ListModelsAsync();
        Assert.Equal("rollout.start", (await RefusedAsync(() => ci.StartRolloutAsync(new(Bearing, V("1.0.0"), [new Phase(1)])))).Permission);
        var narrow = await server.Client.CreateTokenAsync(new("narrow", TimeSpan.FromDays(1)) { Operator = "admin", Grants = [new(Role.Viewer) { Models = "vision/*" }] });
        using var viewer = As(narrow.Token);
        Assert.Empty(await viewer.ListModelsAsync());
        Assert.Equal("model.read", (await RefusedAsync(() => viewer.GetModelAsync(Bearing))).Permission);
    }

    [Fact]
    public async Task Attack_a_stolen_viewer_token_of_an_admin_makes_no_other_token_changes_nothing_and_ends_with_its_revocation()
    {
        await server.PublishAsync("1.0.0");
        var stolen = await server.Client.CreateTokenAsync(new("dashboard", TimeSpan.FromDays(1)) { Operator = "admin", Grants = [new(Role.Viewer)] });
        using var thief = As(stolen.Token);

        Assert.Equal("operator.manage", (await RefusedAsync(() => thief.CreateTokenAsync(new("mine", TimeSpan.FromDays(300))))).Permission);
        Assert.Equal("operator.manage", (await RefusedAsync(() => thief.CreateTokenAsync(new("mine", TimeSpan.FromDays(300)) { Operator = "admin" }))).Permission);
        Assert.Equal("operator.manage", (await RefusedAsync(() => thief.PutOperatorAsync("thief", new([new(Role.Admin)])))).Permission);
        Assert.Equal("device.admit", (await RefusedAsync(() => thief.CreateJoinTokenAsync(new(TimeSpan.FromHours(1), 1)))).Permission);
        Assert.Equal("rollout.start", (await RefusedAsync(() => thief.StartRolloutAsync(new(Bearing, V("1.0.0"), [new Phase(1)])))).Permission);
        Assert.Equal("release.revoke", (await RefusedAsync(() => thief.RevokeAsync(Bearing, V("1.0.0"), "mischief"))).Permission);
        await server.Client.RevokeTokenAsync(stolen.View.Id);
        Assert.Equal(401, (await RefusedAsync(() => thief.ListModelsAsync())).Status);
        Assert.Equal(6, (await server.Client.ListEventsAsync(limit: 500)).Events.Count(e => e.Kind == EventKind.ActRefused && e.By == "admin"));
    }

    [Fact]
    public async Task Attack_an_insider_who_publishes_cannot_roll_out()
    {
        await server.PublishAsync("1.0.0");
        using var publisher = As((await TokenAsync("team", new RoleGrant(Role.Publisher) { Models = "plant/*" })).Token);

        Assert.Equal("rollout.start", (await RefusedAsync(() => publisher.StartRolloutAsync(new(Bearing, V("1.0.0"), [new Phase(1)])))).Permission);
        Assert.Equal("release.revoke", (await RefusedAsync(() => publisher.RevokeAsync(Bearing, V("1.0.0"), "mischief"))).Permission);
        Assert.False(await publisher.HasBlobAsync(default));
        Assert.Null(await server.PlanAsDeviceAsync());
        var refused = (await server.Client.ListEventsAsync(limit: 500)).Events.Where(e => e.Kind == EventKind.ActRefused).ToArray();
        Assert.Equal(2, refused.Length);
        Assert.Contains("POST /v1/rollouts: lacks rollout.start", refused[0].Why);
    }

    [Fact]
    public async Task Refusals_beyond_a_bound_in_a_minute_are_one_line_lest_a_stolen_token_fill_the_disk()
    {
        using var thief = As((await TokenAsync("viewer", new RoleGrant(Role.Viewer))).Token);
        for (var i = 0; i < RefusedActs.NotedPerMinute + 20; i++)
            await RefusedAsync(() => thief.CreateJoinTokenAsync(new(TimeSpan.FromHours(1), 1)));

        var refused = (await server.Client.ListEventsAsync(limit: 500)).Events.Where(e => e.Kind == EventKind.ActRefused).ToArray();
        Assert.Equal(RefusedActs.NotedPerMinute + 1, refused.Length);
        Assert.Contains("not kept", refused[^1].Why);
    }

    [Fact]
    public async Task An_operator_for_a_group_sees_and_changes_only_its_devices_and_cannot_move_them_out()
    {
        await server.Client.PutOperatorAsync("oslo", new([new(Role.Operator) { Devices = "label.site = oslo" }]));
        using var oslo = As((await server.Client.CreateTokenAsync(new("t", TimeSpan.FromDays(1)) { Operator = "oslo" })).Token);
        foreach (var site in new[] { "oslo", "rome" })
        {
            await server.EnrolAsync("till-" + site);
            await server.Client.LabelDeviceAsync("till-" + site, System.Collections.Immutable.ImmutableDictionary<string, string>.Empty.Add("site", site));
        }

        Assert.Equal("till-oslo", Assert.Single((await oslo.ListDevicesAsync()).Devices).Id);
        Assert.Equal("device.read", (await RefusedAsync(() => oslo.GetDeviceAsync("till-rome"))).Permission);
        Assert.Equal("device.label", (await RefusedAsync(() => oslo.LabelDeviceAsync("till-oslo", System.Collections.Immutable.ImmutableDictionary<string, string>.Empty.Add("site", "rome")))).Permission);
        Assert.Equal("device.label", (await RefusedAsync(() => oslo.LabelDeviceAsync("till-rome", System.Collections.Immutable.ImmutableDictionary<string, string>.Empty.Add("site", "oslo")))).Permission);
        Assert.Equal("device.admit", (await RefusedAsync(() => oslo.CreateJoinTokenAsync(new(TimeSpan.FromHours(1), 1)))).Permission);
        await oslo.CreateJoinTokenAsync(new(TimeSpan.FromHours(1), 1) { Labels = System.Collections.Immutable.ImmutableDictionary<string, string>.Empty.Add("site", "oslo") });

        await server.PublishAsync("1.0.0");
        var started = await oslo.StartRolloutAsync(new(Bearing, V("1.0.0"), [new Phase(1)]) { Selector = "ram > 1GB" });
        Assert.Equal("(label.site = oslo) and (ram > 1GB)", started.Selector);
        await oslo.HoldAsync(started.Id, "mine");
        await server.Client.RevertAsync(started.Id, "no");
        var everywhere = await server.StartRolloutAsync("1.0.0");
        Assert.Equal("rollout.hold", (await RefusedAsync(() => oslo.HoldAsync(everywhere.Id, "not mine"))).Permission);
    }

    [Fact]
    public async Task A_removed_operators_tokens_open_nothing_and_the_last_admin_stays()
    {
        using var alice = As((await TokenAsync("alice", new RoleGrant(Role.Admin))).Token);
        await alice.RemoveOperatorAsync("admin");
        Assert.Equal(401, (await RefusedAsync(() => server.Client.GetMeAsync())).Status);
        Assert.Equal("/problems/last-admin", (await RefusedAsync(() => alice.RemoveOperatorAsync("alice"))).Type);
        Assert.Equal("/problems/last-admin", (await RefusedAsync(() => alice.PutOperatorAsync("alice", new([new(Role.Operator)])))).Type);
        Assert.Equal("/problems/last-admin", (await RefusedAsync(() => alice.PutOperatorAsync("alice", new([new(Role.Admin) { Models = "vision/*" }])))).Type);
    }

    [Fact]
    public async Task Everything_wrong_with_grants_is_said_at_once()
    {
        var problem = await RefusedAsync(() => server.Client.PutOperatorAsync("Alice!", new([new(Role.Viewer) { Models = "vis*" }, new(Role.Viewer) { Devices = "site =" }])));

        Assert.Equal(["grants[0].models", "grants[1].devices: selector, character 7", "name"], problem.Errors!.Keys.Order());
        Assert.Equal(["expiresIn", "name"], (await RefusedAsync(() => server.Client.CreateTokenAsync(new("", TimeSpan.Zero)))).Errors!.Keys.Order());
        Assert.Equal(404, (await RefusedAsync(() => server.Client.CreateTokenAsync(new("x", TimeSpan.FromDays(1)) { Operator = "nobody" }))).Status);
    }
}
