using System.Net;
using Coppice.Agent.Link;
using Coppice.Protocol;
using Coppice.Trust;

namespace Coppice.Agent.Tests.Link;

/// <summary>A server that sends on for files, and the places it sends to.</summary>
public sealed class BlobRedirectsTests : IDisposable
{
    static readonly byte[] Bytes = [.. Enumerable.Range(0, 5_000).Select(i => (byte)(i * 31 + i / 256))];

    readonly ManualTime time = new();
    readonly RepositoryFile file = new("blobs/x", Bytes.Length, new("x", Sha256Digest.Of(Bytes), Bytes.Length));
    readonly List<HttpRequestMessage> asked = [];
    readonly List<HttpRequestMessage> askedElsewhere = [];
    readonly List<IDisposable> open = [];

    Func<HttpRequestMessage, HttpResponseMessage> elsewhere = Give;
    string location = "https://cdn.test/y?signature=secret";
    TimeSpan? life;

    public void Dispose() => open.ForEach(thing => thing.Dispose());

    HttpFiles Files(string repository = "https://coppice.test/repository/")
    {
        var server = new HttpClient(new Answering(asked, request =>
        {
            if (request.Headers.Contains(DirectRequest.Header))
                return Give(request);
            var answer = new HttpResponseMessage(HttpStatusCode.TemporaryRedirect) { Headers = { Location = new(location, UriKind.RelativeOrAbsolute) } };
            if (life is { } age)
                answer.Headers.CacheControl = new() { MaxAge = age };
            return answer;
        }));
        server.DefaultRequestHeaders.Add("Signature", "who the device is");
        var redirects = new BlobRedirects(new HttpClient(new Answering(askedElsewhere, request => elsewhere(request))), time);
        open.AddRange([server, redirects]);
        return new(server, new(repository), redirects);
    }

    static HttpResponseMessage Give(HttpRequestMessage request)
    {
        if (request.Headers.Range is not { Ranges: { Count: 1 } ranges } || ranges.Single() is not { } range)
            return new(HttpStatusCode.OK) { Content = new ByteArrayContent(Bytes) };
        var (from, to) = (range.From!.Value, range.To ?? Bytes.Length - 1);
        var part = new HttpResponseMessage(HttpStatusCode.PartialContent) { Content = new ByteArrayContent(Bytes[(int)from..(int)(to + 1)]) };
        part.Content.Headers.ContentRange = new(from, to, Bytes.Length);
        return part;
    }

    async Task<byte[]> ReadAsync(HttpFiles files, long offset = 0)
    {
        await using var body = await files.OpenAsync(file, offset, "\"a\"", default);
        using var all = new MemoryStream();
        await body.Body.CopyToAsync(all);
        return all.ToArray();
    }

    [Fact]
    public async Task The_bytes_come_from_where_the_server_sends_and_nothing_of_the_device_goes_there()
    {
        Assert.Equal(Bytes[100..], await ReadAsync(Files(), 100));

        var there = Assert.Single(askedElsewhere);
        Assert.Equal(("https://cdn.test/y?signature=secret", "bytes=100-", "\"a\""), (there.RequestUri!.AbsoluteUri, there.Headers.Range!.ToString(), there.Headers.IfRange!.ToString()));
        Assert.False(there.Headers.Contains("Signature"));
    }

    [Fact]
    public async Task Where_the_server_sent_is_asked_again_for_as_long_as_it_said()
    {
        life = TimeSpan.FromMinutes(30);
        var files = Files();
        await foreach (var body in files.RangesAsync(file, [new(10, 5), new(100, 50)], default))
            await body.DisposeAsync();
        await ReadAsync(files);
        Assert.Single(asked); // the first answer was the whole file, so ranges came one by one

        time.Advance(TimeSpan.FromMinutes(30));
        await ReadAsync(files);
        Assert.Equal(2, asked.Count);
    }

    [Fact]
    public async Task Without_a_word_of_how_long_the_server_is_asked_each_time()
    {
        var files = Files();
        await ReadAsync(files);
        await ReadAsync(files);
        Assert.Equal(2, asked.Count);
    }

    [Fact]
    public async Task An_address_that_ended_early_is_asked_for_again()
    {
        life = TimeSpan.FromHours(1);
        var files = Files();
        await ReadAsync(files);
        elsewhere = request => request.RequestUri!.Query.Contains("newer", StringComparison.Ordinal) ? Give(request) : new(HttpStatusCode.Forbidden);
        location = "https://cdn.test/y?newer";

        Assert.Equal(Bytes, await ReadAsync(files));
        Assert.DoesNotContain(asked, request => request.Headers.Contains(DirectRequest.Header));
    }

    [Theory]
    [InlineData("403")]
    [InlineData("404")]
    [InlineData("503")]
    [InlineData("unreachable")]
    [InlineData("round")]
    public async Task Where_the_other_place_fails_the_server_gives_the_bytes_and_the_place_rests(string how)
    {
        elsewhere = request => how switch
        {
            "unreachable" => throw new HttpRequestException("no route"),
            "round" => new(HttpStatusCode.Found) { Headers = { Location = request.RequestUri } },
            _ => new((HttpStatusCode)int.Parse(how, System.Globalization.CultureInfo.InvariantCulture)),
        };
        var files = Files();
        Assert.Equal(Bytes[7..], await ReadAsync(files, 7));
        var tried = askedElsewhere.Count;
        Assert.Equal(Bytes, await ReadAsync(files));
        Assert.Equal(tried, askedElsewhere.Count);

        elsewhere = Give;
        time.Advance(TimeSpan.FromMinutes(5));
        await ReadAsync(files);
        Assert.Equal(tried + 1, askedElsewhere.Count);
    }

    [Theory]
    [InlineData("http://cdn.test/y", "without TLS")]
    [InlineData("ftp://cdn.test/y", "without TLS")]
    [InlineData("https://name:word@cdn.test/y", "name or password")]
    [InlineData("https://127.0.0.1/admin", "on this machine")]
    [InlineData("https://localhost/admin", "on this machine")]
    [InlineData("https://169.254.169.254/latest/meta-data", "on this machine or its own link")]
    [InlineData("https://[::ffff:169.254.169.254]/", "on this machine or its own link")]
    [InlineData("https://[fe80::1]/", "on this machine or its own link")]
    public async Task Places_that_a_server_has_no_business_to_send_devices_to_are_not_asked(string to, string why)
    {
        location = to;
        var trouble = await Assert.ThrowsAsync<LinkException>(() => ReadAsync(Files()));
        Assert.Contains(why, trouble.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("word@", trouble.Message, StringComparison.Ordinal);
        Assert.Empty(askedElsewhere);
    }

    [Fact]
    public async Task A_server_without_TLS_may_send_to_a_place_without_it_and_to_a_place_of_its_own()
    {
        location = "/elsewhere/y";
        Assert.Equal(Bytes, await ReadAsync(Files("http://127.0.0.1:8420/repository/")));
        Assert.Equal("http://127.0.0.1:8420/elsewhere/y", Assert.Single(askedElsewhere).RequestUri!.AbsoluteUri);
    }

    sealed class Answering(List<HttpRequestMessage> asked, Func<HttpRequestMessage, HttpResponseMessage> answer) : HttpMessageHandler
    {
        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            asked.Add(request);
            return Task.FromResult(answer(request));
        }
    }
}
