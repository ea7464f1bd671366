using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;
using Coppice.Agent.Link.Tuf;
using Coppice.Mirror.Tests.Bundles;
using Coppice.Mirror.Tree;
using Coppice.Trust;
using Microsoft.Extensions.Logging;

namespace Coppice.Mirror.Tests.Serving;

public sealed class MirrorTests : IAsyncLifetime, IDisposable
{
    readonly SignedRepository repository = new();
    readonly Stick stick = new();
    readonly HttpClient http = new();
    Upstream upstream = null!;

    public async Task InitializeAsync()
    {
        repository.Roll("1.0.0", length: 300_000);
        upstream = await Upstream.StartAsync(repository.Folder);
    }

    public async Task DisposeAsync() => await upstream.DisposeAsync();

    public void Dispose()
    {
        http.Dispose();
        repository.Dispose();
        stick.Dispose();
    }

    sealed class RepositoryTime : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => SignedRepository.Now;
    }

    Task<SiteMirror> MirrorAsync(Func<MirrorOptions, MirrorOptions>? with = null) => SiteMirror.StartAsync((with ?? (options => options))(new()
    {
        Data = stick.PathOf("mirror"),
        Upstream = upstream.Url,
        Listen = "http://127.0.0.1:0",
        Poll = TimeSpan.FromMilliseconds(50),
        Time = new RepositoryTime(),
        LogLevel = LogLevel.None,
    }));

    /// <summary>Waits for what the mirror does behind everything else.</summary>
    static async Task UntilAsync(Func<Task<bool>> holds)
    {
        for (var i = 0; !await holds(); i++)
        {
            Assert.True(i < 3000, "it does not come about");
            await Task.Delay(10);
        }
    }

    Task SyncedAsync(SiteMirror mirror) => UntilAsync(async () => (await StatusAsync(mirror)).TryGetProperty("timestampVersion", out var version) && version.ValueKind == JsonValueKind.Number && version.GetInt64() == repository.TimestampVersion);

    async Task<JsonElement> StatusAsync(SiteMirror mirror) => JsonDocument.Parse(await http.GetStringAsync(new Uri(mirror.Url, "/v1/mirror/status"))).RootElement;

    /// <summary>What a device comes to trust through a mirror.</summary>
    async Task<TufClient> DeviceAsync(SiteMirror mirror)
    {
        var source = new HttpSource(http, new Uri(mirror.Url, "/repository/"));
        var store = new FloorStore(null);
        store.Write(TopLevelRole.Root, (await RootAnchor.FindAsync(source, repository.Root, default))!.Value);
        var client = new TufClient(source, store);
        await client.RefreshAsync(SignedRepository.Now, default);
        return client;
    }

    static Uri Blob(SiteMirror mirror, string version, int length = 300_000) => new(mirror.Url, "/repository/" + RepositoryLayout.BlobFile(Sha256Digest.Of(SignedRepository.Content(version, length))));

    [Fact]
    public async Task A_thousand_devices_cause_one_fetch_from_upstream()
    {
        upstream.Gate = new();
        await using var mirror = await MirrorAsync();
        await SyncedAsync(mirror);
        var bodies = Enumerable.Range(0, 1000).Select(_ => http.GetByteArrayAsync(Blob(mirror, "1.0.0"))).ToList();
        await UntilAsync(() => Task.FromResult(upstream.Asked.Any(path => path.StartsWith("blobs/", StringComparison.Ordinal))));
        upstream.Gate.SetResult();

        var expected = Sha256Digest.Of(SignedRepository.Content("1.0.0", 300_000));
        foreach (var body in await Task.WhenAll(bodies))
            Assert.Equal(expected, Sha256Digest.Of(body));
        Assert.Single(upstream.Asked, path => path.StartsWith("blobs/", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_device_reads_along_while_a_file_comes_from_upstream()
    {
        upstream.Gate = new();
        await using var mirror = await MirrorAsync();
        using var response = await http.GetAsync(Blob(mirror, "1.0.0"), HttpCompletionOption.ResponseHeadersRead);
        var body = await response.Content.ReadAsStreamAsync();
        var first = new byte[100_000];
        await body.ReadExactlyAsync(first);
        upstream.Gate.SetResult();
        var rest = new MemoryStream();
        await body.CopyToAsync(rest);

        Assert.Equal(SignedRepository.Content("1.0.0", 300_000), first.Concat(rest.ToArray()));
    }

    [Fact]
    public async Task A_device_follows_the_repository_through_a_mirror_and_hears_at_the_next_poll_what_is_new()
    {
        await using var mirror = await MirrorAsync();
        await SyncedAsync(mirror);
        var device = await DeviceAsync(mirror);
        Assert.NotNull(await device.GetTargetAsync("releases/plant/bearing/1.0.0.json", default));
        Assert.False(await device.PollAsync(SignedRepository.Now, default));

        repository.Roll("2.0.0");
        await SyncedAsync(mirror);
        Assert.True(await device.PollAsync(SignedRepository.Now, default));
        Assert.NotNull(await device.GetTargetAsync("releases/plant/bearing/2.0.0.json", default));
    }

    [Fact]
    public async Task What_devices_asked_for_is_there_before_they_ask_again()
    {
        await using var mirror = await MirrorAsync();
        await SyncedAsync(mirror);
        var device = await DeviceAsync(mirror);
        await device.DownloadTargetAsync((await device.GetTargetAsync("rollouts/plant/bearing/plan.json", default))!, 1 << 20, default);
        await http.GetByteArrayAsync(Blob(mirror, "1.0.0"));

        byte[] map = [1, 2, 3];
        repository.Roll("2.0.0", length: 300_000, map);
        var path = RepositoryLayout.BlobFile(Sha256Digest.Of(SignedRepository.Content("2.0.0", 300_000)));
        await UntilAsync(() => Task.FromResult(File.Exists(Path.Combine(stick.PathOf("mirror"), "repository", path))));
        await upstream.DisposeAsync();
        Assert.Equal(map, await http.GetByteArrayAsync(new Uri(mirror.Url, "/repository/" + RepositoryLayout.BlobFile(Sha256Digest.Of(map)))));
        Assert.Equal(SignedRepository.Content("2.0.0", 300_000), await http.GetByteArrayAsync(Blob(mirror, "2.0.0")));
    }

    [Fact]
    public async Task Without_upstream_a_mirror_serves_what_it_has_and_says_so()
    {
        await using (var first = await MirrorAsync())
        {
            await SyncedAsync(first);
            await http.GetByteArrayAsync(Blob(first, "1.0.0"));
            await UntilAsync(async () => (await StatusAsync(first)).GetProperty("held").GetInt64() == 300_000); // safe on its disk, which the device need not wait for
        }

        await upstream.DisposeAsync();
        await using var mirror = await MirrorAsync(); // a restart without a network
        await UntilAsync(async () => (await StatusAsync(mirror)).GetProperty("trouble").ValueKind == JsonValueKind.String);
        var device = await DeviceAsync(mirror);

        Assert.NotNull(await device.GetTargetAsync("releases/plant/bearing/1.0.0.json", default));
        Assert.Equal(300_000, (await http.GetByteArrayAsync(Blob(mirror, "1.0.0"))).Length);
        Assert.False((await StatusAsync(mirror)).GetProperty("reached").GetBoolean());
        using var missing = await http.GetAsync(Blob(mirror, "7.0.0"));
        Assert.Equal(HttpStatusCode.ServiceUnavailable, missing.StatusCode);
        Assert.Contains("does not hold the file", await missing.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_bundle_applied_into_a_running_mirror_is_served_at_once()
    {
        await using var mirror = await MirrorAsync();
        await SyncedAsync(mirror);
        await upstream.DisposeAsync();
        repository.Roll("2.0.0");
        await stick.ApplyAsync(await stick.MakeAsync(repository), null, new Agent.Storage.FolderDisk(Path.Combine(stick.PathOf("mirror"), "repository")));

        var device = await DeviceAsync(mirror);
        Assert.NotNull(await device.GetTargetAsync("releases/plant/bearing/2.0.0.json", default));
        Assert.Equal(SignedRepository.Content("2.0.0", 5000), await http.GetByteArrayAsync(Blob(mirror, "2.0.0", 5000)));
    }

    [Theory]
    [InlineData("bytes=100-", 100, 299_999)]
    [InlineData("bytes=100-199", 100, 199)]
    [InlineData("bytes=-10", 299_990, 299_999)]
    [InlineData("bytes=299999-400000", 299_999, 299_999)]
    public async Task A_range_is_answered_as_a_static_server_answers_it(string range, int from, int to)
    {
        await using var mirror = await MirrorAsync();
        await http.GetByteArrayAsync(Blob(mirror, "1.0.0"));
        using var request = new HttpRequestMessage(HttpMethod.Get, Blob(mirror, "1.0.0")) { Headers = { Range = RangeHeaderValue.Parse(range) } };
        using var response = await http.SendAsync(request);

        Assert.Equal((HttpStatusCode.PartialContent, $"bytes {from}-{to}/300000"), (response.StatusCode, response.Content.Headers.ContentRange!.ToString()));
        Assert.Equal(SignedRepository.Content("1.0.0", 300_000)[from..(to + 1)], await response.Content.ReadAsByteArrayAsync());
    }

    [Fact]
    public async Task What_was_asked_for_longest_ago_makes_room()
    {
        repository.Roll("2.0.0", length: 300_000);
        repository.Roll("3.0.0", length: 300_000);
        await using var mirror = await MirrorAsync(options => options with { Budget = 700_000 });
        foreach (var (version, held) in new[] { ("1.0.0", 300_000), ("2.0.0", 600_000), ("1.0.0", 600_000), ("3.0.0", 600_000) })
        {
            await http.GetByteArrayAsync(Blob(mirror, version));
            await UntilAsync(async () => (await StatusAsync(mirror)) is var status && status.GetProperty("held").GetInt64() == held && File.Exists(Path.Combine(stick.PathOf("mirror"), Blob(mirror, version).LocalPath[1..])));
        }

        var asked = upstream.Asked.Count;
        await http.GetByteArrayAsync(Blob(mirror, "1.0.0"));
        Assert.DoesNotContain(upstream.Asked.Skip(asked), path => path.StartsWith("blobs/", StringComparison.Ordinal));
        await http.GetByteArrayAsync(Blob(mirror, "2.0.0"));
        Assert.Contains(upstream.Asked.Skip(asked), path => path.StartsWith("blobs/", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_blob_that_upstream_altered_is_not_kept_and_a_device_gets_no_whole_answer()
    {
        upstream.Alter = (path, bytes) => path.StartsWith("blobs/", StringComparison.Ordinal) ? [.. bytes.Select(b => (byte)~b)] : bytes;
        await using var mirror = await MirrorAsync();
        try
        {
            Assert.NotEqual(Path.GetFileName(Blob(mirror, "1.0.0").LocalPath), Sha256Digest.Of(await http.GetByteArrayAsync(Blob(mirror, "1.0.0"))).ToString()); // a device compares
        }
        catch (HttpRequestException) // or the answer broke off before its end
        {
        }

        await UntilAsync(async () => (await StatusAsync(mirror)).GetProperty("held").GetInt64() == 0);
        upstream.Alter = (_, bytes) => bytes;
        Assert.Equal(SignedRepository.Content("1.0.0", 300_000), await http.GetByteArrayAsync(Blob(mirror, "1.0.0")));
    }

    [Fact]
    public async Task Metadata_that_upstream_altered_or_took_back_never_reaches_the_tree()
    {
        await using var mirror = await MirrorAsync();
        await SyncedAsync(mirror);
        var old = await File.ReadAllBytesAsync(repository.PathOf("metadata/timestamp.json"));
        repository.Roll("2.0.0");
        await SyncedAsync(mirror);
        var good = await http.GetByteArrayAsync(new Uri(mirror.Url, "/repository/metadata/timestamp.json"));
        foreach (var lie in new[] { old, [.. good.Select((b, i) => i == good.Length / 2 ? (byte)'0' : b)], "{}"u8.ToArray(), [] })
        {
            var seen = 0;
            upstream.Alter = (path, bytes) => path == "metadata/timestamp.json" && ++seen > 0 ? lie : bytes;
            await UntilAsync(() => Task.FromResult(seen > 2));
            Assert.Equal(good, await http.GetByteArrayAsync(new Uri(mirror.Url, "/repository/metadata/timestamp.json")));
        }
    }

    [Theory]
    [InlineData("/repository/.partial/x")]
    [InlineData("/repository/.lock")]
    [InlineData("/repository/metadata/..%2f..%2flock")]
    [InlineData("/repository/blobs/../../lock")]
    [InlineData("/reports/0000000000000001.json")]
    [InlineData("/v1/models")]
    public async Task Nothing_but_the_repository_and_the_devices_own_requests_is_served(string path)
    {
        await using var mirror = await MirrorAsync();
        using var response = await http.GetAsync(new Uri(mirror.Url.GetLeftPart(UriPartial.Authority) + path));

        Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
    }
}
