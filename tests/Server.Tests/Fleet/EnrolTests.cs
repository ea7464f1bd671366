using System.Collections.Immutable;
using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Coppice.Client;
using Coppice.Protocol;
using Coppice.Trust;

namespace Coppice.Server.Tests.Fleet;

public class EnrolTests : IAsyncLifetime
{
    RunningServer server = null!;

    public async Task InitializeAsync() => server = await RunningServer.StartAsync();

    public async Task DisposeAsync() => await server.DisposeAsync();

    Task<CreatedJoinToken> TokenAsync(int uses = 1) => server.Client.CreateJoinTokenAsync(new(TimeSpan.FromHours(1), uses) { Labels = ImmutableDictionary<string, string>.Empty.Add("site", "oslo") });

    [Fact]
    public async Task A_device_joins_and_gets_the_labels_of_its_token()
    {
        using var answer = await new TestDevice(server, "till-1").EnrolAsync((await TokenAsync()).Token, ("os", "linux"));

        var enrolled = (await answer.Content.ReadFromJsonAsync(DeviceMessagesContext.Default.EnrolAnswer))!;
        Assert.Equal(("till-1", "oslo"), (enrolled.Device, enrolled.Labels["site"]));
        Assert.Equal("linux", (await server.Client.GetDeviceAsync("till-1")).Facts["os"]);
    }

    [Fact]
    public async Task The_same_id_and_key_again_gives_the_same_answer_even_when_the_token_is_used_up_or_expired()
    {
        var token = (await TokenAsync(uses: 1)).Token;
        var device = new TestDevice(server, "till-1");
        using var first = await device.EnrolAsync(token);
        server.Time.Advance(TimeSpan.FromDays(2));
        using var second = await device.EnrolAsync(token);

        Assert.Equal(HttpStatusCode.OK, second.StatusCode);
        Assert.Equal(await first.Content.ReadAsStringAsync(), await second.Content.ReadAsStringAsync()); // the certificate, too
    }

    [Fact]
    public async Task Another_key_for_a_known_id_is_a_conflict_and_without_a_token_not_even_that()
    {
        await server.EnrolAsync("till-1");

        Assert.Equal("/problems/device-known", (await new TestDevice(server, "till-1").EnrolAsync((await TokenAsync()).Token).ProblemAsync(409)).Type);
        Assert.Equal("/problems/join-token", (await new TestDevice(server, "till-1").EnrolAsync("guess").ProblemAsync(401)).Type);
    }

    [Fact]
    public async Task A_token_that_is_unknown_expired_or_used_up_does_not_open()
    {
        var token = (await TokenAsync(uses: 1)).Token;
        using var first = await new TestDevice(server, "till-1").EnrolAsync(token);

        Assert.Contains("not known", (await new TestDevice(server, "till-2").EnrolAsync("x" + token).ProblemAsync(401)).Detail);
        Assert.Contains("allows have joined", (await new TestDevice(server, "till-2").EnrolAsync(token).ProblemAsync(401)).Detail);
        server.Time.Advance(TimeSpan.FromHours(1));
        Assert.Contains("expired", (await new TestDevice(server, "till-2").EnrolAsync(token).ProblemAsync(401)).Detail);
    }

    [Fact]
    public async Task Twenty_devices_at_once_with_a_token_for_five_are_five()
    {
        var token = (await TokenAsync(uses: 5)).Token;

        var answers = await Task.WhenAll(Enumerable.Range(0, 20).Select(i => new TestDevice(server, $"till-{i}").EnrolAsync(token)));

        Assert.Equal(5, answers.Count(answer => answer.StatusCode == HttpStatusCode.OK));
        Assert.Equal(15, answers.Count(answer => answer.StatusCode == HttpStatusCode.Unauthorized));
        Assert.Equal(5, (await server.Client.ListDevicesAsync()).Devices.Length);
        foreach (var answer in answers)
            answer.Dispose();
    }

    [Fact]
    public async Task The_same_device_ten_times_at_once_is_one_and_uses_the_token_once()
    {
        var token = (await TokenAsync(uses: 2)).Token;
        var device = new TestDevice(server, "till-1");

        var answers = await Task.WhenAll(Enumerable.Range(0, 10).Select(_ => device.EnrolAsync(token)));

        Assert.All(answers, answer => Assert.Equal(HttpStatusCode.OK, answer.StatusCode));
        using var another = await new TestDevice(server, "till-2").EnrolAsync(token);
        Assert.Equal(HttpStatusCode.OK, another.StatusCode);
    }

    [Fact]
    public async Task Everything_wrong_is_said_at_once()
    {
        var request = new EnrolRequest("Till 1", "short", "AAAA", ImmutableDictionary<string, string>.Empty.Add("label.site", "oslo")) { Token = "t" };
        var problem = await server.Anyone.PostAsJsonAsync("v1/enrol", request, DeviceMessagesContext.Default.EnrolRequest).ProblemAsync(400);

        Assert.Equal("/problems/validation", problem.Type);
        Assert.Equal(["device", "facts.label.site", "request", "sealingKey"], problem.Errors!.Keys.Order());
    }

    [Fact]
    public async Task A_body_beyond_the_limit_is_refused_and_fields_of_newer_agents_are_not()
    {
        Assert.Equal("/problems/too-large", (await server.Anyone.PostAsync("v1/enrol", Answers.Json(new string(' ', 200_000))).ProblemAsync(413)).Type);

        var device = new TestDevice(server, "till-1");
        var body = JsonSerializer.SerializeToUtf8Bytes(device.Request((await TokenAsync()).Token), DeviceMessagesContext.Default.EnrolRequest);
        using var answer = await device.SendAsync("v1/enrol", [.. body[..^1], .. ",\"sinceVersion9\":true}"u8]);
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
    }

    [Fact]
    public async Task The_join_token_pins_the_first_root()
    {
        Assert.True(JoinToken.TryParse(server.Plane.First!.JoinToken.Token, out var token));

        Assert.Equal(Sha256Digest.Of(await server.Anyone.GetByteArrayAsync("repository/metadata/1.root.json")), token.Root);
    }

    [Fact]
    public async Task A_token_that_nobody_could_use_is_not_made()
    {
        var refused = await Assert.ThrowsAsync<ControlException>(() => server.Client.CreateJoinTokenAsync(new(TimeSpan.Zero, 0)));

        Assert.Equal(["expiresIn", "maxUses"], refused.Problem.Errors!.Keys.Order());
    }
}

public sealed class EnrolLimitTests
{
    [Fact]
    public async Task An_address_that_tries_too_often_is_told_when_to_come_again()
    {
        await using var server = await RunningServer.StartAsync(options => options with { EnrolmentLimit = new(3, 100) });

        for (var i = 0; i < 3; i++)
            await new TestDevice(server, "till-1").EnrolAsync("guess").ProblemAsync(401);
        using var answer = await new TestDevice(server, "till-1").EnrolAsync("guess");

        Assert.Equal(HttpStatusCode.TooManyRequests, answer.StatusCode);
        Assert.InRange(answer.Headers.RetryAfter!.Delta!.Value.TotalSeconds, 1, 60);
        Assert.Equal("/problems/too-many-requests", (await new TestDevice(server, "till-1").EnrolAsync("guess").ProblemAsync(429)).Type);
    }
}
