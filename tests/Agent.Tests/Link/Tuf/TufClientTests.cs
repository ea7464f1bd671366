using System.Net;
using System.Text;
using Coppice.Agent.Link.Tuf;
using Coppice.Trust;
using static Coppice.Agent.Tests.Link.Tuf.SignedFolder;

namespace Coppice.Agent.Tests.Link.Tuf;

public sealed class TufClientTests : IDisposable
{
    const string Release = "releases/plant/bearing/1.0.0.json";

    readonly SignedFolder _repository = new();
    readonly string _stored = Directory.CreateTempSubdirectory("coppice-trusted-").FullName;
    readonly StaticServer _server;
    readonly HttpClient _http;
    readonly ReadOnlyMemory<byte> _pinned;

    public TufClientTests()
    {
        _server = new StaticServer(_repository.Folder);
        _http = new HttpClient(_server);
        _pinned = _repository.Root.Bytes;
    }

    public void Dispose()
    {
        _http.Dispose();
        _server.Dispose();
        _repository.Dispose();
        Directory.Delete(_stored, recursive: true);
    }

    TufClient Client(TufLimits? limits = null) =>
        new(new HttpSource(_http, new Uri("http://models.example/")), new FolderMetadataStore(_stored), _pinned, limits);

    static Task<UntrustedMetadataException> RefusedAsync(Func<Task> call) => Assert.ThrowsAsync<UntrustedMetadataException>(call);

    [Fact]
    public async Task A_first_refresh_asks_in_the_order_of_the_specification_and_stores_byte_for_byte()
    {
        await Client().RefreshAsync(Now, default);

        Assert.Equal(
            ["/metadata/2.root.json", "/metadata/timestamp.json", "/metadata/1.snapshot.json", "/metadata/1.targets.json"], _server.Requests);
        foreach (var (stored, published) in new[] { ("root", "1.root"), ("timestamp", "timestamp"), ("snapshot", "1.snapshot"), ("targets", "1.targets") })
            Assert.Equal(
                await File.ReadAllBytesAsync(Path.Combine(_repository.Folder, "metadata", published + ".json")),
                await File.ReadAllBytesAsync(Path.Combine(_stored, stored + ".json")));
    }

    [Fact]
    public async Task A_poll_that_finds_nothing_new_is_one_conditional_request()
    {
        var client = Client();
        Assert.True(await client.PollAsync(Now, default));
        _server.Requests.Clear();

        for (var hour = 1; hour <= 3; hour++)
            Assert.False(await client.PollAsync(Now.AddHours(hour), default));
        Assert.Equal(Enumerable.Repeat("? /metadata/timestamp.json", 3), _server.Requests);
    }

    [Fact]
    public async Task A_poll_finds_a_new_release_and_a_new_root()
    {
        var client = Client();
        await client.PollAsync(Now, default);
        _repository.Publish(new TargetInfo("releases/plant/bearing/1.1.0.json", "{1}"u8), "{1}"u8.ToArray());
        Assert.True(await client.PollAsync(Now, default));
        Assert.NotNull(await client.GetTargetAsync("releases/plant/bearing/1.1.0.json", default));

        _repository.RotateOnlineKey();
        Assert.True(await client.PollAsync(Now, default));
        Assert.Equal(2, client.Trusted!.Root.Signed.Version);
        Assert.Equal(1, client.Trusted.Timestamp!.Signed.Version); // fast-forward recovery: the revoked key's version 2 is forgotten
    }

    [Fact]
    public async Task A_poll_does_not_let_an_unchanged_timestamp_outlive_its_expiry()
    {
        var client = Client();
        await client.PollAsync(Now, default);
        var problem = await RefusedAsync(() => client.PollAsync(Now.AddDays(31), default));
        Assert.Equal((Distrust.Expired, "timestamp"), (problem.Reason, problem.Role));
    }

    [Fact]
    public async Task A_second_process_asks_only_for_root_and_timestamp()
    {
        await Client().RefreshAsync(Now, default);
        _server.Requests.Clear();
        await Client().RefreshAsync(Now, default);
        Assert.Equal(["/metadata/2.root.json", "/metadata/timestamp.json"], _server.Requests);
    }

    [Fact]
    public async Task A_folder_is_a_server()
    {
        var client = new TufClient(new FolderSource(_repository.Folder), new FolderMetadataStore(_stored), _pinned);
        Assert.True(await client.PollAsync(Now, default));
        Assert.False(await client.PollAsync(Now, default));
        var target = await client.GetTargetAsync(Release, default);
        Assert.Equal("{}"u8.ToArray(), (await client.DownloadTargetAsync(target!, 100, default)).ToArray());
        Assert.Null(await client.GetTargetAsync("releases/plant/bearing/9.0.0.json", default));
    }

    [Fact]
    public async Task A_publisher_lists_and_signs_on_what_the_repository_has()
    {
        var client = Client();
        await client.RefreshAsync(Now, default);
        var releases = await client.GetDelegatedAsync("releases", default);
        Assert.Equal(Release, Assert.Single(releases.Signed.Files).Key);

        var next = ReleaseSigning.Prepare(releases.Bytes, "releases/plant/bearing/2.0.0.json", "{2}"u8, _repository.TargetsKey, Now);
        Assert.Equal(2, MetadataFile.ReadTargets(next, "releases").Signed.Version);
        await RefusedAsync(() => client.GetDelegatedAsync("nobody", default));
    }

    [Fact]
    public async Task A_target_is_downloaded_under_its_digest_and_checked()
    {
        var client = Client();
        await client.RefreshAsync(Now, default);
        var target = (await client.GetTargetAsync(Release, default))!;
        Assert.Equal("{}"u8.ToArray(), (await client.DownloadTargetAsync(target, 2, default)).ToArray());
        Assert.EndsWith($"/targets/releases/plant/bearing/{Sha256Digest.Of("{}"u8)}.1.0.0.json", _server.Requests[^1], StringComparison.Ordinal);

        Assert.Equal(Distrust.TooLong, (await RefusedAsync(() => client.DownloadTargetAsync(target, 1, default))).Reason);
        _server.Answer = path => path.Contains("/targets/", StringComparison.Ordinal) ? Bytes("[]"u8.ToArray()) : null;
        Assert.Equal(Distrust.WrongHash, (await RefusedAsync(() => client.DownloadTargetAsync(target, 100, default))).Reason);
        _server.Answer = path => path.Contains("/targets/", StringComparison.Ordinal) ? Bytes("{"u8.ToArray()) : null;
        Assert.Equal(Distrust.WrongLength, (await RefusedAsync(() => client.DownloadTargetAsync(target, 100, default))).Reason);
        _server.Answer = path => path.Contains("/targets/", StringComparison.Ordinal) ? new HttpResponseMessage(HttpStatusCode.NotFound) : null;
        Assert.Equal(Distrust.Missing, (await RefusedAsync(() => client.DownloadTargetAsync(target, 100, default))).Reason);
    }

    [Theory]
    [InlineData("timestamp")]
    [InlineData("snapshot")]
    [InlineData("targets")]
    [InlineData("root")]
    public async Task A_damaged_stored_file_is_fetched_again(string role)
    {
        await Client().RefreshAsync(Now, default);
        var file = Path.Combine(_stored, role + ".json");
        var whole = await File.ReadAllBytesAsync(file);
        foreach (var damaged in new[] { [], whole[..(whole.Length / 2)], [.. whole.Select(b => (byte)(b ^ 1))], Encoding.UTF8.GetBytes("{}") })
        {
            await File.WriteAllBytesAsync(file, damaged);
            await Client().RefreshAsync(Now, default);
            Assert.Equal(whole, await File.ReadAllBytesAsync(file));
        }
    }

    [Fact]
    public async Task A_damaged_root_starts_the_chain_again_from_the_pinned_one()
    {
        _repository.RotateOnlineKey();
        _repository.RotateOnlineKey();
        await Client().RefreshAsync(Now, default);
        await File.WriteAllTextAsync(Path.Combine(_stored, "root.json"), "gone");
        _server.Requests.Clear();

        await Client().RefreshAsync(Now, default);
        Assert.Equal(["/metadata/2.root.json", "/metadata/3.root.json", "/metadata/4.root.json"], _server.Requests[..3]);
        Assert.Equal(3, MetadataFile.ReadRoot(await File.ReadAllBytesAsync(Path.Combine(_stored, "root.json"))).Signed.Version);
    }

    [Fact]
    public async Task Without_a_pinned_root_a_damaged_one_is_refused_before_anything_is_asked()
    {
        await File.WriteAllTextAsync(Path.Combine(_stored, "root.json"), "gone");
        var client = new TufClient(new HttpSource(_http, new Uri("http://models.example/")), new FolderMetadataStore(_stored));
        Assert.Equal("root", (await RefusedAsync(() => client.RefreshAsync(Now, default))).Role);
        Assert.Empty(_server.Requests);
    }

    [Fact]
    public async Task A_newer_pinned_root_takes_over_from_the_stored_one()
    {
        await Client().RefreshAsync(Now, default);
        _repository.RotateOnlineKey();
        var newer = new TufClient(
            new HttpSource(_http, new Uri("http://models.example/")), new FolderMetadataStore(_stored), _repository.Root.Bytes);
        await newer.RefreshAsync(Now, default);
        Assert.Equal(2, newer.Trusted!.Root.Signed.Version);
    }

    [Theory]
    [InlineData("/metadata/2.root.json", 512_000)]
    [InlineData("/metadata/timestamp.json", 16_384)]
    [InlineData("/metadata/1.snapshot.json", 1_000)]
    [InlineData("/metadata/1.targets.json", 2_000)]
    public async Task Endless_data_is_cut_off_near_the_limit(string path, int most)
    {
        var endless = new EndlessStream();
        _server.Answer = asked => asked == path ? new HttpResponseMessage(HttpStatusCode.OK) { Content = new StreamContent(endless) } : null;
        Assert.Equal(Distrust.TooLong, (await RefusedAsync(() => Client().RefreshAsync(Now, default))).Reason);
        Assert.InRange(endless.Given, 1, most + (64 * 1024));
    }

    [Fact]
    public async Task A_length_announced_beyond_the_limit_is_refused_before_it_is_read()
    {
        _server.Answer = asked => asked.EndsWith("timestamp.json", StringComparison.Ordinal) ? Bytes(new byte[16_385]) : null;
        Assert.Equal(Distrust.TooLong, (await RefusedAsync(() => Client().RefreshAsync(Now, default))).Reason);
    }

    [Fact]
    public async Task Roots_without_end_are_cut_off_and_the_rest_is_taken_next_time()
    {
        for (var i = 0; i < 5; i++)
            _repository.RotateOnlineKey();
        var limits = new TufLimits { RootRotations = 2 };
        await RefusedAsync(() => Client(limits).RefreshAsync(Now, default)); // the timestamp needs the sixth root
        await RefusedAsync(() => Client(limits).RefreshAsync(Now, default));
        await Client(limits).RefreshAsync(Now, default);
    }

    [Fact]
    public async Task A_server_error_is_not_taken_for_an_answer()
    {
        _server.Answer = asked => asked.EndsWith("2.root.json", StringComparison.Ordinal) ? new HttpResponseMessage(HttpStatusCode.BadGateway) : null;
        await Assert.ThrowsAsync<HttpRequestException>(() => Client().RefreshAsync(Now, default));
        _server.Answer = null;
        await Client().RefreshAsync(Now, default);
    }

    [Theory]
    [InlineData("../../etc/passwd")]
    [InlineData("a//b")]
    [InlineData("/a")]
    [InlineData("a/..")]
    [InlineData("a\\b")]
    [InlineData("c:a")]
    public async Task A_target_path_that_leaves_its_folder_is_not_asked_for(string path)
    {
        foreach (IMetadataSource source in (IMetadataSource[])[new HttpSource(_http, new Uri("http://models.example/")), new FolderSource(_repository.Folder)])
            Assert.Equal(Distrust.Malformed, (await RefusedAsync(() => source.FetchTargetAsync(path, 10, default))).Reason);
        Assert.Empty(_server.Requests);
    }

    [Fact]
    public void Odd_role_names_are_stored_inside_the_folder_and_apart()
    {
        var store = new FolderMetadataStore(_stored);
        string[] roles = ["../../x", "/x", "x", "X", "@x", "?", "#", "a b", "..", new string('r', 5000), new string('r', 5001)];
        foreach (var role in roles)
            store.Write(role, Encoding.UTF8.GetBytes(role));
        foreach (var role in roles)
            Assert.Equal(role, Encoding.UTF8.GetString(store.Read(role)!.Value.Span));
        Assert.Equal(roles.Length, Directory.GetFiles(_stored).Length);
        store.Delete("x");
        store.Delete("x");
        Assert.Null(store.Read("x"));
    }

    static HttpResponseMessage Bytes(byte[] bytes) => new(HttpStatusCode.OK) { Content = new ByteArrayContent(bytes) };

    sealed class EndlessStream : Stream
    {
        public long Given { get; private set; }

        public override int Read(Span<byte> buffer)
        {
            buffer.Fill((byte)' ');
            Given += buffer.Length;
            return buffer.Length;
        }

        public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) => new(Read(buffer.Span));

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
