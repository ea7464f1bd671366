using System.Net.Sockets;
using Coppice.Agent.Link;
using Coppice.Agent.Slots;
using Coppice.Agent.Storage;
using Coppice.Agent.Tests.Storage;
using Coppice.Registry;
using Coppice.Trust;

namespace Coppice.Agent.Tests.Link;

public sealed class WholeBlobTests : IDisposable
{
    readonly LossyDisk disk = new(1);
    readonly byte[] bytes = [.. Enumerable.Range(0, 100_000).Select(i => (byte)(i * 7 + i / 256))];
    readonly HttpClient http = new(new SocketsHttpHandler { AllowAutoRedirect = false });
    readonly ReleaseFile file;
    long arrived;

    public WholeBlobTests() => file = new("model.bin", Sha256Digest.Of(bytes), bytes.Length);

    public void Dispose() => http.Dispose();

    FilePuller Puller(Uri address, TimeSpan? stall = null) => new(disk, new(disk, 1 << 30),
        [new WholeBlob(disk, new HttpFiles(http, address), new(0, TimeProvider.System), stall ?? TimeSpan.FromSeconds(20), TimeProvider.System)]);

    async Task<string> TroubleAsync(Uri address, TimeSpan? stall = null) =>
        (await Assert.ThrowsAsync<LinkException>(() => Puller(address, stall).PullAsync(file, (_, read) => arrived += read, default))).Message;

    Task PullAsync(Uri address) => Puller(address).PullAsync(file, (_, read) => arrived += read, default);

    static int Offset(string head) => head.Split('\n').FirstOrDefault(line => line.StartsWith("Range:", StringComparison.OrdinalIgnoreCase)) is { } line
        ? int.Parse(line.Split('=')[1].TrimEnd('\r').TrimEnd('-'), System.Globalization.CultureInfo.InvariantCulture)
        : 0;

    Task ServeAsync(string head, NetworkStream stream) => Offset(head) is > 0 and var from
        ? HostileServer.SayAsync(stream, $"206 Partial Content\r\nETag: \"a\"\r\nContent-Range: bytes {from}-{bytes.Length - 1}/{bytes.Length}\r\nContent-Length: {bytes.Length - from}", bytes[from..])
        : HostileServer.SayAsync(stream, $"200 OK\r\nETag: \"a\"\r\nContent-Length: {bytes.Length}", bytes);

    [Theory]
    [InlineData("500 Oops", "text", "the server has trouble of its own")]
    [InlineData("404 Not Found", "", "there is no such file")]
    [InlineData("302 Found\r\nLocation: http://elsewhere.example/x", "", "elsewhere.example")]
    [InlineData("200 OK\r\nContent-Type: text/html\r\nContent-Length: 20", "<html>Log in</html> ", "text/html; 100000 are wanted")]
    [InlineData("200 OK\r\nContent-Encoding: gzip", "x", "gzip-encoded")]
    [InlineData("206 Partial Content\r\nContent-Range: bytes 5-9/10\r\nContent-Length: 5", "12345", "bytes from 0 of 100000 were asked for")]
    [InlineData("416 Range Not Satisfiable", "", "has no bytes from 0 on")]
    [InlineData("429 Slow Down\r\nRetry-After: 7", "", "fewer requests")]
    public async Task An_answer_that_is_not_the_blob_has_a_reason(string head, string body, string reason)
    {
        await using var server = new HostileServer((_, stream, _) => HostileServer.SayAsync(stream, head, System.Text.Encoding.ASCII.GetBytes(body)));
        Assert.Contains(reason, await TroubleAsync(server.Address), StringComparison.Ordinal);
        Assert.Null(disk.LengthOf(DataFolder.Blob(file.Digest)));
    }

    [Fact]
    public async Task Bytes_that_are_not_HTTP_have_a_reason()
    {
        await using var server = new HostileServer((_, stream, cancel) => stream.WriteAsync("SSH-2.0-no\r\n"u8.ToArray(), cancel).AsTask());
        Assert.Contains("was not reached", await TroubleAsync(server.Address), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Nobody_listening_has_a_reason()
    {
        var server = new HostileServer((_, _, _) => Task.CompletedTask);
        var address = server.Address;
        await server.DisposeAsync();
        Assert.Contains("was not reached", await TroubleAsync(address), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Of_a_body_without_end_only_what_is_wanted_is_read()
    {
        await using var server = new HostileServer(async (_, stream, cancel) =>
        {
            await HostileServer.SayAsync(stream, "200 OK", []);
            while (!cancel.IsCancellationRequested)
                await stream.WriteAsync(bytes, cancel);
        });
        await PullAsync(server.Address);
        Assert.Equal(100_000, arrived);
        Assert.True(new BlobStore(disk, 1 << 30).Holds(file, default));
    }

    [Fact]
    public async Task A_body_of_no_said_length_whose_connection_stays_open_is_not_waited_for()
    {
        await using var server = new HostileServer(async (_, stream, cancel) =>
        {
            await HostileServer.SayAsync(stream, "200 OK", bytes);
            await Task.Delay(Timeout.Infinite, cancel).ContinueWith(_ => { }, TaskScheduler.Default);
        });
        await PullAsync(server.Address);
        Assert.True(new BlobStore(disk, 1 << 30).Holds(file, default));
    }

    [Theory]
    [InlineData(100_001)]
    [InlineData(99_999)]
    [InlineData(0)]
    [InlineData(long.MaxValue)]
    public async Task A_said_length_that_is_not_the_signed_one_is_refused_before_a_byte_is_taken(long said)
    {
        await using var server = new HostileServer((_, stream, _) => HostileServer.SayAsync(stream, $"200 OK\r\nContent-Length: {said}", bytes));
        Assert.Contains("100000 are wanted", await TroubleAsync(server.Address), StringComparison.Ordinal);
        Assert.Equal(0, arrived);
    }

    [Fact]
    public async Task A_body_that_is_shorter_than_its_said_length_has_a_reason_and_is_gone_on_with()
    {
        await using (var liar = new HostileServer((_, stream, _) => HostileServer.SayAsync(stream, $"200 OK\r\nContent-Length: {bytes.Length}", bytes[..60_000])))
            Assert.Contains("after 60000 of 100000 bytes", await TroubleAsync(liar.Address), StringComparison.Ordinal);
        await using var honest = new HostileServer((head, stream, _) => ServeAsync(head, stream));
        arrived = 0;
        await PullAsync(honest.Address);
        Assert.Equal(40_000, arrived);
    }

    [Fact]
    public async Task A_body_that_stands_still_is_left_and_gone_on_with()
    {
        var first = true;
        await using var server = new HostileServer(async (head, stream, cancel) =>
        {
            if (!first)
            {
                await ServeAsync(head, stream);
                return;
            }

            first = false;
            await HostileServer.SayAsync(stream, $"200 OK\r\nETag: \"a\"\r\nContent-Length: {bytes.Length}", bytes[..40_000]);
            await Task.Delay(Timeout.Infinite, cancel).ContinueWith(_ => { }, TaskScheduler.Default);
        });
        // The stalled connection is still being served when the second comes; one listener serves one after the other.
        var reason = TroubleAsync(server.Address, TimeSpan.FromMilliseconds(300));
        Assert.Contains("stood still", await reason, StringComparison.Ordinal);
        Assert.Equal(40_000, disk.LengthOf(DataFolder.Part(file.Digest)));

        await using var honest = new HostileServer((head, stream, _) => ServeAsync(head, stream));
        arrived = 0;
        await PullAsync(honest.Address);
        Assert.Equal(60_000, arrived);
        Assert.Contains("If-Range: \"a\"", honest.Requests[0], StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(65_535)]
    [InlineData(65_536)]
    [InlineData(99_999)]
    public async Task It_goes_on_at_any_byte(int at)
    {
        await using var broken = new HostileServer((_, stream, _) => HostileServer.SayAsync(stream, $"200 OK\r\nContent-Length: {bytes.Length}", bytes[..at]));
        Assert.Contains("goes on from there", await TroubleAsync(broken.Address), StringComparison.Ordinal);

        await using var honest = new HostileServer((head, stream, _) => ServeAsync(head, stream));
        arrived = 0;
        await PullAsync(honest.Address);

        Assert.Equal(bytes.Length - at, arrived);
        Assert.True(new BlobStore(disk, 1 << 30).Holds(file, default));
    }

    [Fact]
    public async Task A_blob_that_changed_on_the_server_is_read_from_its_beginning()
    {
        disk.MakeFolder(DataFolder.Fetching);
        using (var part = disk.Append(DataFolder.Part(file.Digest)))
            part.Write(bytes.AsSpan(0, 500));
        await using var server = new HostileServer((_, stream, _) => HostileServer.SayAsync(stream, $"200 OK\r\nContent-Length: {bytes.Length}", bytes));

        await PullAsync(server.Address);

        Assert.Equal(bytes.Length, arrived);
    }

    [Fact]
    public async Task A_beginning_that_was_torn_on_this_disk_is_fetched_once_more_and_nobody_is_blamed()
    {
        disk.MakeFolder(DataFolder.Fetching);
        using (var part = disk.Append(DataFolder.Part(file.Digest)))
            part.Write(new byte[700]);
        await using var server = new HostileServer((head, stream, _) => ServeAsync(head, stream));

        await PullAsync(server.Address);

        Assert.Equal(2, server.Requests.Count);
        Assert.True(new BlobStore(disk, 1 << 30).Holds(file, default));
    }

    [Fact]
    public async Task Wrong_bytes_of_the_right_length_are_dropped()
    {
        await using var server = new HostileServer((_, stream, _) => HostileServer.SayAsync(stream, $"200 OK\r\nContent-Length: {bytes.Length}", new byte[bytes.Length]));
        Assert.Contains("damaged or lies", await TroubleAsync(server.Address), StringComparison.Ordinal);
        Assert.Null(disk.LengthOf(DataFolder.Part(file.Digest)));
    }

    [Fact]
    public async Task A_rate_is_kept_over_all_reads()
    {
        var time = new ManualTime();
        var rate = new RateLimit(1_000, time);
        await rate.TakeAsync(0, default);
        var first = rate.TakeAsync(500, default).AsTask();
        var second = rate.TakeAsync(500, default).AsTask();

        time.Advance(TimeSpan.FromMilliseconds(499));
        Assert.False(first.IsCompleted);
        time.Advance(TimeSpan.FromMilliseconds(1));
        await first;
        Assert.False(second.IsCompleted);
        time.Advance(TimeSpan.FromMilliseconds(500));
        await second;
    }
}
