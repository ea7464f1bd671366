using System.Net;
using System.Net.Sockets;
using System.Text;
using Coppice.Server.Registry;

namespace Coppice.Server.Tests.Registry;

public sealed class RepositoryTests : IAsyncLifetime
{
    RunningServer server = null!;

    public async Task InitializeAsync() => server = await RunningServer.StartAsync();

    public async Task DisposeAsync() => await server.DisposeAsync();

    [Fact]
    public async Task The_timestamp_is_asked_for_again_and_costs_nothing_while_it_is_the_same()
    {
        using var first = await server.Anyone.GetAsync("repository/metadata/timestamp.json");
        Assert.Equal(("no-cache", false), (first.Headers.CacheControl!.ToString(), first.Headers.ETag!.IsWeak));

        using var second = await AskAgainAsync(first);
        Assert.Equal((HttpStatusCode.NotModified, "no-cache", first.Headers.ETag), (second.StatusCode, second.Headers.CacheControl!.ToString(), second.Headers.ETag));

        server.Time.Advance(TimeSpan.FromHours(13)); // of the day that a timestamp lives
        server.Get<ExpiryWorker>().Refresh();
        using var third = await AskAgainAsync(first);
        Assert.Equal(HttpStatusCode.OK, third.StatusCode);
        Assert.NotEqual(first.Headers.ETag, third.Headers.ETag);
    }

    Task<HttpResponseMessage> AskAgainAsync(HttpResponseMessage before) =>
        server.Anyone.SendAsync(new(HttpMethod.Get, "repository/metadata/timestamp.json") { Headers = { IfNoneMatch = { before.Headers.ETag! } } });

    [Fact]
    public async Task Metadata_with_a_version_in_its_name_never_changes_and_the_next_root_may_come_any_time()
    {
        foreach (var name in new[] { "1.root", "1.targets", "1.releases", "1.rollouts", "1.snapshot" })
        {
            using var answer = await server.Anyone.GetAsync($"repository/metadata/{name}.json");
            Assert.Equal("public, max-age=31536000, immutable", answer.Headers.CacheControl!.ToString());
        }

        using var next = await server.Anyone.GetAsync("repository/metadata/2.root.json");
        Assert.Equal((HttpStatusCode.NotFound, "no-cache"), (next.StatusCode, next.Headers.CacheControl!.ToString()));
    }

    [Theory]
    [InlineData("/repository/")]
    [InlineData("/repository/metadata")]
    [InlineData("/repository/metadata/")]
    [InlineData("/repository/.lock")]
    [InlineData("/repository/.partial/x")]
    [InlineData("/repository/metadata/../../admin.token")]
    [InlineData("/repository/metadata/..%2f..%2fadmin.token")]
    [InlineData("/repository/metadata/%2e%2e/%2e%2e/admin.token")]
    [InlineData("/repository/metadata/..%5c..%5cadmin.token")]
    [InlineData("/repository/metadata//1.root.json")]
    [InlineData("/repository//metadata/1.root.json")]
    [InlineData("/repository/metadata/1.root.json%00")]
    [InlineData("/repository/keys/online/online.pem")]
    public async Task Nothing_else_of_the_machine_is_served(string path)
    {
        var answer = await RawAsync($"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); // HttpClient would tidy the path

        Assert.Matches("^HTTP/1.1 40[04] ", answer);
        Assert.DoesNotContain(server.Token, answer);
    }

    [Fact]
    public async Task What_is_signed_online_is_signed_again_in_time_and_what_is_not_is_said()
    {
        for (var day = 0; day < 340; day++)
        {
            server.Time.Advance(TimeSpan.FromDays(1) - TimeSpan.FromHours(1));
            server.Get<ExpiryWorker>().Refresh();
            server.Time.Advance(TimeSpan.FromHours(1));
            if (day % 20 == 0)
                Assert.Null(await server.PlanAsDeviceAsync()); // trusted, and nobody has rolled anything out
        }

        var readiness = await server.Client.GetReadinessAsync();
        Assert.True(readiness.Ready);
        Assert.Equal(3, readiness.Warnings.Length); // root, targets and releases want their offline keys within 30 days
    }

    [Fact]
    public async Task A_server_whose_metadata_has_expired_is_not_ready_but_alive()
    {
        server.Time.Advance(TimeSpan.FromDays(2));

        var readiness = await server.Client.GetReadinessAsync();

        Assert.False(readiness.Ready);
        Assert.Contains("timestamp", Assert.Single(readiness.Problems));
        Assert.Equal("ok", await server.Anyone.GetStringAsync("healthz"));
    }

    async Task<string> RawAsync(string request)
    {
        using var socket = new TcpClient();
        await socket.ConnectAsync(server.Plane.Url.Host, server.Plane.Url.Port);
        await using var stream = socket.GetStream();
        await stream.WriteAsync(Encoding.ASCII.GetBytes(request));
        using var reader = new StreamReader(stream);
        return await reader.ReadToEndAsync();
    }
}
