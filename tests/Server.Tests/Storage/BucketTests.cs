using System.Net;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using Coppice.Server.Registry;
using Coppice.Server.Storage;
using Coppice.Server.Trust;
using Coppice.Tests;
using Coppice.Trust;

namespace Coppice.Server.Tests.Storage;

public sealed class BucketTests : IAsyncLifetime
{
    static BucketTests()
    {
        // As an operator gives them; the store knows this pair.
        Environment.SetEnvironmentVariable("AWS_ACCESS_KEY_ID", "S3RVER");
        Environment.SetEnvironmentVariable("AWS_SECRET_ACCESS_KEY", "S3RVER");
    }

    static readonly HttpClient Http = new();

    Peer peer = null!;
    Uri store = null!;

    BucketAddress Address => BucketAddress.TryParse($"s3://models/fleet-1?endpoint={store}", out var address, out var problem) ? address : throw new InvalidOperationException(problem);

    public async Task InitializeAsync()
    {
        peer = await Peer.StartAsync("object-store.mjs");
        store = new($"http://127.0.0.1:{peer.Ready.GetProperty("port").GetInt32()}/");
    }

    public async Task DisposeAsync() => await peer.DisposeAsync();

    async Task TellAsync(string what) => (await Http.PostAsync(new Uri(store, $"-/{what}"), null)).EnsureSuccessStatusCode();

    Task<RunningServer> StartAsync() => RunningServer.StartAsync(options => options with { Bucket = Address });

    [Fact]
    public async Task A_release_is_published_served_whole_and_in_ranges_and_patched_from_the_bucket()
    {
        await using var server = await StartAsync();
        await server.PublishAsync("1.0.0");
        var (_, blob) = RunningServer.MakeRelease("1.0.0");
        var path = "repository/" + RepositoryLayout.BlobFile(Sha256Digest.Of(blob));

        Assert.Equal(blob, await server.Anyone.GetByteArrayAsync(path));
        using var part = new HttpRequestMessage(HttpMethod.Get, path) { Headers = { Range = new(3, 9) } };
        using var answer = await server.Anyone.SendAsync(part);
        Assert.Equal((HttpStatusCode.PartialContent, $"bytes 3-9/{blob.Length}"), (answer.StatusCode, answer.Content.Headers.ContentRange!.ToString()));
        Assert.Equal(blob[3..10], await answer.Content.ReadAsByteArrayAsync());
        Assert.True(answer.Headers.CacheControl!.ToString().Contains("immutable", StringComparison.Ordinal));
        using var same = new HttpRequestMessage(HttpMethod.Get, path) { Headers = { IfNoneMatch = { EntityTagHeaderValue.Parse(answer.Headers.ETag!.ToString()) } } };
        Assert.Equal(HttpStatusCode.NotModified, (await server.Anyone.SendAsync(same)).StatusCode);
        Assert.False(Directory.Exists(Path.Combine(server.Plane.Data, "repository", "blobs"))); // nothing of it on this disk
        Assert.Empty(Directory.GetFiles(Path.Combine(server.Plane.Data, "spool")));
    }

    [Fact]
    public async Task Devices_are_sent_to_signed_addresses_for_files_and_for_nothing_else()
    {
        await using var server = await RunningServer.StartAsync(options => options with { Bucket = Address, SignedBlobAddresses = true });
        await server.PublishAsync("1.0.0");
        var (_, blob) = RunningServer.MakeRelease("1.0.0");
        var path = "repository/" + RepositoryLayout.BlobFile(Sha256Digest.Of(blob));
        using var device = new HttpClient(new SocketsHttpHandler { AllowAutoRedirect = false }) { BaseAddress = server.Anyone.BaseAddress };

        using var sent = await device.GetAsync(path);
        Assert.Equal(HttpStatusCode.TemporaryRedirect, sent.StatusCode);
        Assert.Equal("max-age=1800, private", sent.Headers.CacheControl!.ToString());
        Assert.Equal(store.Authority, sent.Headers.Location!.Authority);
        Assert.Matches("X-Amz-Expires=(3600|3599)&.*X-Amz-Signature=[0-9a-f]{64}", sent.Headers.Location.Query);
        using var part = new HttpRequestMessage(HttpMethod.Get, sent.Headers.Location) { Headers = { Range = new(3, 9) } };
        using var answer = await Http.SendAsync(part);
        Assert.Equal(HttpStatusCode.PartialContent, answer.StatusCode);
        Assert.Equal(blob[3..10], await answer.Content.ReadAsByteArrayAsync());

        using var direct = new HttpRequestMessage(HttpMethod.Get, path) { Headers = { { "Coppice-Direct", "1" } } };
        Assert.Equal(blob, await (await device.SendAsync(direct)).Content.ReadAsByteArrayAsync());
        Assert.Equal(HttpStatusCode.OK, (await device.GetAsync("repository/metadata/timestamp.json")).StatusCode);
        Assert.Equal(HttpStatusCode.NotFound, (await device.GetAsync("repository/" + RepositoryLayout.BlobFile(Sha256Digest.Of("none"u8)))).StatusCode);
    }

    [Fact]
    public async Task Devices_are_sent_to_a_CDN_and_the_CDN_is_not()
    {
        await using var server = await RunningServer.StartAsync(options => options with { BlobCdn = new("https://cdn.example.org/coppice/") });
        await server.PublishAsync("1.0.0");
        var (_, blob) = RunningServer.MakeRelease("1.0.0");
        var file = RepositoryLayout.BlobFile(Sha256Digest.Of(blob));
        using var device = new HttpClient(new SocketsHttpHandler { AllowAutoRedirect = false }) { BaseAddress = server.Anyone.BaseAddress };

        using var sent = await device.GetAsync("repository/" + file);
        Assert.Equal((HttpStatusCode.TemporaryRedirect, new Uri("https://cdn.example.org/coppice/" + file)), (sent.StatusCode, sent.Headers.Location));
        Assert.Equal("Coppice-Direct", sent.Headers.Vary.ToString());
        using var pull = new HttpRequestMessage(HttpMethod.Get, "repository/" + file) { Headers = { { "Coppice-Direct", "1" } } };
        Assert.Equal(blob, await (await device.SendAsync(pull)).Content.ReadAsByteArrayAsync());
    }

    [Fact]
    public async Task A_store_that_refuses_is_told_of_and_nothing_half_done_is_left()
    {
        await using var server = await StartAsync();
        var (_, blob) = RunningServer.MakeRelease("1.0.0");
        var digest = Sha256Digest.Of(blob);

        await TellAsync("refuse");
        var refused = await server.Operator.PutAsync($"v1/blobs/{digest}", new ByteArrayContent(blob)).ProblemAsync(503);
        Assert.Equal("/problems/blobs-unavailable", refused.Type);
        Assert.Contains("s3://models/fleet-1/", refused.Detail);
        Assert.Contains("The bucket is full", refused.Detail);
        Assert.Null(server.Get<Repository>().Tree.BlobLength(digest));
        Assert.Empty(Directory.GetFiles(Path.Combine(server.Plane.Data, "spool")));

        await TellAsync("take");
        Assert.Equal(HttpStatusCode.Created, (await server.Operator.PutAsync($"v1/blobs/{digest}", new ByteArrayContent(blob))).StatusCode);
        Assert.Equal(HttpStatusCode.NoContent, (await server.Operator.PutAsync($"v1/blobs/{digest}", new ByteArrayContent(blob))).StatusCode);
    }

    [Fact]
    public async Task Other_bytes_than_were_announced_never_reach_the_bucket()
    {
        await using var server = await StartAsync();
        var digest = Sha256Digest.Of("right"u8);

        Assert.Equal("/problems/wrong-blob", (await server.Operator.PutAsync($"v1/blobs/{digest}", new ByteArrayContent("wrong"u8.ToArray())).ProblemAsync(400)).Type);

        Assert.Null(server.Get<Repository>().Tree.BlobLength(digest));
    }

    [Fact]
    public async Task A_file_of_many_parts_comes_back_as_it_was_and_one_that_is_refused_in_the_middle_is_given_up()
    {
        var spool = Directory.CreateTempSubdirectory("coppice-spool-");
        using var bucket = new BucketFiles(Address, spool.FullName);
        var bytes = new byte[(64 << 20) + 12_345]; // two parts
        new Random(20261126).NextBytes(bytes);

        Put(bucket, "blobs/large", bytes);
        using (var stream = bucket.Open("blobs/large")!)
        {
            Assert.Equal(bytes.Length, stream.Length);
            Assert.Equal(SHA256.HashData(bytes), SHA256.HashData(stream));
            stream.Position = (64 << 20) - 5; // over the seam
            var seam = new byte[10];
            stream.ReadExactly(seam);
            Assert.Equal(bytes.AsSpan((64 << 20) - 5, 10).ToArray(), seam);
        }

        await TellAsync("refuse");
        Assert.Contains("Nothing half-done", Assert.Throws<BucketException>(() => Put(bucket, "blobs/other", bytes)).Message);
        Assert.Null(bucket.Length("blobs/other"));
        spool.Delete(recursive: true);
    }

    [Fact]
    public async Task A_server_whose_blobs_are_elsewhere_than_its_databases_does_not_start()
    {
        var database = await RunningServer.NewDatabaseAsync();
        await using (await RunningServer.StartAsync(options => options with { Database = database, Bucket = Address }))
        {
        }

        var wrong = await Assert.ThrowsAsync<InvalidDataException>(() => RunningServer.StartAsync(options => options with { Database = database }));
        Assert.Contains("The blobs of this database are not in", wrong.Message);
    }

    [Theory]
    [InlineData("s3://models", "names no region")]
    [InlineData("s3://key:secret@models?region=eu-north-1", "AWS_SECRET_ACCESS_KEY")]
    [InlineData("s3://models?endpoint=objects", "https://objects.example.org")]
    [InlineData("s3://models?region=eu-north-1&acl=public", "'acl=public', which is not known")]
    public void What_is_no_address_of_a_bucket_is_refused(string text, string wanted)
    {
        Assert.False(BucketAddress.TryParse(text, out _, out var problem));
        Assert.Contains(wanted, problem);
    }

    static void Put(BucketFiles bucket, string path, byte[] bytes)
    {
        using ITreeFile file = bucket.Create(path);
        file.Content.Write(bytes);
        file.Commit();
    }
}
