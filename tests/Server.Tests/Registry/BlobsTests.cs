using System.Net;
using System.Net.Http.Headers;
using System.Text;
using Coppice.Trust;

namespace Coppice.Server.Tests.Registry;

public sealed class BlobsTests : IAsyncLifetime
{
    static readonly byte[] Content = Encoding.UTF8.GetBytes("0123456789");
    static readonly Sha256Digest Digest = Sha256Digest.Of(Content);

    RunningServer server = null!;

    public async Task InitializeAsync() => server = await RunningServer.StartAsync(options => options with { MaxBlobBytes = 1000 });

    public async Task DisposeAsync() => await server.DisposeAsync();

    Task<HttpResponseMessage> PutAsync(byte[] content, string? digest = null) => server.Operator.PutAsync($"v1/blobs/{digest ?? Digest.ToString()}", new ByteArrayContent(content));

    static string Folder(RunningServer server) => Path.Combine(server.Plane.Data, "repository");

    [Fact]
    public async Task A_blob_is_stored_once_found_and_served()
    {
        Assert.False(await server.Client.HasBlobAsync(Digest));
        Assert.Equal(HttpStatusCode.Created, (await PutAsync(Content)).StatusCode);
        Assert.Equal(HttpStatusCode.NoContent, (await PutAsync(Content)).StatusCode);
        Assert.True(await server.Client.HasBlobAsync(Digest));

        using var head = await server.Operator.SendAsync(new(HttpMethod.Head, $"v1/blobs/{Digest}"));
        Assert.Equal((10L, $"\"{Digest}\""), (head.Content.Headers.ContentLength, head.Headers.ETag!.Tag));
        Assert.Equal(Content, await server.Anyone.GetByteArrayAsync("repository/" + RepositoryLayout.BlobFile(Digest)));
    }

    [Fact]
    public async Task Wrong_bytes_a_bad_name_no_length_and_too_many_bytes_leave_nothing_behind()
    {
        Assert.Equal("/problems/wrong-blob", (await PutAsync([1, 2, 3]).ProblemAsync(400)).Type);
        Assert.Equal("/problems/validation", (await PutAsync(Content, "abc").ProblemAsync(400)).Type);
        Assert.Equal("/problems/too-large", (await PutAsync(new byte[1001]).ProblemAsync(413)).Type);
        using var chunked = new HttpRequestMessage(HttpMethod.Put, $"v1/blobs/{Digest}") { Content = new ByteArrayContent(Content) };
        chunked.Headers.TransferEncodingChunked = true;
        Assert.Equal("/problems/length-required", (await server.Operator.SendAsync(chunked).ProblemAsync(411)).Type);

        Assert.False(await server.Client.HasBlobAsync(Digest));
        Assert.Empty(Directory.GetFiles(Path.Combine(Folder(server), ".partial")));
    }

    [Fact]
    public async Task Ranges_tags_and_lifetimes_are_those_of_a_file_that_never_changes()
    {
        await PutAsync(Content);
        var path = "repository/" + RepositoryLayout.BlobFile(Digest);

        using var part = await server.Anyone.SendAsync(new(HttpMethod.Get, path) { Headers = { Range = new RangeHeaderValue(2, 4) } });
        Assert.Equal((HttpStatusCode.PartialContent, "234", "bytes 2-4/10"), (part.StatusCode, await part.Content.ReadAsStringAsync(), part.Content.Headers.ContentRange!.ToString()));
        Assert.Equal("public, max-age=31536000, immutable", part.Headers.CacheControl!.ToString());
        Assert.Equal(new EntityTagHeaderValue($"\"{Digest}\""), part.Headers.ETag);

        using var rest = await server.Anyone.SendAsync(new(HttpMethod.Get, path) { Headers = { Range = new RangeHeaderValue(7, null), IfRange = new(new EntityTagHeaderValue($"\"{Digest}\"")) } });
        Assert.Equal("789", await rest.Content.ReadAsStringAsync());
        using var changed = await server.Anyone.SendAsync(new(HttpMethod.Get, path) { Headers = { Range = new RangeHeaderValue(7, null), IfRange = new(new EntityTagHeaderValue("\"other\"")) } });
        Assert.Equal((HttpStatusCode.OK, 10), (changed.StatusCode, (await changed.Content.ReadAsByteArrayAsync()).Length));
        using var beyond = await server.Anyone.SendAsync(new(HttpMethod.Get, path) { Headers = { Range = new RangeHeaderValue(10, null) } });
        Assert.Equal(HttpStatusCode.RequestedRangeNotSatisfiable, beyond.StatusCode);
        using var known = await server.Anyone.SendAsync(new(HttpMethod.Get, path) { Headers = { IfNoneMatch = { new($"\"{Digest}\"") } } });
        Assert.Equal((HttpStatusCode.NotModified, 0), (known.StatusCode, (await known.Content.ReadAsByteArrayAsync()).Length));
        using var head = await server.Anyone.SendAsync(new(HttpMethod.Head, path));
        Assert.Equal((HttpStatusCode.OK, 10L), (head.StatusCode, head.Content.Headers.ContentLength));
    }
}
