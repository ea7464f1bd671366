using Coppice.Agent.Link;
using Coppice.Agent.Slots;
using Coppice.Agent.Storage;
using Coppice.Agent.Tests.Storage;
using Coppice.Delivery;
using Coppice.Delta;
using Coppice.Formats;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Trust;

namespace Coppice.Agent.Tests.Link;

public sealed class PatchedBlobTests
{
    const int Length = 5 << 20; // several records of a patch

    static readonly byte[] OldBytes = Random(1, Length);
    static readonly byte[] NewBytes = Changed();
    static readonly Lazy<byte[]> Patch = new(() => PatchOf(OldBytes, NewBytes));

    readonly LossyDisk disk = new(1);
    readonly ReleaseFile old = File("model-1.bin", OldBytes);
    readonly ReleaseFile file = File("model-2.bin", NewBytes);
    readonly PatchShop shop = new(NewBytes);
    readonly List<string> told = [];
    long quota = 1 << 30;
    long arrived;

    public PatchedBlobTests() => Put(OldBytes);

    static byte[] Random(int seed, int length)
    {
        var bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    static byte[] Changed()
    {
        var bytes = OldBytes.ToArray();
        for (var i = 1000; i < bytes.Length; i += 500_000)
            Random(i, 300).CopyTo(bytes, i);
        return bytes;
    }

    static byte[] PatchOf(byte[] from, byte[] to)
    {
        using var patch = new MemoryStream();
        PatchEncoder.Create(new MemorySource(from), new MemorySource(to), patch, new() { Level = PatchLevel.Fast });
        return patch.ToArray();
    }

    static ReleaseFile File(string name, byte[] bytes) => new(name, Sha256Digest.Of(bytes), bytes.Length);

    void Put(byte[] bytes)
    {
        var path = DataFolder.Blob(Sha256Digest.Of(bytes));
        disk.MakeFolder(DiskExtensions.FolderOf(path));
        using var blob = disk.Create(path);
        blob.Write(bytes);
        blob.Sync();
    }

    FilePuller Puller()
    {
        var (time, rate, blobs) = (TimeProvider.System, new RateLimit(0, TimeProvider.System), new BlobStore(disk, quota));
        return new(disk, blobs, [new WholeBlob(disk, shop, rate, TimeSpan.FromSeconds(20), time), new PatchedBlob(disk, shop, rate, TimeSpan.FromSeconds(20), time)], Tell);
    }

    void Tell(AgentEventKind kind, string text)
    {
        if (kind == AgentEventKind.Trouble)
            told.Add(text);
    }

    Task PullAsync(CancellationToken cancel = default) => Puller().PullAsync(file, (way, bytes) => arrived += way == DeliveryWay.Index ? 0 : bytes, cancel);

    /// <summary>The file is here, the one before too, and nothing else.</summary>
    void CheckDone()
    {
        var blobs = new BlobStore(disk, quota);
        Assert.True(blobs.Holds(file, default));
        Assert.Equal(NewBytes.Length + OldBytes.Length, blobs.Used());
        Assert.Empty(disk.Files(DataFolder.Fetching));
    }

    [Fact]
    public async Task A_patch_comes_in_place_of_the_file()
    {
        shop.Patch = Patch.Value;

        await PullAsync();

        CheckDone();
        Assert.Equal(Patch.Value.Length, arrived);
        Assert.True(arrived < Length / 50);
        Assert.Empty(told);
    }

    [Fact]
    public async Task Where_there_is_no_patch_the_whole_file_comes()
    {
        await PullAsync();

        CheckDone();
        Assert.Equal(Length, arrived);
        Assert.Empty(told); // nothing went wrong
    }

    [Fact]
    public async Task A_beginning_of_the_file_that_leaves_less_than_the_patch_is_gone_on_with()
    {
        shop.Patch = Patch.Value;
        disk.MakeFolder(DataFolder.Fetching);
        using (var part = disk.Append(DataFolder.Part(file.Digest)))
            part.Write(NewBytes.AsSpan(0, Length - 10));

        await PullAsync();

        CheckDone();
        Assert.Equal(10, arrived);
    }

    [Theory]
    [InlineData(0)] // no patch at all
    [InlineData(100)] // the header
    [InlineData(-1)] // the end
    [InlineData(2000)]
    public async Task A_damaged_patch_gives_way_to_the_file_with_a_reason(int at)
    {
        shop.Patch = Patch.Value.ToArray();
        shop.Patch[at < 0 ? shop.Patch.Length + at : Math.Min(at, shop.Patch.Length / 2)] ^= 0x20;

        await PullAsync();

        CheckDone();
        Assert.Equal(shop.Patch.Length + Length, arrived); // both crossed the network
        Assert.Contains("of no use for model-2.bin", Assert.Single(told), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_patch_that_ends_too_soon_gives_way_to_the_file()
    {
        shop.Patch = Patch.Value[..^40];
        await PullAsync();
        CheckDone();
        Assert.Single(told);
    }

    [Fact]
    public async Task A_patch_to_another_file_gives_way_before_anything_is_made()
    {
        shop.Patch = PatchOf(OldBytes, Random(3, 9000));
        await PullAsync();
        CheckDone();
        Assert.Contains("it makes another file", Assert.Single(told), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_base_that_rotted_on_this_disk_gives_way_to_the_file()
    {
        shop.Patch = Patch.Value;
        disk.Rot(DataFolder.Blob(old.Digest));
        await PullAsync();
        CheckDone();
        Assert.Contains("give that version", Assert.Single(told), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Of_a_patch_that_goes_on_for_ever_no_more_is_read_than_was_said()
    {
        shop.Patch = Patch.Value;
        shop.Body = patch => [.. patch, .. patch];
        await PullAsync();
        CheckDone();
        Assert.Equal(Patch.Value.Length, arrived);
        Assert.Empty(told);
    }

    [Theory]
    [InlineData(Length)]
    [InlineData(long.MaxValue)]
    [InlineData(0)]
    [InlineData(-5)]
    public async Task A_length_that_cannot_be_is_not_asked_further(long length)
    {
        shop.Patch = Patch.Value;
        shop.Said = length;
        await PullAsync();
        CheckDone();
        Assert.Equal(0, shop.PatchesOpened);
    }

    [Fact]
    public async Task The_patch_and_the_file_must_fit_the_quota_together()
    {
        shop.Patch = Patch.Value;
        quota = 2 * Length + shop.Patch.Length - 1;
        await PullAsync();
        CheckDone();
        Assert.Equal(0, shop.PatchesOpened);
    }

    [Fact]
    public async Task A_bad_patch_is_fetched_once()
    {
        shop.Patch = Patch.Value.ToArray();
        shop.Patch[^20] ^= 1;
        shop.WholeIsAway = true;
        var puller = Puller();

        for (var i = 0; i < 3; i++)
            await Assert.ThrowsAsync<LinkException>(() => puller.PullAsync(file, (_, _) => { }, default));

        Assert.Equal(1, shop.PatchesOpened);
        Assert.Empty(disk.Files(DataFolder.Fetching));
    }

    [Fact]
    public async Task Ended_in_order_at_any_place_it_goes_on_there_without_the_network()
    {
        shop.Patch = Patch.Value;
        var resumed = 0;
        for (var stop = 1; ; stop++)
        {
            disk.Delete(DataFolder.Blob(file.Digest));
            using var end = new CancellationTokenSource();
            var stopAt = disk.Changes + stop;
            disk.FullAt = change =>
            {
                if (change == stopAt)
                    end.Cancel();
                return false;
            };
            arrived = 0;
            try
            {
                await PullAsync(end.Token);
                disk.FullAt = _ => false;
                CheckDone();
                if (!end.IsCancellationRequested)
                    break; // it has no further change
            }
            catch (OperationCanceledException)
            {
                disk.FullAt = _ => false;
                resumed += disk.LengthOf(DataFolder.PatchProgress(file.Digest, file.Digest)) is null ? 0 : 1;
                await PullAsync();
                CheckDone();
                Assert.Equal(Patch.Value.Length, arrived); // in both lives together
            }
        }

        Assert.True(resumed > 1, "it was never stopped while the patch was applied");
        Assert.Empty(told);
    }

    [Fact]
    public async Task The_power_may_go_at_every_change()
    {
        shop.Patch = Patch.Value;
        for (var cut = 1; ; cut++)
        {
            disk.Delete(DataFolder.Blob(file.Digest));
            disk.CutAt = disk.Changes + cut;
            try
            {
                await PullAsync();
                break; // it has no further change
            }
            catch (PowerCutException)
            {
                disk.PowerOn();
                await PullAsync();
                new BlobStore(disk, quota).Collect(new HashSet<Sha256Digest> { old.Digest, file.Digest }); // as the next look at the plan does
                CheckDone();
            }
        }
    }

    /// <summary>One file, and a patch of it.</summary>
    sealed class PatchShop(byte[] whole) : IRepositoryFiles
    {
        public byte[]? Patch { get; set; }

        public long? Said { get; set; }

        public Func<byte[], byte[]> Body { get; set; } = bytes => bytes;

        public bool WholeIsAway { get; set; }

        public int PatchesOpened { get; private set; }

        public Task<byte[]?> ReadAsync(string path, int most, CancellationToken cancel) => Task.FromResult((Said ?? Patch?.Length) is { } length
            ? DocumentJson.Write(new PatchIndex(1, new(Sha256Digest.Of(whole), whole.Length), [new([new(Sha256Digest.Of(OldBytes), OldBytes.Length)], length)]))
            : null);

        public Task<FileBody> OpenAsync(RepositoryFile file, long offset, string? tag, CancellationToken cancel)
        {
            if (file.Path.StartsWith("blobs/", StringComparison.Ordinal))
                return WholeIsAway ? throw new LinkException("the file is away") : Task.FromResult(new FileBody(new MemoryStream(whole[(int)offset..]), offset, null));
            PatchesOpened++;
            return Task.FromResult(new FileBody(new MemoryStream(Body(Patch!)[(int)offset..]), offset, null));
        }

        public IAsyncEnumerable<FileBody> RangesAsync(RepositoryFile file, IReadOnlyList<ByteSpan> ranges, CancellationToken cancel) => throw new LinkException("it gives no ranges");
    }
}
