using System.Collections.Immutable;
using System.Net;
using System.Net.Http.Json;
using Coppice.Client;
using Coppice.Protocol;
using Coppice.Server.Access;
using Coppice.Trust;
using static Coppice.Protocol.ReportKind;
using static Coppice.Server.Tests.TestDevice;

namespace Coppice.Server.Tests.Identity;

/// <summary>Ways in other than a join token, and the way back in for a device that was replaced.</summary>
public sealed class AdmissionTests : IAsyncLifetime
{
    RunningServer server = null!;

    public async Task InitializeAsync() => server = await RunningServer.StartAsync();

    public async Task DisposeAsync() => await server.DisposeAsync();

    [Fact]
    public async Task A_device_without_a_token_waits_until_an_operator_has_compared_its_key_and_accepted_it()
    {
        var device = new TestDevice(server, "till-1");
        using (var asked = await device.EnrolAsync(null, ("os", "linux")))
        {
            Assert.Equal(HttpStatusCode.Accepted, asked.StatusCode);
            Assert.Equal(TimeSpan.FromSeconds(30), asked.Headers.RetryAfter!.Delta);
            Assert.Equal(device.Key.Public.Digest, (await asked.Content.ReadFromJsonAsync(DeviceMessagesContext.Default.EnrolWaiting))!.Key);
        }

        var waiting = Assert.Single((await server.Client.ListWaitingAsync()).Devices);
        Assert.Equal(("till-1", device.Key.Public.Digest, "linux", "127.0.0.1"), (waiting.Device, waiting.Key, waiting.Facts["os"], waiting.Address));
        Assert.Empty((await server.Client.ListDevicesAsync()).Devices); // and no rollout knows of it
        Assert.Equal("/problems/unauthorised", (await device.PostAsync(new([])).ProblemAsync(401)).Type);
        await server.Client.AcceptDeviceAsync("till-1", new() { Key = device.Key.Public.Digest, Labels = ImmutableDictionary<string, string>.Empty.Add("site", "oslo") });

        Assert.Equal("oslo", (await device.JoinAsync(null)).Labels["site"]);
        (await device.PostAsync(new([]))).EnsureSuccessStatusCode().Dispose();
        Assert.Empty((await server.Client.ListWaitingAsync()).Devices);
        Assert.Equal("admin", Assert.Single(await server.EventsAsync(EventKind.DeviceAccepted)).By);
    }

    [Fact]
    public async Task Two_that_ask_for_one_id_are_told_apart_by_their_keys()
    {
        var (right, wrong) = (new TestDevice(server, "till-1"), new TestDevice(server, "till-1"));
        (await right.EnrolAsync(null)).Dispose();
        (await wrong.EnrolAsync(null)).Dispose();

        Assert.Equal("/problems/two-ask", (await Assert.ThrowsAsync<ControlException>(() => server.Client.AcceptDeviceAsync("till-1", new()))).Type);
        await server.Client.AcceptDeviceAsync("till-1", new() { Key = right.Key.Public.Digest });
        await right.JoinAsync(null);
        Assert.Equal("/problems/device-known", (await Assert.ThrowsAsync<ControlException>(() => server.Client.AcceptDeviceAsync("till-1", new() { Key = wrong.Key.Public.Digest }))).Type);
    }

    [Fact]
    public async Task A_device_that_was_turned_away_stays_out_until_it_is_accepted_after_all()
    {
        var device = new TestDevice(server, "till-1");
        (await device.EnrolAsync(null)).Dispose();
        await server.Client.RejectDeviceAsync("till-1", new());

        Assert.Equal("/problems/device-rejected", (await device.EnrolAsync(null).ProblemAsync(403)).Type);
        Assert.Empty((await server.Client.ListWaitingAsync()).Devices);
        await server.Client.AcceptDeviceAsync("till-1", new());
        await device.JoinAsync(null);
    }

    [Fact]
    public async Task No_more_devices_wait_than_a_person_could_look_at_whoever_asks()
    {
        await using var small = await RunningServer.StartAsync(options => options with { EnrolmentLimit = new(100_000, 100_000) });
        HttpStatusCode last = default;
        for (var i = 0; i < 201; i++)
        {
            using var answer = await new TestDevice(small, $"flood-{i}").EnrolAsync(null);
            last = answer.StatusCode;
        }

        Assert.Equal(HttpStatusCode.TooManyRequests, last);
        Assert.Equal(200, (await small.Client.ListWaitingAsync()).Devices.Length);
        await small.EnrolAsync("till-1"); // who has a token comes in all the same
    }

    [Fact]
    public async Task Where_nobody_may_ask_a_token_is_needed()
    {
        await using var closed = await RunningServer.StartAsync(options => options with { AcceptRequests = false });

        Assert.Contains("without a join token", (await new TestDevice(closed, "till-1").EnrolAsync(null).ProblemAsync(401)).Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_list_lets_each_device_in_once_by_its_key_or_its_id_or_both()
    {
        var (byKey, byId, byBoth, stranger) = (new TestDevice(server, "till-1"), new TestDevice(server, "till-2"), new TestDevice(server, "till-3"), new TestDevice(server, "till-3"));
        var labels = ImmutableDictionary<string, string>.Empty.Add("site", "oslo");
        ImmutableArray<AuthorisedDevice> list = [new() { Key = byKey.Key.Public.Digest, Labels = labels }, new() { Device = "till-2" }, new() { Device = "till-3", Key = byBoth.Key.Public.Digest }];
        Assert.Equal(new AuthoriseAnswer(3, 0), await server.Client.AuthoriseDevicesAsync(list));
        Assert.Equal(new AuthoriseAnswer(0, 3), await server.Client.AuthoriseDevicesAsync(list)); // again changes nothing

        Assert.Equal("oslo", (await byKey.JoinAsync(null)).Labels["site"]);
        await byId.JoinAsync(null);
        using (var waits = await stranger.EnrolAsync(null))
            Assert.Equal(HttpStatusCode.Accepted, waits.StatusCode); // the id is on the list, with another key
        await byBoth.JoinAsync(null);

        Assert.Empty((await server.Client.ListAuthorisedAsync()).Devices);
        using (var late = await new TestDevice(server, "till-4") { Key = byKey.Key }.EnrolAsync(null))
            Assert.Equal(HttpStatusCode.Conflict, late.StatusCode); // one key is one device
        var wrong = await Assert.ThrowsAsync<ControlException>(() => server.Client.AuthoriseDevicesAsync([new(), new() { Device = "Till" }, new() { Device = "a", Labels = labels.Add("a b", "c") }]));
        Assert.Equal(["devices[0]", "devices[1].device", "devices[2].labels.a b"], wrong.Problem.Errors!.Keys.Order());
    }

    [Fact]
    public async Task A_device_with_new_keys_takes_the_place_of_another_once_and_its_history_stays()
    {
        var old = await server.EnrolAsync("till-1", ("os", "linux"));
        await server.Client.LabelDeviceAsync("till-1", ImmutableDictionary<string, string>.Empty.Add("site", "oslo"));
        await old.SayAsync(Report(1, Switched), Report(2, Settled));
        await server.Client.RevokeDeviceAsync("till-1", "broken, sent for repair");
        var permission = (await server.Client.ReplaceDeviceAsync("till-1", new(TimeSpan.FromHours(1)) { Why = "new board" })).Token;

        Assert.Equal("/problems/join-token", (await new TestDevice(server, "till-2").EnrolAsync(permission).ProblemAsync(401)).Type); // for this place alone
        var replaced = new TestDevice(server, "till-1");
        Assert.Equal("oslo", (await replaced.JoinAsync(permission)).Labels["site"]);

        Assert.Equal("/problems/unauthorised", (await old.PostAsync(new([])).ProblemAsync(401)).Type);
        Assert.Equal("/problems/join-token", (await new TestDevice(server, "till-1").EnrolAsync(permission).ProblemAsync(401)).Type); // once
        using (var empty = await replaced.PostAsync(new([])))
            Assert.Equal(2, (await empty.Content.ReadFromJsonAsync(DeviceMessagesContext.Default.ReportAnswer))!.Through); // numbering goes on
        await replaced.SayAsync(Report(3, Settled));
        Assert.Equal([3L, 2L, 1L], (await server.Client.ListReportsAsync("till-1")).Reports.Select(kept => kept.Report.Sequence));
        var known = await server.Client.GetDeviceAsync("till-1");
        Assert.Equal((DeviceState.Enrolled, replaced.Key.Public.Digest), (known.State, known.Key));
        var said = await server.EventsAsync(EventKind.DeviceReplacementAllowed, EventKind.DeviceReplaced);
        Assert.Contains("new board", said[0].Why, StringComparison.Ordinal);
        Assert.Contains("reports up to 2 are of the device before", said[1].Why, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Devices_are_listed_by_where_they_are_in_their_lives()
    {
        foreach (var id in (string[])["lives", "gone", "stolen", "silent"])
            await server.EnrolAsync(id);
        await server.Client.RetireDeviceAsync("gone");
        await server.Client.RevokeDeviceAsync("stolen", "stolen");
        server.Time.Advance(TimeSpan.FromDays(3));
        await server.EnrolAsync("young");
        async Task<string> In(DeviceState state) => string.Join(' ', (await server.Client.ListDevicesAsync(state: state)).Devices.Select(device => device.Id));

        Assert.Equal("young", await In(DeviceState.Enrolled));
        Assert.Equal("lives silent", await In(DeviceState.Silent));
        Assert.Equal("gone", await In(DeviceState.Retired));
        Assert.Equal("stolen", await In(DeviceState.Revoked));
    }
}

/// <summary>What is taken of callers who have proved nothing.</summary>
public sealed class RequestLimitTests
{
    static readonly ControlPlaneOptions Options = new() { Data = "", Time = new FakeTime(), EnrolmentLimit = new(3, 10), ReadingLimit = new(5, 100_000), FailingLimit = new(2, 100) };

    static IPAddress Address(int n) => new([10, (byte)(n >> 16), (byte)(n >> 8), (byte)n]);

    [Fact]
    public void An_address_has_a_minutes_worth_which_comes_back_evenly_and_others_have_theirs()
    {
        var (limits, time) = (new RequestLimits(Options), (FakeTime)Options.Time);
        for (var i = 0; i < 3; i++)
            Assert.Null(limits.Take(RequestKind.Enrolment, Address(1)));
        Assert.Equal(20, limits.Take(RequestKind.Enrolment, Address(1))!.Value.TotalSeconds, 0.001);
        Assert.Null(limits.Take(RequestKind.Enrolment, Address(2)));
        Assert.Null(limits.Take(RequestKind.Reading, Address(1)));

        time.Advance(TimeSpan.FromSeconds(20));
        Assert.Null(limits.Take(RequestKind.Enrolment, Address(1)));
        Assert.NotNull(limits.Take(RequestKind.Enrolment, Address(1)));
    }

    [Fact]
    public void All_addresses_together_have_a_limit_too_and_an_IPv6_network_is_one_address()
    {
        var limits = new RequestLimits(Options with { Time = new FakeTime() });
        Assert.Equal(10, Enumerable.Range(0, 50).Count(i => limits.Take(RequestKind.Enrolment, Address(i)) is null));

        limits = new(Options with { Time = new FakeTime() });
        Assert.Equal(3, Enumerable.Range(1, 50).Count(i => limits.Take(RequestKind.Enrolment, IPAddress.Parse($"2001:db8::{i:x}")) is null));
        Assert.Null(limits.Take(RequestKind.Enrolment, IPAddress.Parse("2001:db8:0:1::1")));
    }

    [Fact]
    public void A_flood_from_more_addresses_than_are_counted_limits_itself_and_keeps_memory_bounded()
    {
        var time = new FakeTime();
        var limits = new RequestLimits(Options with { Time = time });
        for (var i = 0; i < RequestLimits.MaxAddresses; i++)
            limits.Take(RequestKind.Reading, Address(i));
        IPAddress[] more = [.. Enumerable.Range(RequestLimits.MaxAddresses, 200_000).Select(Address)];
        var before = GC.GetAllocatedBytesForCurrentThread(); // other tests run beside this one

        var taken = more.Count(address => limits.Take(RequestKind.Reading, address) is null);

        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1_000_000);
        Assert.Equal(5, taken); // all the rest share one bucket
        Assert.Null(limits.Take(RequestKind.Reading, Address(7))); // who was there before is counted apart as ever
        time.Advance(TimeSpan.FromMinutes(1));
        Assert.Null(limits.Take(RequestKind.Reading, Address(999_999))); // the table has room again
    }

    [Fact]
    public async Task Every_endpoint_that_asks_for_no_proof_has_a_kind_and_so_a_limit()
    {
        await using var server = await RunningServer.StartAsync();
        var open = server.Get<Microsoft.AspNetCore.Routing.EndpointDataSource>().Endpoints.Where(endpoint => endpoint.Metadata.GetMetadata<Microsoft.AspNetCore.Authorization.IAllowAnonymous>() is not null).ToArray();

        Assert.InRange(open.Length, 7, 100);
        Assert.All(open, endpoint => Assert.True(endpoint.Metadata.GetMetadata<RequestKind>() is not null, $"{endpoint.DisplayName} has no RequestKind"));
    }

    [Fact]
    public async Task Readers_beyond_this_machine_are_limited_by_the_address_that_a_trusted_proxy_names()
    {
        await using var server = await RunningServer.StartAsync(options => options with { ReadingLimit = new(3, 100), TrustedProxies = [IPNetwork.Parse("127.0.0.1/32")] });
        async Task<HttpResponseMessage> ReadAsync(string path, string forwarded)
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, path) { Headers = { { "X-Forwarded-For", forwarded } } };
            return await server.Anyone.SendAsync(request);
        }

        foreach (var path in (string[])["healthz", "readyz", "repository/metadata/timestamp.json"])
            (await ReadAsync(path, "1.2.3.4, 203.0.113.7")).EnsureSuccessStatusCode().Dispose(); // what stands before the last hop anybody could have written
        Assert.Equal("/problems/too-many-requests", (await ReadAsync("repository/metadata/timestamp.json", "9.9.9.9, 203.0.113.7").ProblemAsync(429)).Type);
        Assert.Equal("/problems/too-many-requests", (await ReadAsync("nothing/here", "203.0.113.7").ProblemAsync(429)).Type);
        using var limited = await ReadAsync("v1/authority/roots.pem", "203.0.113.7");
        Assert.Equal((HttpStatusCode.TooManyRequests, 20), (limited.StatusCode, (int)limited.Headers.RetryAfter!.Delta!.Value.TotalSeconds));
        (await ReadAsync("healthz", "203.0.113.8")).EnsureSuccessStatusCode().Dispose();
    }

    [Fact]
    public async Task Polls_that_find_nothing_new_count_as_other_reading_does()
    {
        await using var server = await RunningServer.StartAsync(options => options with { ReadingLimit = new(2, 100), TrustedProxies = [IPNetwork.Parse("127.0.0.1/32")] });
        async Task<HttpResponseMessage> PollAsync(string forwarded)
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, "repository/metadata/timestamp.json") { Headers = { { "X-Forwarded-For", forwarded } } };
            request.Headers.IfNoneMatch.Add((await server.Anyone.GetAsync("repository/metadata/timestamp.json")).Headers.ETag!);
            return await server.Anyone.SendAsync(request);
        }

        foreach (var _ in (int[])[1, 2])
            Assert.Equal(HttpStatusCode.NotModified, (await PollAsync("203.0.113.7")).StatusCode);
        Assert.Equal("/problems/too-many-requests", (await PollAsync("203.0.113.7").ProblemAsync(429)).Type);
        Assert.Equal(HttpStatusCode.NotModified, (await PollAsync("203.0.113.8")).StatusCode);
    }

    [Fact]
    public async Task Proofs_that_fail_are_limited_and_those_that_hold_pass_all_the_same()
    {
        await using var server = await RunningServer.StartAsync(options => options with { FailingLimit = new(2, 100) });
        var device = await server.EnrolAsync("till-1");
        using var guess = new HttpRequestMessage(HttpMethod.Get, "v1/devices") { Headers = { Authorization = new("Bearer", "guess") } };

        await device.PostAsync(new([]), DeviceKey.Create()).ProblemAsync(401);
        await server.Anyone.SendAsync(guess).ProblemAsync(401);
        using var limited = await device.PostAsync(new([]), DeviceKey.Create());
        Assert.Equal(HttpStatusCode.TooManyRequests, limited.StatusCode);
        Assert.NotNull(limited.Headers.RetryAfter);
        (await device.PostAsync(new([]))).EnsureSuccessStatusCode().Dispose();
        await server.Client.ListDevicesAsync();
    }

    [Fact]
    public async Task In_the_clear_beyond_this_machine_only_what_anybody_may_read_is_served()
    {
        // The proxy is trusted for nothing here: a caller that is not on this machine is played by an address that the server takes for one.
        var callers = new CallerAddresses(Options);
        var context = new Microsoft.AspNetCore.Http.DefaultHttpContext { Connection = { RemoteIpAddress = Address(1) } };
        Assert.False(callers.IsPrivate(context));
        context.Request.Scheme = "https";
        Assert.True(callers.IsPrivate(context));
        context.Request.Scheme = "http";
        context.Connection.RemoteIpAddress = IPAddress.Parse("::ffff:127.0.0.1");
        Assert.True(callers.IsPrivate(context));
        Assert.True(new CallerAddresses(Options with { TrustedProxies = [IPNetwork.Parse("10.0.0.0/8")] }).IsPrivate(new Microsoft.AspNetCore.Http.DefaultHttpContext { Connection = { RemoteIpAddress = Address(1) } }));

        if (Own() is not { } own) // no address but loopback on this machine
            return;
        await using var server = await RunningServer.StartAsync(options => options with { Listen = $"http://{own}:0" });
        (await server.Anyone.GetAsync("healthz")).EnsureSuccessStatusCode().Dispose();
        Assert.Equal("/problems/plain-http", (await server.Operator.GetAsync("v1/devices").ProblemAsync(403)).Type);
        Assert.Equal("/problems/plain-http", (await new TestDevice(server, "till-1").EnrolAsync("any").ProblemAsync(403)).Type);
        await using var allowed = await RunningServer.StartAsync(options => options with { Listen = $"http://{own}:0", AllowPlainHttp = true });
        await allowed.Client.ListDevicesAsync();
    }

    static IPAddress? Own() => System.Net.NetworkInformation.NetworkInterface.GetAllNetworkInterfaces().SelectMany(card => card.GetIPProperties().UnicastAddresses).Select(unicast => unicast.Address)
        .FirstOrDefault(address => address.AddressFamily == System.Net.Sockets.AddressFamily.InterNetwork && !IPAddress.IsLoopback(address));
}
