using System.Net;
using System.Text;
using Coppice.Agent.Link;
using Coppice.Trust;

namespace Coppice.Agent.Tests.Link;

/// <summary>Ranges as servers of several kinds give them.</summary>
public sealed class HttpFilesTests
{
    static readonly byte[] Bytes = [.. Enumerable.Range(0, 50_000).Select(i => (byte)(i * 31 + i / 256))];
    static readonly ByteSpan[] Asked = [new(10, 5), new(100, 1_000), new(40_000, 10_000)];

    readonly List<string?> requests = [];
    readonly RepositoryFile file = new("blobs/x", Bytes.Length, new("x", Sha256Digest.Of(Bytes), Bytes.Length));

    HttpFiles Files(Func<ByteSpan[], HttpResponseMessage> answer) => new(new HttpClient(new Server(request =>
    {
        requests.Add(request.Headers.Range?.ToString());
        return answer([.. request.Headers.Range!.Ranges.Select(range => new ByteSpan(range.From!.Value, range.To!.Value - range.From.Value + 1))]);
    })), new("http://mirror.test/"));

    static HttpResponseMessage Single(ByteSpan range)
    {
        var answer = new HttpResponseMessage(HttpStatusCode.PartialContent) { Content = new ByteArrayContent(Bytes[(int)range.Offset..(int)range.End]) };
        answer.Content.Headers.ContentRange = new(range.Offset, range.End - 1, Bytes.Length);
        return answer;
    }

    static HttpResponseMessage Whole() => new(HttpStatusCode.OK) { Content = new ByteArrayContent(Bytes) };

    static HttpResponseMessage Multipart(IEnumerable<ByteSpan> ranges, Func<string, string>? change = null, string boundary = "00000000000000000001")
    {
        var body = new MemoryStream();
        void Say(string text) => body.Write(Encoding.Latin1.GetBytes(text));
        foreach (var range in ranges)
        {
            Say($"\r\n--{boundary}\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes {range.Offset}-{range.End - 1}/{Bytes.Length}\r\n\r\n");
            body.Write(Bytes, (int)range.Offset, (int)range.Length);
        }

        Say($"\r\n--{boundary}--\r\n");
        var bytes = change is null ? body.ToArray() : Encoding.Latin1.GetBytes(change(Encoding.Latin1.GetString(body.ToArray())));
        var answer = new HttpResponseMessage(HttpStatusCode.PartialContent) { Content = new ByteArrayContent(bytes) };
        answer.Content.Headers.TryAddWithoutValidation("Content-Type", $"multipart/byteranges; boundary={boundary}");
        return answer;
    }

    async Task<byte[]> ReadAsync(HttpFiles files, IReadOnlyList<ByteSpan>? ranges = null)
    {
        var got = new MemoryStream();
        await foreach (var body in files.RangesAsync(file, ranges ?? Asked, default))
        {
            await using (body)
            {
                var bytes = new byte[body.Length!.Value];
                await body.Body.ReadExactlyAsync(bytes);
                Assert.Equal(Bytes[(int)body.Offset..(int)(body.Offset + bytes.Length)], bytes);
                got.Write(bytes);
            }
        }

        return got.ToArray();
    }

    static byte[] Wanted => [.. Asked.SelectMany(range => Bytes[(int)range.Offset..(int)range.End])];

    [Fact]
    public async Task Several_ranges_come_with_one_answer_where_the_server_gives_them()
    {
        Assert.Equal(Wanted, await ReadAsync(Files(ranges => Multipart(ranges))));
        Assert.Equal("bytes=10-14, 100-1099, 40000-49999", Assert.Single(requests));
    }

    [Fact]
    public async Task A_quoted_boundary_is_a_boundary() => Assert.Equal(Wanted, await ReadAsync(Files(ranges =>
    {
        var answer = Multipart(ranges, boundary: "a b");
        answer.Content.Headers.Remove("Content-Type");
        answer.Content.Headers.TryAddWithoutValidation("Content-Type", "multipart/byteranges; boundary=\"a b\"");
        return answer;
    })));

    [Theory]
    [InlineData("whole")] // as ASP.NET Core does
    [InlineData("first")]
    [InlineData("416")]
    [InlineData("400")]
    [InlineData("431")]
    public async Task Where_it_does_not_they_come_one_after_the_other_from_then_on(string how)
    {
        var files = Files(ranges => ranges.Length == 1 ? Single(ranges[0]) : how switch
        {
            "whole" => Whole(),
            "first" => Single(ranges[0]),
            _ => new((HttpStatusCode)int.Parse(how, System.Globalization.CultureInfo.InvariantCulture)),
        });
        Assert.Equal(Wanted, await ReadAsync(files));
        Assert.Equal(Wanted, await ReadAsync(files));
        Assert.Equal(1 + 3 + 3, requests.Count);
    }

    [Fact]
    public async Task A_server_without_ranges_is_said_to_have_none()
    {
        var trouble = await Assert.ThrowsAsync<LinkException>(() => ReadAsync(Files(_ => Whole())));
        Assert.True(trouble.Lasting);
        Assert.Contains("gives no ranges", trouble.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Of_very_many_ranges_some_are_asked_for_at_a_time()
    {
        ByteSpan[] many = [.. Enumerable.Range(0, 150).Select(i => new ByteSpan(i * 100, 10))];
        await ReadAsync(Files(ranges => Multipart(ranges)), many);
        Assert.Equal(3, requests.Count);
        Assert.All(requests, request => Assert.InRange(request!.Length, 1, 2_000));
    }

    [Fact]
    public async Task Neighbours_that_the_server_put_together_are_taken_together()
    {
        var seen = new List<(long, long?)>();
        await foreach (var body in Files(ranges => Multipart([new(10, 1_090), ranges[2]])).RangesAsync(file, Asked, default))
            seen.Add((body.Offset, body.Length));
        Assert.Equal([(10L, 1_090L), (40_000L, 10_000L)], seen);
    }

    [Fact]
    public async Task A_part_that_is_not_read_to_its_end_is_passed_over()
    {
        var offsets = new List<long>();
        await foreach (var body in Files(ranges => Multipart(ranges)).RangesAsync(file, Asked, default))
            offsets.Add(body.Offset);
        Assert.Equal(Asked.Select(range => range.Offset), offsets);
    }

    [Theory]
    [InlineData("Content-Range: bytes 10-14/50000", "X: 1")] // no range
    [InlineData("bytes 10-14/50000", "bytes 10-14/999")] // of another file
    [InlineData("bytes 10-14/50000", "bytes 10-60000/60001")]
    [InlineData("bytes 10-14/50000", "bytes 10-12/50000")] // it goes on after its range
    [InlineData("bytes 10-14/50000", "bytes */50000")]
    [InlineData("\r\n--00000000000000000001\r\n", "\r\n--other\r\n")]
    public async Task An_answer_of_several_ranges_in_no_known_form_has_a_reason(string part, string change)
    {
        var trouble = await Assert.ThrowsAsync<LinkException>(() => ReadAsync(Files(ranges => Multipart(ranges, text => text.Replace(part, change, StringComparison.Ordinal)))));
        Assert.Contains("several ranges", trouble.Message, StringComparison.Ordinal);
        Assert.True(trouble.Lasting);
    }

    [Fact]
    public async Task A_head_without_end_is_cut()
    {
        var trouble = await Assert.ThrowsAsync<LinkException>(() => ReadAsync(Files(ranges => Multipart(ranges, text => text.Replace("Content-Type: ", "Content-Type: " + new string('x', 100_000), StringComparison.Ordinal)))));
        Assert.Contains("too long a line", trouble.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_answer_of_several_ranges_may_break_off_anywhere_and_has_a_reason()
    {
        for (var length = 0; length < 1_500; length += 7)
            await Assert.ThrowsAnyAsync<Exception>(() => ReadAsync(Files(ranges => Multipart(ranges, text => text[..length])))).ContinueWith(
                done => Assert.True(done.Result is LinkException or EndOfStreamException, $"{length}: {done.Result}"), TaskScheduler.Default);
    }

    [Fact]
    public async Task An_answer_without_any_of_the_ranges_is_not_asked_for_for_ever()
    {
        var trouble = await Assert.ThrowsAsync<LinkException>(() => ReadAsync(Files(_ => Multipart([]))));
        Assert.True(trouble.Lasting);
        Assert.InRange(requests.Count, 1, 2);
    }

    [Fact]
    public async Task A_small_file_that_is_not_there_is_null_and_a_long_one_is_refused()
    {
        var http = new HttpClient(new Server(request => request.RequestUri!.AbsolutePath.EndsWith('0') ? new(HttpStatusCode.NotFound) : Whole()));
        var files = new HttpFiles(http, new("http://mirror.test/"));
        Assert.Null(await files.ReadAsync("index/0", 100, default));
        Assert.Equal(Bytes, await files.ReadAsync("index/1", Bytes.Length, default));
        await Assert.ThrowsAsync<LinkException>(() => files.ReadAsync("index/1", Bytes.Length - 1, default));
    }

    sealed class Server(Func<HttpRequestMessage, HttpResponseMessage> answer) : HttpMessageHandler
    {
        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken) => Task.FromResult(answer(request));
    }
}
