using System.Text.Json;
using Coppice.Access;
using Coppice.Protocol;
using Coppice.Server.Storage;
using Microsoft.EntityFrameworkCore;
using static Coppice.Server.Tests.RunningServer;

namespace Coppice.Server.Tests.Idempotency;

public class IdempotencyTests : IAsyncLifetime
{
    const string Token = """{"name":"ci","expiresIn":"1d"}""";

    RunningServer server = null!;

    public async Task InitializeAsync() => server = await StartAsync();

    public async Task DisposeAsync() => await server.DisposeAsync();

    async Task<HttpResponseMessage> PostAsync(string key, string body = Token, HttpClient? by = null, string path = "v1/tokens")
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, path) { Content = Answers.Json(body) };
        request.Headers.Add("Idempotency-Key", key);
        return await (by ?? server.Operator).SendAsync(request);
    }

    async Task<int> TokensAsync() => (await server.Client.ListTokensAsync(limit: 1000)).Tokens.Length;

    [Fact]
    public async Task A_request_sent_again_under_its_key_is_done_once_and_gets_the_first_answer()
    {
        using var first = await PostAsync("k-1");
        using var again = await PostAsync("k-1");
        var text = await first.Content.ReadAsStringAsync();

        Assert.Equal(201, (int)again.StatusCode);
        Assert.Equal(text, await again.Content.ReadAsStringAsync());
        Assert.Equal(first.Headers.Location, again.Headers.Location);
        Assert.Equal("true", again.Headers.GetValues("Idempotency-Replayed").Single());
        Assert.Equal(2, await TokensAsync()); // the first start's, and this one
        var secret = JsonSerializer.Deserialize(text, ControlContext.Default.CreatedApiToken)!.Token;
        var kept = await server.Get<Database>().ReadAsync(db => db.IdempotencyKeys.SingleAsync(), CancellationToken.None);
        Assert.Equal(-1, kept.Body.AsSpan().IndexOf(System.Text.Encoding.UTF8.GetBytes(secret)));
    }

    [Fact]
    public async Task Many_at_once_under_one_key_are_one()
    {
        var answers = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => PostAsync("k-1")));
        Assert.All(answers, answer => Assert.Contains((int)answer.StatusCode, new[] { 201, 409 }));
        Assert.Contains(answers, answer => (int)answer.StatusCode == 201);
        Assert.Equal(2, await TokensAsync());
        foreach (var answer in answers)
            answer.Dispose();
    }

    [Fact]
    public async Task A_key_is_its_operators_for_one_request_and_for_a_day()
    {
        using (await PostAsync("k-1"))
            Assert.Equal("/problems/idempotency-key", (await PostAsync("k-1", """{"name":"other","expiresIn":"1d"}""").ProblemAsync(422)).Type);
        using var other = await server.OperatorAsync("other", new RoleGrant(Role.Admin));
        using (var theirs = await PostAsync("k-1", """{"name":"theirs","expiresIn":"1d"}""", other))
            Assert.Equal(201, (int)theirs.StatusCode);
        server.Time.Advance(TimeSpan.FromDays(1));
        using (var later = await PostAsync("k-1", """{"name":"other","expiresIn":"1d"}"""))
            Assert.Equal(201, (int)later.StatusCode);
    }

    [Fact]
    public async Task A_request_that_was_refused_may_be_mended_under_its_key()
    {
        await PostAsync("k-1", """{"name":"","expiresIn":"1d"}""").ProblemAsync(400);
        using var mended = await PostAsync("k-1");
        Assert.Equal(201, (int)mended.StatusCode);
        Assert.Equal("/problems/validation", (await PostAsync(new string('k', 129)).ProblemAsync(400)).Type);
    }

    [Fact]
    public async Task What_was_cut_short_is_not_done_twice_but_said()
    {
        using (await PostAsync("k-1"))
            await server.Get<Database>().WriteAsync(db => db.IdempotencyKeys.ExecuteUpdateAsync(set => set.SetProperty(row => row.Status, (int?)null)), CancellationToken.None);
        Assert.Equal("/problems/idempotency-unknown", (await PostAsync("k-1").ProblemAsync(409)).Type);
        Assert.Equal(2, await TokensAsync());
    }
}
