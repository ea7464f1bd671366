using System.Text;
using System.Text.Json;
using Coppice.Access;
using Coppice.Client;
using Coppice.Protocol;
using Coppice.Server.Events;
using Coppice.Server.Storage;
using Coppice.Tests;
using Microsoft.EntityFrameworkCore;
using static Coppice.Server.Tests.RunningServer;

namespace Coppice.Server.Tests.Events;

/// <summary>Against a receiver in a process of its own, which verifies with the reference library of Standard Webhooks.</summary>
public sealed class WebhookTests : IAsyncLifetime
{
    Peer receiver = null!;
    RunningServer server = null!;

    public async Task InitializeAsync()
    {
        receiver = await Peer.StartAsync("webhook-receiver.mjs");
        server = await StartAsync();
    }

    public async Task DisposeAsync()
    {
        await server.DisposeAsync();
        await receiver.DisposeAsync();
    }

    string Url(string path = "", string answer = "200") => receiver.Ready.GetProperty("url").GetString() + path + "?answer=" + answer;

    /// <summary>The receiver verifies by the secret in its path, which is not known before the webhook is made: the row is told afterwards.</summary>
    async Task<CreatedWebhook> HookAsync(string answer = "200", params EventKind[] kinds)
    {
        var created = await server.Client.CreateWebhookAsync(new("test", Url(answer: answer)) { Kinds = [.. kinds.DefaultIfEmpty(EventKind.OperatorChanged)] });
        var number = WebhookRow.TryNumber(created.View.Id)!.Value;
        var target = Url(Uri.EscapeDataString(created.Secret), answer);
        await server.Get<Database>().WriteAsync(db => db.Webhooks.Where(row => row.Number == number).ExecuteUpdateAsync(set => set.SetProperty(row => row.Target, target)), CancellationToken.None);
        return created;
    }

    async Task ActAsync(string name) => await server.Client.PutOperatorAsync(name, new([new(Role.Viewer)]));

    Task SendAsync() => server.Get<WebhookWorker>().SendAsync(CancellationToken.None);

    async Task<JsonElement> ReceivedAsync()
    {
        var received = await receiver.NextAsync();
        Assert.Equal(JsonValueKind.True, received.GetProperty("verified").ValueKind);
        return received;
    }

    static string Why(JsonElement received) => received.GetProperty("body").GetProperty("data").GetProperty("why").GetString()!;

    async Task<WebhookView> ViewAsync() => Assert.Single((await server.Client.ListWebhooksAsync()).Webhooks);

    [Fact]
    public async Task An_event_is_sent_once_signed_as_the_standard_says_and_nothing_that_is_not_wanted()
    {
        await ActAsync("before");
        var hook = await HookAsync();
        await ActAsync("alice");
        await server.Client.CreateTokenAsync(new("t", TimeSpan.FromDays(1)));
        await SendAsync();

        var received = await ReceivedAsync();
        Assert.Equal("operatorChanged", received.GetProperty("body").GetProperty("type").GetString());
        Assert.StartsWith("alice: viewer on *", Why(received));
        var id = received.GetProperty("body").GetProperty("data").GetProperty("id").GetInt64();
        Assert.Equal($"evt_{id}", received.GetProperty("id").GetString());
        await SendAsync();
        var delivery = Assert.Single((await server.Client.ListDeliveriesAsync(hook.View.Id)).Deliveries);
        Assert.Equal((id, DeliveryState.Delivered, 1, 200), (delivery.Event, delivery.State, delivery.Attempts, delivery.LastStatus));
    }

    [Fact]
    public async Task What_is_refused_is_tried_again_later_and_what_follows_waits_for_it()
    {
        await HookAsync("503,200");
        await ActAsync("first");
        await ActAsync("second");
        await SendAsync();
        Assert.Equal(503, (await ReceivedAsync()).GetProperty("status").GetInt32());
        await SendAsync(); // not due yet
        var trying = (await ViewAsync()).Trying!;
        Assert.Equal((DeliveryState.Pending, 1, 503), (trying.State, trying.Attempts, trying.LastStatus));
        Assert.InRange(trying.NextAt - server.Time.GetUtcNow(), TimeSpan.FromSeconds(4), TimeSpan.FromSeconds(6));

        server.Time.Advance(TimeSpan.FromSeconds(6));
        await SendAsync();
        var again = await ReceivedAsync();
        Assert.Equal((2, 200), (again.GetProperty("times").GetInt32(), again.GetProperty("status").GetInt32()));
        Assert.StartsWith("first", Why(again));
        Assert.StartsWith("second", Why(await ReceivedAsync())); // refused the first time, as told
    }

    [Fact]
    public async Task What_is_never_taken_is_given_up_in_sight_and_can_be_sent_again()
    {
        var hook = await HookAsync("500,500,500,500,500,500,500,500,500,500,200");
        await ActAsync("unlucky");
        for (var i = 0; i < 10; i++)
        {
            await SendAsync();
            Assert.Equal(500, (await ReceivedAsync()).GetProperty("status").GetInt32());
            server.Time.Advance(TimeSpan.FromHours(34));
        }

        await SendAsync();
        Assert.Equal((1, null), ((await ViewAsync()).Dead, (await ViewAsync()).Trying));
        Assert.Equal((DeliveryState.Dead, 10), (Assert.Single((await server.Client.ListDeliveriesAsync(hook.View.Id, DeliveryState.Dead)).Deliveries) is var dead ? (dead.State, dead.Attempts) : default));
        await server.Client.ReplayAsync(hook.View.Id);
        await SendAsync();
        Assert.StartsWith("unlucky", Why(await ReceivedAsync()));
        Assert.Equal(0, (await ViewAsync()).Dead);
    }

    [Fact]
    public async Task An_event_can_be_sent_again_by_its_id_and_only_one_that_the_webhook_wants()
    {
        var hook = await HookAsync();
        await ActAsync("alice");
        await SendAsync();
        var id = (await ReceivedAsync()).GetProperty("body").GetProperty("data").GetProperty("id").GetInt64();
        await server.Client.ReplayAsync(hook.View.Id, id);
        await SendAsync();
        Assert.Equal(2, (await ReceivedAsync()).GetProperty("times").GetInt32());
        Assert.Equal("/problems/not-found", (await Assert.ThrowsAsync<ControlException>(() => server.Client.ReplayAsync(hook.View.Id, 1))).Type);
    }

    [Fact]
    public async Task Nothing_is_lost_over_a_stop_and_a_redirect_is_not_followed()
    {
        var data = NewFolder();
        string id;
        await using (var first = await StartAsync(data: data))
        {
            id = (await first.Client.CreateWebhookAsync(new("test", Url(answer: "302")) { Kinds = [EventKind.OperatorChanged] })).View.Id;
            await first.Client.PutOperatorAsync("alice", new([new(Role.Viewer)]));
            await first.Get<WebhookWorker>().SendAsync(CancellationToken.None);
            Assert.Equal(302, (await receiver.NextAsync()).GetProperty("status").GetInt32());
        }

        await using (var again = await StartAsync(data: data))
        {
            again.Time.Advance(TimeSpan.FromMinutes(1));
            await again.Get<WebhookWorker>().SendAsync(CancellationToken.None);
            Assert.StartsWith("alice", Why(await receiver.NextAsync()));
            var delivery = Assert.Single((await again.Client.ListDeliveriesAsync(id)).Deliveries);
            Assert.Equal((DeliveryState.Pending, 2, 302), (delivery.State, delivery.Attempts, delivery.LastStatus));
        }

        Directory.Delete(data, recursive: true);
    }

    [Fact]
    public async Task A_receiver_that_is_gone_is_left_alone_and_one_that_is_busy_is_met_when_it_says()
    {
        await HookAsync("410,200");
        await ActAsync("alice");
        await SendAsync();
        await receiver.NextAsync();
        Assert.Contains("410 Gone", (await ViewAsync()).DisabledWhy);
        await server.Client.DeleteWebhookAsync("w-1");

        await HookAsync("429,200");
        await ActAsync("bob");
        await SendAsync();
        await receiver.NextAsync();
        Assert.Equal(server.Time.GetUtcNow() + TimeSpan.FromHours(1), (await ViewAsync()).Trying!.NextAt);
    }

    [Fact]
    public async Task A_test_says_what_the_receiver_answered_and_that_nobody_answers()
    {
        var hook = await HookAsync("418");
        var test = await server.Client.TestWebhookAsync(hook.View.Id);
        Assert.Equal((false, 418), (test.Taken, test.Status));
        var nobody = await server.Client.CreateWebhookAsync(new("nobody", "http://127.0.0.1:1/"));
        Assert.False((await server.Client.TestWebhookAsync(nobody.View.Id)).Taken);
        Assert.Equal(["models", "name", "target"], (await Assert.ThrowsAsync<ControlException>(() => server.Client.CreateWebhookAsync(new("", "ftp://x") { Models = "vis*" }))).Problem.Errors!.Keys.Order());
        foreach (var bad in new[] { "http://user:word@x/", "mailto:", "mailto:a@b\r\nBcc: c@d", "file:///etc/passwd", "//x" })
            Assert.Equal("/problems/validation", (await Assert.ThrowsAsync<ControlException>(() => server.Client.CreateWebhookAsync(new("x", bad)))).Type);
    }

    [Fact]
    public async Task Who_may_roll_out_some_models_has_only_their_events_sent()
    {
        await server.Client.PutOperatorAsync("vision", new([new(Role.Operator) { Models = "vision/*" }]));
        using var vision = new CoppiceClient(server.Plane.Url, (await server.Client.CreateTokenAsync(new("t", TimeSpan.FromDays(1)) { Operator = "vision" })).Token);
        Assert.Equal("event.send", (await Assert.ThrowsAsync<ControlException>(() => vision.CreateWebhookAsync(new("all", Url())))).Problem.Permission);
        await vision.CreateWebhookAsync(new("mine", Url()) { Models = "vision/*" });
        await HookAsync();
        Assert.Equal("w-1", Assert.Single((await vision.ListWebhooksAsync()).Webhooks).Id);
        Assert.Equal("event.send", (await Assert.ThrowsAsync<ControlException>(() => vision.DeleteWebhookAsync("w-2"))).Problem.Permission);
    }

    [Fact]
    public async Task The_secret_of_a_webhook_is_not_in_the_database()
    {
        var hook = await HookAsync();
        var secret = Convert.FromBase64String(hook.Secret["whsec_".Length..]);
        var row = await server.Get<Database>().ReadAsync(db => db.Webhooks.SingleAsync(), CancellationToken.None);
        Assert.Equal(-1, row.Secret.AsSpan().IndexOf(secret.AsSpan(0, 8)));
        Assert.Equal(secret, server.Get<SecretBox>().Open(row.Secret));
        row.Secret[20] ^= 1;
        Assert.ThrowsAny<System.Security.Cryptography.CryptographicException>(() => server.Get<SecretBox>().Open(row.Secret));
    }

    [Fact]
    public async Task Events_reach_a_real_mail_server_with_a_password_and_a_busy_one_later()
    {
        await using var mail = await Peer.StartAsync("mail-server.mjs");
        await using var sending = await StartAsync(options => options with { Mail = new(new($"smtp://coppice:p%40ss%20word@127.0.0.1:{mail.Ready.GetProperty("port").GetInt32()}"), "coppice@example.org") });
        await sending.Client.CreateWebhookAsync(new("people", "mailto:ops@example.org") { Kinds = [EventKind.ReleasePublished] });
        await sending.Client.CreateWebhookAsync(new("busy", "mailto:busy@example.org") { Kinds = [EventKind.ReleasePublished] });
        await sending.PublishAsync("1.0.0");
        await sending.Get<WebhookWorker>().SendAsync(CancellationToken.None);

        var got = await mail.NextAsync();
        Assert.Equal(("coppice", "coppice@example.org", "ops@example.org"), (got.GetProperty("user").GetString(), got.GetProperty("from").GetString(), got.GetProperty("to")[0].GetString()));
        var text = got.GetProperty("text").GetString()!;
        Assert.Contains("Subject: [coppice] Release published: plant/bearing 1.0.0", text);
        Assert.Contains("by admin", text);
        var busy = (await sending.Client.ListWebhooksAsync()).Webhooks[1].Trying!;
        Assert.Equal(1, busy.Attempts);
        Assert.Contains("busy", busy.LastError);
    }
}

public sealed class RetryScheduleTests
{
    [Fact]
    public void Pauses_grow_to_hours_and_then_it_is_given_up()
    {
        var pauses = Enumerable.Range(1, 9).Select(attempt => RetrySchedule.After(attempt, 0.5, null)!.Value).ToArray();
        Assert.Equal(pauses.Order(), pauses);
        Assert.Equal(TimeSpan.FromSeconds(5), pauses[0]);
        Assert.InRange(TimeSpan.FromTicks(pauses.Sum(pause => pause.Ticks)), TimeSpan.FromDays(2), TimeSpan.FromDays(3));
        Assert.Null(RetrySchedule.After(10, 0.5, TimeSpan.FromHours(1)));
    }

    [Fact]
    public void Jitter_moves_a_pause_by_a_fifth_and_a_receiver_may_ask_for_more_but_not_for_ever()
    {
        Assert.Equal(TimeSpan.FromSeconds(4), RetrySchedule.After(1, 0, null));
        Assert.Equal(TimeSpan.FromSeconds(6), RetrySchedule.After(1, 1, null));
        Assert.Equal(TimeSpan.FromMinutes(10), RetrySchedule.After(1, 0, TimeSpan.FromMinutes(10)));
        Assert.Equal(TimeSpan.FromSeconds(4), RetrySchedule.After(1, 0, TimeSpan.FromSeconds(1)));
        Assert.Equal(TimeSpan.FromDays(1), RetrySchedule.After(1, 0, TimeSpan.FromDays(365)));
    }
}

public class EventStreamTests : IAsyncLifetime
{
    RunningServer server = null!;

    public async Task InitializeAsync() => server = await StartAsync();

    public async Task DisposeAsync() => await server.DisposeAsync();

    [Fact]
    public async Task A_stream_tells_what_happens_and_goes_on_where_it_was_cut()
    {
        await server.Client.PutOperatorAsync("alice", new([new(Role.Viewer)]));
        using var patience = new CancellationTokenSource(TimeSpan.FromMinutes(2));
        await using var stream = server.Client.StreamEventsAsync(1, patience.Token).GetAsyncEnumerator(patience.Token);
        async Task<ControlEvent> NextAsync() => await stream.MoveNextAsync() ? stream.Current : throw new InvalidOperationException("the stream ended");

        Assert.Equal(2, (await NextAsync()).Id);
        while ((await NextAsync()) is var what && !what.Why.StartsWith("alice", StringComparison.Ordinal))
        {
            // What the first start did.
        }

        var waiting = NextAsync();
        Assert.False(waiting.IsCompleted);
        await server.Client.PutOperatorAsync("bob", new([new(Role.Viewer)]));
        Assert.StartsWith("bob", (await waiting).Why);

        using var request = new HttpRequestMessage(HttpMethod.Get, "v1/events/stream");
        request.Headers.Add("Last-Event-ID", (stream.Current.Id - 1).ToString(System.Globalization.CultureInfo.InvariantCulture));
        using var answer = await server.Operator.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, patience.Token);
        Assert.Equal("text/event-stream", answer.Content.Headers.ContentType!.MediaType);
        using var reader = new StreamReader(await answer.Content.ReadAsStreamAsync(patience.Token), Encoding.UTF8);
        Assert.Equal($"id: {stream.Current.Id}", await reader.ReadLineAsync(patience.Token));
        Assert.Equal("event: operatorChanged", await reader.ReadLineAsync(patience.Token));
        Assert.StartsWith("data: {", await reader.ReadLineAsync(patience.Token));
    }

    [Fact]
    public async Task A_stream_and_a_list_show_what_the_caller_may_see_and_a_stream_ends_with_its_token()
    {
        await server.PublishAsync("1.0.0");
        await server.Client.PutOperatorAsync("vision", new([new(Role.Viewer) { Models = "vision/*" }]));
        var token = await server.Client.CreateTokenAsync(new("t", TimeSpan.FromDays(1)) { Operator = "vision" });
        using var vision = new CoppiceClient(server.Plane.Url, token.Token);
        Assert.Empty((await vision.ListEventsAsync()).Events);
        await server.PublishAsync("1.0.0", Coppice.Registry.ModelName.Parse("vision/camera"));

        using var patience = new CancellationTokenSource(TimeSpan.FromMinutes(2));
        await using var stream = vision.StreamEventsAsync(0, patience.Token).GetAsyncEnumerator(patience.Token);
        Assert.True(await stream.MoveNextAsync());
        Assert.Equal((EventKind.ReleasePublished, "vision/camera"), (stream.Current.Kind, stream.Current.Model!.ToString()));
        var ended = stream.MoveNextAsync().AsTask();
        await server.Client.RevokeTokenAsync(token.View.Id);
        Assert.False(await ended);
    }

    [Fact]
    public async Task Events_are_listed_by_kind_and_model_and_page_by_page()
    {
        await server.PublishAsync("1.0.0");
        await server.PublishAsync("1.1.0");
        Assert.Equal(2, (await server.Client.ListEventsAsync(kind: "releasePublished", model: "plant/bearing")).Events.Length);
        var page = await server.Client.ListEventsAsync(0, 1, kind: "releasePublished");
        Assert.Single(page.Events);
        Assert.Equal("1.1.0", Assert.Single((await server.Client.ListEventsAsync(page.Next!.Value, 10, kind: "releasePublished")).Events).Release!.ToString());
        Assert.Equal(["kind", "model"], (await Assert.ThrowsAsync<ControlException>(() => server.Client.ListEventsAsync(kind: "nothing", model: "x"))).Problem.Errors!.Keys.Order());
    }
}
