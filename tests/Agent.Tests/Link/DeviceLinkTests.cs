using System.Collections.Immutable;
using System.Text;
using Coppice.Agent.Link;
using Coppice.Agent.Storage;
using Coppice.Agent.Tests.Storage;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Trust;

namespace Coppice.Agent.Tests.Link;

public sealed class DeviceLinkTests : IDisposable
{
    static readonly ImmutableDictionary<string, string> Facts = ImmutableDictionary<string, string>.Empty.Add("os", "linux").Add("ram.free", "1");

    readonly LossyDisk disk = new(1);
    readonly HttpClient http = new(new SocketsHttpHandler { AllowAutoRedirect = false });
    readonly ReportQueue queue;

    public DeviceLinkTests()
    {
        queue = new(disk);
        queue.Confirm(0); // the server has said that it has nothing yet
    }

    public void Dispose() => http.Dispose();

    static Task JsonAsync(System.Net.Sockets.NetworkStream stream, string json) =>
        HostileServer.SayAsync(stream, $"200 OK\r\nContent-Type: application/json\r\nContent-Length: {Encoding.UTF8.GetByteCount(json)}", Encoding.UTF8.GetBytes(json));

    DeviceLink Link(Uri address, DeviceIdentity? identity = null) =>
        new(() => http, address, new JoinToken("secret_with_lines", Sha256Digest.Of([1])), identity ?? DeviceIdentity.OpenOrMake(disk, null), disk, queue, new(disk, "press-7", () => null), TimeProvider.System);

    [Fact]
    public async Task A_device_enrols_once_with_the_key_it_made_and_takes_no_label_that_nobody_signed()
    {
        var identity = DeviceIdentity.OpenOrMake(disk, "press-7");
        await using var server = new HostileServer((_, stream, _) => JsonAsync(stream, """{"device":"press-7","labels":{"site":"oslo"}}"""));

        Assert.True(await Link(server.Address, identity).EnrolAsync(Facts, default));
        Assert.False(await Link(server.Address).EnrolAsync(Facts, default));

        Assert.StartsWith("POST /v1/enrol ", server.Requests.Single(), StringComparison.Ordinal);
        Assert.Equal(identity.Key.Public, DeviceIdentity.OpenOrMake(disk, "another").Key.Public);
        Assert.Null(disk.LengthOf(DataFolder.Passport));
    }

    [Fact]
    public async Task Reports_are_sent_until_confirmed_and_survive_any_answer()
    {
        queue.Take(Shop.Model, [new(1, DateTimeOffset.UnixEpoch, ReportKind.Settled, Shop.Model, SemanticVersion.Parse("1.0.0"))]);
        var answers = new Queue<Func<System.Net.Sockets.NetworkStream, Task>>(
        [
            stream => HostileServer.SayAsync(stream, "503 Busy\r\nRetry-After: 9\r\nContent-Length: 0", []),
            stream => HostileServer.SayAsync(stream, "200 OK\r\nContent-Type: text/html\r\nContent-Length: 14", "<h1>Hello</h1>"u8.ToArray()),
            stream => JsonAsync(stream, """{"through":0}"""),
            stream => HostileServer.SayAsync(stream, "400 Bad\r\nContent-Length: 20", "{\"detail\":\"too odd\"}"u8.ToArray()),
            stream => HostileServer.SayAsync(stream, "200 OK", new byte[1_200_000]),
            stream => JsonAsync(stream, """{"through":1}"""),
        ]);
        await using var server = new HostileServer((_, stream, _) => answers.Dequeue()(stream));
        var identity = DeviceIdentity.OpenOrMake(disk, null);
        var link = Link(server.Address, identity);
        async Task<LinkException> Fails() => await Assert.ThrowsAsync<LinkException>(() => link.ReportAsync(Facts, default));

        Assert.Equal(TimeSpan.FromSeconds(9), (await Fails()).After);
        Assert.Contains("not a Coppice server's", (await Fails()).Message, StringComparison.Ordinal);
        Assert.Contains("did not take 1 to 1", (await Fails()).Message, StringComparison.Ordinal);
        Assert.Contains("too odd", (await Fails()).Message, StringComparison.Ordinal);
        Assert.Contains("more than", (await Fails()).Message, StringComparison.Ordinal);
        Assert.Equal(1, queue.Waiting);
        await link.ReportAsync(Facts, default);

        Assert.Equal(0, queue.Waiting);
        Assert.All(server.Requests, head => Assert.Contains($"keyid=\"{identity.Device}\"", head, StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_mirror_that_cannot_ask_its_server_confirms_nothing_and_numbers_nothing()
    {
        disk.Delete(DataFolder.Reports);
        var lost = new ReportQueue(disk); // a queue that does not know how far the server has got
        lost.Take(Shop.Model, [new(1, DateTimeOffset.UnixEpoch, ReportKind.Settled, Shop.Model, SemanticVersion.Parse("1.0.0"))]);
        await using var server = new HostileServer((_, stream, _) => JsonAsync(stream, "{}"));
        var identity = DeviceIdentity.OpenOrMake(disk, null);

        await new DeviceLink(() => http, server.Address, null, identity, disk, lost, new(disk, identity.Device, () => null), TimeProvider.System).ReportAsync(Facts, default);

        Assert.Equal(1, lost.Waiting);
        Assert.Empty(lost.Next());
        await Assert.ThrowsAsync<LinkException>(async () =>
        {
            queue.Take(Shop.Model, [new(1, DateTimeOffset.UnixEpoch, ReportKind.Settled, Shop.Model, SemanticVersion.Parse("1.0.0"))]);
            await Link(server.Address, identity).ReportAsync(Facts, default);
        });
    }

    [Fact]
    public async Task A_server_that_stops_after_its_headers_is_given_up()
    {
        http.Timeout = TimeSpan.FromMilliseconds(300);
        await using var server = new HostileServer(async (_, stream, closing) =>
        {
            await HostileServer.SayAsync(stream, "200 OK\r\nContent-Type: application/json\r\nContent-Length: 100", "{"u8.ToArray());
            await Task.Delay(Timeout.Infinite, closing);
        });

        var gaveUp = await Assert.ThrowsAsync<LinkException>(() => Link(server.Address).ReportAsync(Facts, default));

        Assert.Contains("did not answer within", gaveUp.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Reports_with_long_reasons_go_in_batches_that_the_server_takes()
    {
        var why = string.Concat(Enumerable.Repeat("\"é", 1000)); // each character takes six bytes in JSON
        queue.Take(Shop.Model, [.. Enumerable.Range(1, 40).Select(i => new Report(i, DateTimeOffset.UnixEpoch, ReportKind.Refused, Shop.Model, SemanticVersion.Parse("1.0.0")) { Why = why })]);
        var through = 0L;
        await using var server = new HostileServer((head, stream, _) =>
        {
            var length = int.Parse(head.Split('\n').Single(line => line.StartsWith("Content-Length:", StringComparison.OrdinalIgnoreCase)).Split(':')[1], System.Globalization.CultureInfo.InvariantCulture);
            through = Math.Min(40, through + Math.Max(1, length / 13_000)); // takes no more than came
            return length > ReportBatch.MaxBytes
                ? HostileServer.SayAsync(stream, "413 Too Large\r\nContent-Length: 0", [])
                : JsonAsync(stream, $$$"""{"through":{{{through}}}}""");
        });

        await Link(server.Address).ReportAsync(Facts, default);

        Assert.Equal(0, queue.Waiting);
        Assert.True(server.Requests.Count > 1);
    }
}
