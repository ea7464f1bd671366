using System.Collections.Immutable;
using System.Net;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Coppice.Access;
using Coppice.Client;
using Coppice.Formats;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Rollouts;
using Coppice.Trust;
using static Coppice.Server.Tests.RunningServer;

namespace Coppice.Server.Tests.Ddi;

/// <summary>hawkBit's device API, as its clients speak it.</summary>
public sealed class DdiTests : IAsyncLifetime
{
    RunningServer server = null!;

    public async Task InitializeAsync() => server = await StartAsync(options => options with { DdiPoll = TimeSpan.FromSeconds(90) });

    public async Task DisposeAsync() => await server.DisposeAsync();

    async Task<Controller> GatewayAsync(string id, CreateDdiToken? wanted = null) =>
        new(server, id, "GatewayToken " + (await server.Client.CreateDdiTokenAsync(wanted ?? new([Bearing]))).Token);

    /// <summary>A device that took a release by a rollout that is over.</summary>
    async Task<Controller> DoneAsync(string version)
    {
        await server.StartRolloutAsync(version, new Phase(1, TimeSpan.FromMinutes(1)));
        var device = await GatewayAsync("till-1");
        await device.TakeAsync();
        server.Time.Advance(TimeSpan.FromMinutes(2));
        await server.JudgeAsync();
        Assert.Equal(RolloutState.Complete, (await server.RolloutAsync()).State);
        return device;
    }

    [Fact]
    public async Task A_device_is_told_of_a_release_fetches_it_and_its_word_moves_the_rollout()
    {
        await server.PublishAsync("1.0.0");
        await server.StartRolloutAsync("1.0.0", new Phase(1));
        var device = await GatewayAsync("till-1");

        var found = await device.PollAsync();
        Assert.Equal("00:01:30", (string?)found["config"]!["polling"]!["sleep"]);
        var link = Link(found, "deploymentBase")!;
        Assert.Equal(1, await device.NumberAsync());

        var deployment = (await device.GetAsync(link))["deployment"]!;
        Assert.Equal(("forced", "forced"), ((string?)deployment["download"], (string?)deployment["update"]));
        var chunk = Assert.Single(deployment["chunks"]!.AsArray())!;
        Assert.Equal(("plant/bearing", "1.0.0"), ((string?)chunk["name"], (string?)chunk["version"]));
        var artifact = Assert.Single(chunk["artifacts"]!.AsArray())!;
        var bytes = await server.Anyone.GetByteArrayAsync((string?)artifact["_links"]!["download-http"]!["href"]);
        Assert.Equal("weights of plant/bearing 1.0.0", Encoding.UTF8.GetString(bytes));
        Assert.Equal(bytes.Length, (int)artifact["size"]!);
#pragma warning disable CA5350, CA5351 // what the API asks for
        Assert.Equal(
            (Convert.ToHexStringLower(SHA1.HashData(bytes)), Convert.ToHexStringLower(MD5.HashData(bytes)), Convert.ToHexStringLower(SHA256.HashData(bytes))),
            ((string?)artifact["hashes"]!["sha1"], (string?)artifact["hashes"]!["md5"], (string?)artifact["hashes"]!["sha256"]));
#pragma warning restore CA5350, CA5351

        Assert.Equal(HttpStatusCode.OK, await device.SayAsync("deploymentBase/1", "proceeding", "none", "downloading"));
        Assert.NotNull(Link(await device.PollAsync(), "deploymentBase"));
        Assert.Equal(HttpStatusCode.OK, await device.SayAsync("deploymentBase/1", "closed", "success"));
        Assert.Equal(HttpStatusCode.Gone, await device.SayAsync("deploymentBase/1", "closed", "success"));

        var after = await device.PollAsync();
        Assert.Null(Link(after, "deploymentBase"));
        Assert.Equal("1.0.0", (string?)(await device.GetAsync(Link(after, "installedBase")!))["deployment"]!["chunks"]![0]!["version"]);
        var known = await server.Client.GetDeviceAsync("till-1");
        var model = Assert.Single(known.Models);
        Assert.Equal(("1.0.0", true, "r-1"), (model.Serving?.ToString(), model.Settled, model.Rollout));
        Assert.Equal([ReportKind.Settled, ReportKind.Switched, ReportKind.Started], (await server.Client.ListReportsAsync("till-1")).Reports.Select(kept => kept.Report.Kind));
        await server.JudgeAsync();
        Assert.Equal(1, (await server.RolloutAsync()).Counts.Settled);
    }

    [Fact]
    public async Task A_set_of_models_is_not_for_a_device_that_takes_one_at_a_time_and_the_explanation_says_so()
    {
        var embedder = ModelName.Parse("plant/embedder");
        await server.PublishAsync("1.0.0");
        await server.PublishAsync("1.0.0", embedder);
        await server.Client.StartRolloutAsync(new(Bearing, V("1.0.0"), [new(1)]) { With = [new(embedder, V("1.0.0"))] });
        var device = await GatewayAsync("till-1", new([Bearing, embedder]));

        var found = await device.PollAsync();

        Assert.Null(Link(found, "deploymentBase"));
        foreach (var (model, other) in ((ModelName, ModelName)[])[(Bearing, embedder), (embedder, Bearing)])
        {
            var explained = Assert.Single((await server.Client.ExplainDeviceAsync("till-1", model)).Models);
            Assert.Contains($"r-1 (1.0.0): brings {other} 1.0.0 with it, and a device that speaks hawkBit's API takes one model at a time", explained.Reasons);
        }
    }

    [Fact]
    public async Task Failures_stop_a_rollout_as_an_agents_refusals_do_and_are_not_tried_again()
    {
        await server.PublishAsync("1.0.0");
        await server.Client.StartRolloutAsync(new(Bearing, V("1.0.0"), [new(1)]) { Policy = new(1) });
        var device = await GatewayAsync("till-1");
        await device.GetAsync(Link(await device.PollAsync(), "deploymentBase")!);
        await device.SayAsync("deploymentBase/1", "closed", "failure", "no room", "", "abor\0ted" + new string('!', 2_000));

        Assert.Null(Link(await device.PollAsync(), "deploymentBase"));
        var refused = (await server.Client.ListReportsAsync("till-1")).Reports[0].Report;
        Assert.Equal((ReportKind.Refused, 1_000), (refused.Kind, refused.Why!.Length));
        Assert.StartsWith("no room; abor\uFFFDted!", refused.Why, StringComparison.Ordinal); // PostgreSQL keeps no NUL
        Assert.Contains($"r-1 (1.0.0): not tried again after attempt 1 ({refused.Why})", Assert.Single((await server.Client.ExplainDeviceAsync("till-1")).Models).Reasons);
        var other = await GatewayAsync("till-2");
        await other.GetAsync(Link(await other.PollAsync(), "deploymentBase")!);
        await other.SayAsync("deploymentBase/2", "closed", "failure", "no room");
        await server.JudgeAsync();
        Assert.Equal(RolloutState.Held, (await server.RolloutAsync()).State);

        await server.Client.RetryAsync("r-1", 2, "mended");
        await server.JudgeAsync();
        Assert.Equal(3, await device.NumberAsync());
    }

    [Fact]
    public async Task A_rollout_that_is_held_takes_its_action_back_and_gives_another_when_it_goes_on()
    {
        await server.PublishAsync("1.0.0");
        await server.StartRolloutAsync("1.0.0", new Phase(1));
        var (looked, unlooked) = (await GatewayAsync("till-1"), await GatewayAsync("till-2"));
        await looked.GetAsync(Link(await looked.PollAsync(), "deploymentBase")!);
        Assert.Equal(2, await unlooked.NumberAsync());
        await server.Client.HoldAsync("r-1", "wait");
        await server.JudgeAsync();

        Assert.Empty((await unlooked.PollAsync())["_links"]!.AsObject().Where(link => link.Key != "configData"));
        var cancel = Link(await looked.PollAsync(), "cancelAction")!;
        Assert.Equal("1", (string?)(await looked.GetAsync(cancel))["cancelAction"]!["stopId"]);
        Assert.Equal(HttpStatusCode.NotFound, (await looked.SendAsync(HttpMethod.Get, "deploymentBase/1")).StatusCode);
        Assert.Equal(HttpStatusCode.OK, await looked.SayAsync("cancelAction/1", "closed", "success"));
        Assert.Null(Link(await looked.PollAsync(), "cancelAction"));

        await server.Client.ResumeAsync("r-1", "go on");
        await server.JudgeAsync();
        Assert.Equal(3, await looked.NumberAsync());
    }

    [Fact]
    public async Task A_device_that_will_not_leave_an_action_ends_it()
    {
        await server.PublishAsync("1.0.0");
        await server.StartRolloutAsync("1.0.0", new Phase(1));
        var device = await GatewayAsync("till-1");
        await device.GetAsync(Link(await device.PollAsync(), "deploymentBase")!);
        await server.Client.HoldAsync("r-1", "wait");
        await server.JudgeAsync();
        Assert.NotNull(Link(await device.PollAsync(), "cancelAction"));
        await device.SayAsync("cancelAction/1", "rejected", "none", "half of it is written");

        Assert.Equal(1, await device.NumberAsync());
        await device.GetAsync("deploymentBase/1");
        Assert.Equal(HttpStatusCode.OK, await device.SayAsync("deploymentBase/1", "closed", "success"));
        Assert.Equal("1.0.0", Assert.Single((await server.Client.GetDeviceAsync("till-1")).Models).Serving?.ToString());
    }

    [Fact]
    public async Task A_revert_gives_the_release_before_again()
    {
        await server.PublishAsync("1.0.0");
        await server.PublishAsync("1.1.0");
        var device = await DoneAsync("1.0.0");
        await server.Client.StartRolloutAsync(new(Bearing, V("1.1.0"), [new(1, TimeSpan.FromDays(7))]));
        await device.TakeAsync();
        Assert.Equal("1.1.0", Assert.Single((await server.Client.GetDeviceAsync("till-1")).Models).Serving?.ToString());

        await server.Client.RevertAsync("r-2", "worse");
        await server.JudgeAsync();
        Assert.Equal("1.0.0", await device.TakeAsync());
        Assert.Equal("1.0.0", Assert.Single((await server.Client.GetDeviceAsync("till-1")).Models).Serving?.ToString());
    }

    [Fact]
    public async Task Attributes_are_facts_that_rollouts_and_variants_go_by_and_labels_are_not_among_them()
    {
        var blob = "a payload"u8.ToArray();
        await server.Client.PutBlobAsync(Sha256Digest.Of(blob), new MemoryStream(blob), blob.Length);
        Variant Of(string name, string selector) => new(name, [new(name + ".swu", Sha256Digest.Of(blob), blob.Length)], ModelFormat.Opaque) { Requirements = new() { Selector = selector } };
        var manifest = DocumentJson.Write(new ReleaseManifest(1, Bearing, V("1.0.0"), [Of("board2", "protocol = ddi and hw = 2"), Of("board3", "hw = 3")]));
        await server.Client.PublishAsync(Bearing, new(manifest, server.Sign(manifest, "1.0.0")));
        await server.StartRolloutAsync("1.0.0", new Phase(1));
        var device = await GatewayAsync("AA:BB:01");

        Assert.NotNull(Link(await device.PollAsync(), "configData"));
        Assert.Null(Link(await device.PollAsync(), "deploymentBase"));
        var unfit = (await server.Client.ListReportsAsync("aa-bb-01")).Reports.Single();
        Assert.Equal(ReportKind.Unfit, unfit.Report.Kind);
        Assert.Contains("board2 is for devices where protocol = ddi and hw = 2", unfit.Report.Why);

        Assert.Equal(HttpStatusCode.BadRequest, (await device.SendAsync(HttpMethod.Put, "configData", """{"data":{"label.site":"oslo"}}""")).StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await device.SendAsync(HttpMethod.Put, "configData", """{"mode":"merge","data":{"hw":"2","protocol":"none"},"status":{"result":{"finished":"success"},"execution":"closed","details":[""]}}""")).StatusCode);
        var found = await device.PollAsync();
        Assert.Null(Link(found, "configData"));
        var deployment = await device.GetAsync(Link(found, "deploymentBase")!);
        Assert.Equal("board2.swu", (string?)deployment["deployment"]!["chunks"]![0]!["artifacts"]![0]!["filename"]);
        Assert.Contains("AA%3ABB%3A01", Link(found, "deploymentBase"), StringComparison.OrdinalIgnoreCase);
        Assert.Equal(new Dictionary<string, string> { ["hw"] = "2", ["protocol"] = "ddi" }, (await server.Client.GetDeviceAsync("aa-bb-01")).Facts.ToDictionary());

        server.Time.Advance(TimeSpan.FromHours(25));
        Assert.NotNull(Link(await device.PollAsync(), "configData"));
    }

    [Fact]
    public async Task Windows_are_kept_in_the_devices_own_time_and_its_user_is_asked()
    {
        await server.PublishAsync("1.0.0");
        await server.PublishAsync("1.1.0");
        var device = await DoneAsync("1.0.0");
        await device.SendAsync(HttpMethod.Put, "configData", """{"data":{"timezone":"Asia/Tokyo"}}""");
        var now = server.Time.GetUtcNow().UtcDateTime;
        var tokyo = now.AddHours(9);
        var opens = new TimeOnly(tokyo.AddHours(2).Hour, 0);
        await server.Client.StartRolloutAsync(new(Bearing, V("1.1.0"), [new(1)])
        {
            Windows = [new([], opens, opens.AddHours(1))],
            FetchEarly = true,
            Consent = "May the till switch?",
        });

        var early = (await device.GetAsync(Link(await device.PollAsync(), "deploymentBase")!))["deployment"]!;
        Assert.Equal(("forced", "skip", "unavailable"), ((string?)early["download"], (string?)early["update"], (string?)early["maintenanceWindow"]));

        server.Time.Advance(tokyo.Date.AddHours(tokyo.AddHours(2).Hour).AddMinutes(1) is var at && at < tokyo ? at.AddDays(1) - tokyo : at - tokyo);
        var asked = await device.PollAsync();
        var link = Link(asked, "confirmationBase")!;
        Assert.Null(Link(asked, "deploymentBase"));
        Assert.Equal("1.1.0", (string?)(await device.GetAsync(link))["confirmation"]!["chunks"]![0]!["version"]);
        await device.SendAsync(HttpMethod.Post, "confirmationBase/2/feedback", """{"confirmation":"denied","details":["not now"]}""");
        Assert.Equal("skip", (string?)(await device.GetAsync(Link(await device.PollAsync(), "deploymentBase")!))["deployment"]!["update"]);
        Assert.Equal(HttpStatusCode.OK, (await device.SendAsync(HttpMethod.Post, "confirmationBase/2/feedback", """{"confirmation":"confirmed"}""")).StatusCode);
        Assert.Equal("1.1.0", await device.TakeAsync());
    }

    [Fact]
    public async Task A_question_asked_twice_has_one_answer_and_costs_no_write()
    {
        await server.PublishAsync("1.0.0");
        await server.StartRolloutAsync("1.0.0", new Phase(1));
        var device = await GatewayAsync("till-1");
        await device.PollAsync();
        var first = await device.SendAsync(HttpMethod.Get, "");
        var again = await device.SendAsync(HttpMethod.Get, "", etag: first.Headers.ETag);
        Assert.Equal(HttpStatusCode.NotModified, again.StatusCode);
        var both = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => device.GetAsync("deploymentBase/1")));
        Assert.Single(both.Select(answer => answer.ToJsonString()).Distinct());
        Assert.Single((await server.Client.ListReportsAsync("till-1")).Reports);
    }

    [Fact]
    public async Task Tokens_open_what_they_were_made_for_and_no_more()
    {
        await server.EnrolAsync("own-agent");
        var gateway = await server.Client.CreateDdiTokenAsync(new([Bearing]) { MaxDevices = 2, Labels = ImmutableDictionary<string, string>.Empty.Add("site", "oslo") });
        Controller By(string id, string scheme, string token) => new(server, id, $"{scheme} {token}");

        Assert.Equal(HttpStatusCode.Unauthorized, (await By("a", "GatewayToken", "wrong").SendAsync(HttpMethod.Get, "")).StatusCode);
        Assert.Equal(HttpStatusCode.Unauthorized, (await By("a", "TargetToken", gateway.Token).SendAsync(HttpMethod.Get, "")).StatusCode);
        Assert.Equal(HttpStatusCode.Unauthorized, (await server.Anyone.GetAsync("DEFAULT/controller/v1/a")).StatusCode);
        Assert.Equal(HttpStatusCode.NotFound, (await By("a", "GatewayToken", gateway.Token).SendAsync(HttpMethod.Get, "", tenant: "other")).StatusCode);
        Assert.Contains("agent of its own", await (await By("own-agent", "GatewayToken", gateway.Token).SendAsync(HttpMethod.Get, "")).Content.ReadAsStringAsync());
        await By("b", "GatewayToken", gateway.Token).PollAsync();
        Assert.Contains("as many as it allows", await (await By("c", "GatewayToken", gateway.Token).SendAsync(HttpMethod.Get, "")).Content.ReadAsStringAsync());
        Assert.Equal("oslo", (await server.Client.GetDeviceAsync("b")).Labels["site"]);

        // Another gateway's token speaks for none of them until the first is revoked; one of the device's own does.
        var other = await server.Client.CreateDdiTokenAsync(new([Bearing]));
        Assert.Equal("/problems/token-of-another", (await By("b", "GatewayToken", other.Token).SendAsync(HttpMethod.Get, "").ProblemAsync(403)).Type);
        var own = await server.Client.CreateDdiTokenAsync(new([Bearing]) { Device = "b" });
        await By("b", "TargetToken", own.Token).PollAsync();
        Assert.Equal(HttpStatusCode.Unauthorized, (await By("a", "TargetToken", own.Token).SendAsync(HttpMethod.Get, "")).StatusCode);
        await server.Client.RevokeDdiTokenAsync(gateway.View.Id);
        Assert.Contains("revoked at", await (await By("a", "GatewayToken", gateway.Token).SendAsync(HttpMethod.Get, "")).Content.ReadAsStringAsync());
        await By("a", "GatewayToken", other.Token).PollAsync();

        await server.Client.RevokeDeviceAsync("b", "stolen");
        Assert.Contains("revoked by an operator", await (await By("b", "TargetToken", own.Token).SendAsync(HttpMethod.Get, "")).Content.ReadAsStringAsync());
        Assert.Equal(["a"], (await server.Client.ListDdiTokensAsync()).Tokens.Where(token => token.Devices == 1 && token.Id == other.View.Id).Select(_ => "a"));
        Assert.Equal([EventKind.DdiTokenCreated, EventKind.DdiTokenRevoked], (await server.Client.ListEventsAsync()).Events.Select(e => e.Kind).Where(kind => kind.ToString().StartsWith("Ddi", StringComparison.Ordinal)).Distinct());
    }

    [Fact]
    public async Task An_operator_of_a_group_makes_and_sees_tokens_of_that_group_alone()
    {
        var oslo = ImmutableDictionary<string, string>.Empty.Add("site", "oslo");
        var theirs = await server.Client.CreateDdiTokenAsync(new([Bearing]) { Labels = oslo });
        var others = await server.Client.CreateDdiTokenAsync(new([Bearing]));
        var operatorOfOslo = await server.OperatorAsync("olga", new RoleGrant(Role.Operator) { Devices = "label.site = oslo" });
        using var client = new CoppiceClient(server.Plane.Url, operatorOfOslo.DefaultRequestHeaders.Authorization!.Parameter!);

        Assert.Equal([theirs.View.Id], (await client.ListDdiTokensAsync()).Tokens.Select(token => token.Id));
        await client.CreateDdiTokenAsync(new([Bearing]) { Labels = oslo });
        Assert.Equal("/problems/forbidden", (await Assert.ThrowsAsync<ControlException>(() => client.CreateDdiTokenAsync(new([Bearing])))).Problem.Type);
        Assert.Equal("/problems/forbidden", (await Assert.ThrowsAsync<ControlException>(() => client.RevokeDdiTokenAsync(others.View.Id))).Problem.Type);
        Assert.NotNull((await client.RevokeDdiTokenAsync(theirs.View.Id)).RevokedAt);
    }

    [Fact]
    public async Task What_cannot_be_read_is_refused_and_changes_nothing()
    {
        await server.PublishAsync("1.0.0");
        await server.StartRolloutAsync("1.0.0", new Phase(1));
        var device = await GatewayAsync("till-1");
        await device.GetAsync(Link(await device.PollAsync(), "deploymentBase")!);
        foreach (var body in (string[])["", "null", "[]", "{", "{}", """{"status":null}""", """{"status":{"execution":"done"}}""", """{"status":{"execution":7}}""", """{"status":{"execution":"closed","details":[null,{}]}}"""])
            Assert.Equal(HttpStatusCode.BadRequest, (await device.SendAsync(HttpMethod.Post, "deploymentBase/1/feedback", body)).StatusCode);
        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, (await device.SendAsync(HttpMethod.Post, "deploymentBase/1/feedback", new string(' ', 100_000))).StatusCode);
        Assert.Equal(HttpStatusCode.NotFound, await device.SayAsync("deploymentBase/77", "closed", "success"));
        var neighbour = await GatewayAsync("till-2");
        await neighbour.PollAsync();
        Assert.Equal(HttpStatusCode.NotFound, await neighbour.SayAsync("deploymentBase/1", "closed", "failure"));
        Assert.Single((await server.Client.ListReportsAsync("till-1")).Reports);
        Assert.Equal(1, await device.NumberAsync());
    }

    static string? Link(JsonNode answer, string name) => (string?)answer["_links"]?[name]?["href"];

    /// <summary>A client of the API.</summary>
    sealed class Controller(RunningServer server, string id, string authorization)
    {
        public async Task<HttpResponseMessage> SendAsync(HttpMethod method, string path, string? body = null, EntityTagHeaderValue? etag = null, string tenant = "DEFAULT")
        {
            using var request = new HttpRequestMessage(method, path.StartsWith("http", StringComparison.Ordinal) ? path : $"{tenant}/controller/v1/{Uri.EscapeDataString(id)}{(path.Length > 0 ? "/" : "")}{path}");
            request.Headers.TryAddWithoutValidation("Authorization", authorization);
            if (etag is not null)
                request.Headers.IfNoneMatch.Add(etag);
            if (body is not null)
                request.Content = new StringContent(body, Encoding.UTF8, "application/json");
            return await server.Anyone.SendAsync(request);
        }

        public async Task<JsonNode> GetAsync(string path)
        {
            using var response = await SendAsync(HttpMethod.Get, path);
            var text = await response.Content.ReadAsStringAsync();
            Assert.True(response.IsSuccessStatusCode, text);
            return JsonNode.Parse(text)!;
        }

        public Task<JsonNode> PollAsync() => GetAsync("");

        /// <summary>The action that the device has; null for none.</summary>
        public async Task<int?> NumberAsync() => Link(await PollAsync(), "deploymentBase") is { } link ? int.Parse(new Uri(link).Segments[^1], System.Globalization.CultureInfo.InvariantCulture) : null;

        public async Task<HttpStatusCode> SayAsync(string action, string execution, string finished, params string[] details)
        {
            using var response = await SendAsync(HttpMethod.Post, action + "/feedback", JsonSerializer.Serialize(new { id = action.Split('/')[1], time = "20261126T101010", status = new { execution, result = new { finished }, details } }));
            return response.StatusCode;
        }

        /// <summary>Takes what it is told of.</summary>
        /// <returns>Its version.</returns>
        public async Task<string?> TakeAsync()
        {
            var number = await NumberAsync();
            var deployment = await GetAsync($"deploymentBase/{number}");
            Assert.Equal("forced", (string?)deployment["deployment"]!["update"]);
            Assert.Equal(HttpStatusCode.OK, await SayAsync($"deploymentBase/{number}", "closed", "success"));
            return (string?)deployment["deployment"]!["chunks"]![0]!["version"];
        }
    }
}
