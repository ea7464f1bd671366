using System.Net;
using System.Text;
using System.Text.Json;
using Coppice.Mirror.Tests.Bundles;
using Microsoft.Extensions.Logging;

namespace Coppice.Mirror.Tests.Serving;

public sealed class ReportTests : IAsyncLifetime, IDisposable
{
    readonly SignedRepository repository = new();
    readonly Stick stick = new();
    readonly HttpClient http = new();
    Upstream upstream = null!;

    public async Task InitializeAsync()
    {
        repository.Roll("1.0.0");
        upstream = await Upstream.StartAsync(repository.Folder);
    }

    public async Task DisposeAsync() => await upstream.DisposeAsync();

    public void Dispose()
    {
        http.Dispose();
        repository.Dispose();
        stick.Dispose();
    }

    Task<SiteMirror> MirrorAsync(long budget = 1 << 20) => SiteMirror.StartAsync(new()
    {
        Data = stick.PathOf("mirror"),
        Upstream = upstream.Url,
        Listen = "http://127.0.0.1:0",
        Poll = TimeSpan.FromMilliseconds(50),
        ReportPatience = TimeSpan.FromSeconds(2),
        ReportBudget = budget,
        LogLevel = LogLevel.None,
    });

    static string Batch(long sequence) =>
        $$"""{"reports":[{"sequence":{{sequence}},"at":"2030-01-01T00:00:00+00:00","kind":"settled","model":"plant/bearing","release":"1.0.0"}]}""";

    async Task<(HttpStatusCode Status, string Body)> ReportAsync(SiteMirror mirror, string device, long sequence)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(mirror.Url, "/v1/reports")) { Content = new StringContent(Batch(sequence), Encoding.UTF8, "application/json") };
        request.Headers.TryAddWithoutValidation("Signature", $"device=:{device}{sequence}:");
        using var response = await http.SendAsync(request);
        return (response.StatusCode, await response.Content.ReadAsStringAsync());
    }

    static async Task UntilAsync(Func<bool> holds)
    {
        for (var i = 0; !holds(); i++)
        {
            Assert.True(i < 3000, "it does not come about");
            await Task.Delay(10);
        }
    }

    [Fact]
    public async Task While_upstream_is_there_a_device_gets_its_own_answer()
    {
        await using var mirror = await MirrorAsync();
        var (status, body) = await ReportAsync(mirror, "a", 1);

        Assert.Equal((HttpStatusCode.OK, 99L), (status, JsonDocument.Parse(body).RootElement.GetProperty("through").GetInt64()));
        Assert.Equal("signed", JsonDocument.Parse(body).RootElement.GetProperty("passport").GetString());
    }

    [Fact]
    public async Task Reports_of_days_without_upstream_arrive_unchanged_in_order_and_once_over_a_restart_of_the_mirror()
    {
        upstream.Status = () => 503;
        await using (var mirror = await MirrorAsync())
        {
            for (var i = 1; i <= 20; i++)
            {
                var (status, body) = await ReportAsync(mirror, i % 2 == 0 ? "a" : "b", i);
                Assert.Equal((HttpStatusCode.OK, (long)i), (status, JsonDocument.Parse(body).RootElement.GetProperty("through").GetInt64()));
                Assert.False(JsonDocument.Parse(body).RootElement.TryGetProperty("passport", out _)); // only the server says what a device is called
            }
        }

        upstream.Status = () => 200;
        await using var again = await MirrorAsync();
        await UntilAsync(() => upstream.Told.Count >= 20);
        await ReportAsync(again, "a", 21);

        Assert.Equal(Enumerable.Range(1, 21).Select(i => (Batch(i), $"device=:{(i == 21 || i % 2 == 0 ? "a" : "b")}{i}:")), upstream.Told.Select(told => (Encoding.UTF8.GetString(told.Body), told.Signature!)));
    }

    [Fact]
    public async Task What_only_the_server_knows_is_asked_of_it_alone_and_never_answered_for_it()
    {
        await using var mirror = await MirrorAsync();
        async Task<string> SayAsync()
        {
            using var response = await http.PostAsync(new Uri(mirror.Url, "/v1/reports"), new StringContent("""{"reports":[]}""", Encoding.UTF8, "application/json"));
            return $"{(int)response.StatusCode} {await response.Content.ReadAsStringAsync()}";
        }

        Assert.StartsWith("200 {\"through\":99,", await SayAsync(), StringComparison.Ordinal); // upstream's own answer
        await upstream.DisposeAsync();
        Assert.Equal("200 {}", await SayAsync());

        Assert.Empty(Directory.GetFiles(Path.Combine(stick.PathOf("mirror"), "reports")));
    }

    [Fact]
    public async Task What_upstream_refuses_for_good_holds_nothing_up()
    {
        var answers = new Queue<int>([401, 200, 200]);
        upstream.Status = () => answers.Count > 0 ? answers.Dequeue() : 200;
        await using var mirror = await MirrorAsync();

        Assert.Equal(HttpStatusCode.Unauthorized, (await ReportAsync(mirror, "a", 1)).Status);
        Assert.Equal(HttpStatusCode.OK, (await ReportAsync(mirror, "a", 2)).Status);
    }

    [Fact]
    public async Task A_mirror_without_room_lets_devices_keep_their_reports()
    {
        upstream.Status = () => 503;
        await using var mirror = await MirrorAsync(budget: 900);
        Assert.Equal(HttpStatusCode.OK, (await ReportAsync(mirror, "a", 1)).Status);

        var statuses = new List<HttpStatusCode>();
        for (var i = 2; i < 6; i++)
            statuses.Add((await ReportAsync(mirror, "a", i)).Status);
        Assert.Contains(HttpStatusCode.ServiceUnavailable, statuses);
    }

    [Fact]
    public async Task A_body_that_is_no_batch_or_too_long_is_refused_and_not_kept()
    {
        await using var mirror = await MirrorAsync();
        foreach (var (body, status) in new[] { ("{", HttpStatusCode.BadRequest), ("[]", HttpStatusCode.BadRequest), (new string(' ', 400_000), HttpStatusCode.RequestEntityTooLarge) })
        {
            using var content = new StringContent(body, Encoding.UTF8, "application/json");
            using var response = await http.PostAsync(new Uri(mirror.Url, "/v1/reports"), content);
            Assert.Equal(status, response.StatusCode);
        }

        Assert.Empty(upstream.Told);
    }

    [Fact]
    public async Task Joining_passes_through_while_upstream_is_there_and_waits_for_it_otherwise()
    {
        await using var mirror = await MirrorAsync();
        using var there = await http.PostAsync(new Uri(mirror.Url, "/v1/enrol"), new StringContent("{}"));
        await upstream.DisposeAsync();
        using var away = await http.PostAsync(new Uri(mirror.Url, "/v1/enrol"), new StringContent("{}"));

        Assert.Equal((HttpStatusCode.OK, HttpStatusCode.ServiceUnavailable), (there.StatusCode, away.StatusCode));
        Assert.Equal("/v1/enrol", Assert.Single(upstream.Told).Path);
    }
}
