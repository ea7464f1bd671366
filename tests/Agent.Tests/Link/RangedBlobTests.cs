using System.Runtime.CompilerServices;
using Coppice.Agent.Link;
using Coppice.Agent.Slots;
using Coppice.Agent.Storage;
using Coppice.Agent.Tests.Storage;
using Coppice.Delivery;
using Coppice.Formats;
using Coppice.Registry;
using Coppice.Trust;

namespace Coppice.Agent.Tests.Link;

public sealed class RangedBlobTests
{
    const int Head = 3_000, Tensor = 150_000, Changed = 20_000, Tail = 700;

    // head | weights | changed | tail; the old file has another head, and its tensors in another order.
    static readonly byte[] Weights = Random(1, Tensor);
    static readonly byte[] NewBytes = [.. Random(2, Head), .. Weights, .. Random(3, Changed), .. Random(4, Tail)];
    static readonly byte[] OldBytes = [.. Random(5, 9_111), .. Random(6, Changed), .. Weights];
    static readonly RangeCut Cut = new(RangeCut.MinPiece, 4096);
    static readonly RangeMap Map = MapOf(NewBytes, (Head, Tensor), (Head + Tensor, Changed));
    static readonly long Differs = NewBytes.Length - Tensor;

    readonly LossyDisk disk = new(1);
    readonly RangeShop shop = new(NewBytes, Map.Write());
    readonly List<string> told = [];
    readonly Dictionary<DeliveryWay, long> came = [];
    ReleaseFile file = new("model.bin", Sha256Digest.Of(NewBytes), NewBytes.Length) { TensorMap = new(Sha256Digest.Of(Map.Write()), Map.Write().Length) };
    readonly ReleaseFile old = new("model.bin", Sha256Digest.Of(OldBytes), OldBytes.Length);

    public RangedBlobTests()
    {
        var path = DataFolder.Blob(old.Digest);
        disk.MakeFolder(DiskExtensions.FolderOf(path));
        using (var blob = disk.Create(path))
        {
            blob.Write(OldBytes);
            blob.Sync();
        }

        disk.SyncFolder(DiskExtensions.FolderOf(path));
        disk.MakeFolder(DataFolder.RangeMaps);
        disk.Replace(DataFolder.Ranges(old.Digest), MapOf(OldBytes, (9_111, Changed), (9_111 + Changed, Tensor)).Write()); // as if its format told its tensors
    }

    static byte[] Random(int seed, int length)
    {
        var bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    static RangeMap MapOf(byte[] bytes, params (long Offset, long Length)[] tensors) => RangeMap.Of(
        new MemorySource(bytes), new(Sha256Digest.Of(bytes), bytes.Length),
        new(ModelFormat.Opaque, bytes.Length, [.. tensors.Select((tensor, i) => new TensorEntry($"t{i}", ElementType.UInt8, [tensor.Length], tensor.Offset, tensor.Length))], []), Cut);

    FilePuller Puller(bool whole = true)
    {
        var (time, rate, blobs, stall) = (TimeProvider.System, new RateLimit(0, TimeProvider.System), new BlobStore(disk, 1 << 30), TimeSpan.FromSeconds(20));
        var ranges = new RangedBlob(disk, blobs, shop, () => [old], rate, stall, time);
        return new(disk, blobs, whole ? [new WholeBlob(disk, shop, rate, stall, time), ranges] : [ranges], (kind, text) =>
        {
            if (kind == AgentEventKind.Trouble)
                told.Add(text);
        });
    }

    Task PullAsync(bool whole = true) => Puller(whole).PullAsync(file, (way, bytes) => came[way] = came.GetValueOrDefault(way) + bytes, default);

    long Came(DeliveryWay way) => came.GetValueOrDefault(way);

    void CheckDone()
    {
        var blobs = new BlobStore(disk, 1 << 30);
        Assert.True(blobs.Holds(file, default));
        Assert.Empty(disk.Files(DataFolder.Fetching));
    }

    [Fact]
    public async Task Only_ranges_that_are_nowhere_here_come_over_the_network()
    {
        await PullAsync();

        CheckDone();
        Assert.Equal(Differs + Map.Write().Length, Came(DeliveryWay.Ranges));
        Assert.Equal(Tensor, Came(DeliveryWay.Copied));
        Assert.Equal(0, Came(DeliveryWay.Whole));
        Assert.Empty(told);
    }

    [Fact]
    public async Task The_ranges_of_a_blob_that_came_so_are_known_to_the_next_update()
    {
        await PullAsync();
        Assert.True(RangeMap.TryRead(disk.ReadSmall(DataFolder.Ranges(file.Digest), RangeMap.MaxBytes), out var kept, out _));
        Assert.Equal(file.Blob, kept.File);
        new BlobStore(disk, 1 << 30).Collect(new HashSet<Sha256Digest> { file.Digest });
        Assert.Equal([$"{file.Digest}.map"], disk.Files(DataFolder.RangeMaps)); // the other's went with its blob
    }

    [Fact]
    public async Task The_ranges_of_a_blob_are_found_out_from_its_bytes_where_they_are_not_known()
    {
        disk.Delete(DataFolder.Ranges(old.Digest));
        var plain = MapOf(NewBytes); // cut in pieces from its beginning, as a file of no known format is
        shop.Maps = plain.Write();
        file = file with { TensorMap = new(Sha256Digest.Of(shop.Maps), shop.Maps.Length) };
        var path = DataFolder.Blob(old.Digest);
        using (var blob = disk.Create(path))
            blob.Write([.. NewBytes.AsSpan(0, 2 * RangeCut.MinPiece), .. OldBytes.AsSpan(2 * RangeCut.MinPiece)]);

        await PullAsync();

        CheckDone();
        Assert.Equal(2 * RangeCut.MinPiece, Came(DeliveryWay.Copied));
        Assert.NotNull(disk.LengthOf(DataFolder.Ranges(old.Digest)));
    }

    [Fact]
    public async Task Without_anything_alike_here_the_whole_file_comes()
    {
        using (var blob = disk.Create(DataFolder.Blob(old.Digest)))
            blob.Write(Random(99, OldBytes.Length));
        disk.Delete(DataFolder.Ranges(old.Digest));
        await PullAsync();
        CheckDone();
        Assert.Equal((NewBytes.Length, 0), (Came(DeliveryWay.Whole), Came(DeliveryWay.Copied)));
    }

    [Fact]
    public async Task An_old_blob_that_rotted_costs_the_ranges_that_rotted()
    {
        disk.Rot(DataFolder.Blob(old.Digest));
        disk.Rot(DataFolder.Blob(old.Digest));

        await PullAsync();

        CheckDone();
        Assert.InRange(Came(DeliveryWay.Ranges), Differs, Differs + Map.Write().Length + 2 * RangeCut.MinPiece);
        Assert.Empty(told);
    }

    [Fact]
    public async Task A_range_that_is_not_what_was_signed_is_never_written_and_the_whole_file_goes_on_where_it_would_be()
    {
        shop.LieAt = Head + Tensor + 5;

        await PullAsync();

        CheckDone();
        Assert.Contains("another digest than its tensor map says", Assert.Single(told), StringComparison.Ordinal);
        Assert.Equal(Changed + Tail, Came(DeliveryWay.Whole)); // what was right before it stays
    }

    [Fact]
    public async Task A_source_that_lied_about_ranges_is_not_asked_for_them_again_while_the_file_is_wanted()
    {
        shop.LieAt = Head + Tensor + 5;
        shop.WholeIsAway = true;
        var puller = Puller();
        for (var i = 0; i < 3; i++)
            await Assert.ThrowsAsync<LinkException>(() => puller.PullAsync(file, (_, _) => { }, default));
        Assert.Equal(1, shop.RangeCalls);
    }

    [Fact]
    public async Task A_source_without_ranges_gives_way_to_the_whole_file()
    {
        shop.NoRanges = true;
        await PullAsync();
        CheckDone();
        Assert.Equal(NewBytes.Length, Came(DeliveryWay.Whole));
        Assert.Single(told);
    }

    [Fact]
    public async Task A_map_that_is_not_the_signed_one_is_no_way()
    {
        shop.Maps[60] ^= 1;
        await PullAsync();
        CheckDone();
        Assert.Equal(NewBytes.Length, Came(DeliveryWay.Whole));
        Assert.Equal(0, shop.RangeCalls);
    }

    [Fact]
    public async Task An_answer_that_breaks_off_is_gone_on_with()
    {
        shop.BreakAfter = Head + 100;

        await PullAsync(whole: false);

        CheckDone();
        // A range that was torn in the middle comes again: 100 bytes.
        Assert.InRange(Came(DeliveryWay.Ranges) - Map.Write().Length, Differs, Differs + 100);
        Assert.Equal(Tensor, Came(DeliveryWay.Copied));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(Head - 1)]
    [InlineData(Head)]
    [InlineData(Head + 70_000)]
    [InlineData(Head + Tensor + Changed + 1)]
    public async Task It_goes_on_with_the_beginning_that_another_way_left(int here)
    {
        disk.MakeFolder(DataFolder.Fetching);
        using (var part = disk.Append(DataFolder.Part(file.Digest)))
            part.Write(NewBytes.AsSpan(0, here));
        await PullAsync(whole: false);
        CheckDone();
        Assert.InRange(Came(DeliveryWay.Ranges), 0, Differs + Map.Write().Length);
    }

    [Fact]
    public async Task A_beginning_that_was_torn_is_cut_at_the_first_range_that_is_wrong()
    {
        disk.MakeFolder(DataFolder.Fetching);
        var torn = NewBytes[..(Head + 100_000)];
        torn[Head + 80_000] ^= 1; // in the second piece of the weights
        using (var part = disk.Append(DataFolder.Part(file.Digest)))
            part.Write(torn);

        await PullAsync(whole: false);

        CheckDone();
        Assert.Equal(Changed + Tail + Map.Write().Length, Came(DeliveryWay.Ranges)); // the head was right
    }

    [Fact]
    public async Task The_power_may_go_at_every_change()
    {
        for (var cut = 1; ; cut++)
        {
            disk.Delete(DataFolder.Blob(file.Digest));
            disk.Delete(DataFolder.Ranges(file.Digest));
            disk.CutAt = disk.Changes + cut;
            came.Clear();
            try
            {
                await PullAsync();
                break; // it has no further change
            }
            catch (PowerCutException)
            {
                disk.PowerOn();
                await PullAsync();
                new BlobStore(disk, 1 << 30).Collect(new HashSet<Sha256Digest> { old.Digest, file.Digest }); // as the next look at the plan does
                CheckDone();
                Assert.InRange(Came(DeliveryWay.Whole), 0, Changed + Tail); // with nothing to copy any more, the rest may as well come so
            }
        }

        Assert.Empty(told);
    }

    [Fact]
    public async Task A_full_disk_at_any_change_is_an_error_by_name_and_afterwards_it_goes_on()
    {
        for (var at = 1; ; at++)
        {
            disk.Delete(DataFolder.Blob(file.Digest));
            var full = disk.Changes + at;
            var met = false;
            disk.FullAt = change => change >= full && (met = true);
            try
            {
                await PullAsync();
                disk.FullAt = _ => false;
                if (!met)
                    break;
            }
            catch (Exception e) when (e is IOException or LinkException)
            {
                Assert.Contains("No space left on device", e.Message, StringComparison.Ordinal);
                disk.FullAt = _ => false;
                await PullAsync();
            }

            Assert.True(new BlobStore(disk, 1 << 30).Holds(file, default));
        }
    }

    /// <summary>One blob and its map.</summary>
    sealed class RangeShop(byte[] whole, byte[] map) : IRepositoryFiles
    {
        public byte[] Maps { get; set; } = map;

        public int? LieAt { get; set; }

        public bool NoRanges { get; set; }

        public bool WholeIsAway { get; set; }

        public int? BreakAfter { get; set; }

        public int RangeCalls { get; private set; }

        public Task<byte[]?> ReadAsync(string path, int most, CancellationToken cancel) => Task.FromResult<byte[]?>(null);

        public Task<FileBody> OpenAsync(RepositoryFile file, long offset, string? tag, CancellationToken cancel) =>
            !file.Path.EndsWith(file.For.Digest.ToString(), StringComparison.Ordinal) ? Task.FromResult(new FileBody(new MemoryStream(Maps), 0, null))
            : WholeIsAway ? throw new LinkException("away")
            : Task.FromResult(new FileBody(new MemoryStream(whole[(int)offset..]), offset, null));

        public async IAsyncEnumerable<FileBody> RangesAsync(RepositoryFile file, IReadOnlyList<ByteSpan> ranges, [EnumeratorCancellation] CancellationToken cancel)
        {
            RangeCalls++;
            await Task.CompletedTask;
            if (NoRanges)
                throw new LinkException("it gives no ranges") { Lasting = true };
            var bytes = whole.ToArray();
            if (LieAt is { } at)
                bytes[at] ^= 1;
            foreach (var range in ranges)
            {
                var end = (int)range.End;
                if (BreakAfter is { } left && range.Length > left)
                    (end, BreakAfter) = ((int)range.Offset + left, null);
                else if (BreakAfter is { } more)
                    BreakAfter = more - (int)range.Length;
                yield return new(new MemoryStream(bytes[(int)range.Offset..end]), range.Offset, null) { Length = range.Length };
            }
        }
    }
}
