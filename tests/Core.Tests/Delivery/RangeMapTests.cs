using System.Buffers.Binary;
using System.Globalization;
using Coppice.Delivery;
using Coppice.Formats;
using Coppice.Tests;
using Coppice.Trust;

namespace Coppice.Core.Tests.Delivery;

public sealed class RangeMapTests
{
    static readonly int Cases = int.Parse(Environment.GetEnvironmentVariable("COPPICE_FUZZ_CASES") ?? "20000", CultureInfo.InvariantCulture);

    static readonly RangeCut Cut = new(RangeCut.MinPiece, 4096);

    static TensorMap Tensors(long length, params (long Offset, long Length)[] tensors) => new(
        ModelFormat.Opaque, length, [.. tensors.Select((tensor, i) => new TensorEntry($"t{i}", ElementType.UInt8, [tensor.Length], tensor.Offset, tensor.Length))], []);

    static byte[] Random(int seed, int length)
    {
        var bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    static RangeMap Of(byte[] bytes, TensorMap? tensors = null, RangeCut? cut = null) =>
        RangeMap.Of(new MemorySource(bytes), new(Sha256Digest.Of(bytes), bytes.Length), tensors ?? Tensors(bytes.Length), cut ?? Cut);

    [Fact]
    public void A_file_is_cut_at_both_ends_of_its_tensors_and_long_runs_into_pieces()
    {
        // 100 bytes of head, a tensor of 64 KiB + 5, one too small to count, one of 4096 and a tail.
        var lengths = Cut.Lengths(Tensors(200_000, (100, 65_541), (65_700, 10), (70_000, 4096)));
        Assert.Equal([100, 65_536, 5, 70_000 - 65_641, 4096, 65_536, 200_000 - 74_096 - 65_536], lengths);
    }

    [Fact]
    public void Tensors_that_share_bytes_are_cut_out_once() =>
        Assert.Equal([10_000, 5_000, 65_536, 85_000 - 65_536], Cut.Lengths(Tensors(100_000, (10_000, 5_000), (10_000, 5_000), (12_000, 4_096))));

    [Fact]
    public void An_empty_file_has_no_ranges()
    {
        var map = Of([]);
        Assert.Equal(0, map.Count);
        Assert.True(RangeMap.TryRead(map.Write(), out var read, out _));
        Assert.Equal(0, read.Count);
    }

    [Fact]
    public void A_map_reads_back_as_it_was_written_and_its_ranges_are_the_file()
    {
        var bytes = Random(1, 300_000);
        var map = Of(bytes, Tensors(bytes.Length, (1000, 100_000), (150_000, 20_000)));

        Assert.True(RangeMap.TryRead(map.Write(), out var read, out var problem), problem);

        Assert.Equal((map.File, map.Cut, map.Count), (read.File, read.Cut, read.Count));
        var end = 0L;
        for (var i = 0; i < read.Count; i++)
        {
            Assert.Equal(end, read.OffsetOf(i));
            Assert.Equal(Sha256Digest.Of(bytes.AsSpan((int)read.OffsetOf(i), read.LengthOf(i))), read.DigestOf(i));
            end += read.LengthOf(i);
        }

        Assert.Equal(bytes.Length, end);
        Assert.Equal(map.Write(), read.Write());
    }

    [Fact]
    public void The_bytes_of_a_map_are_as_the_page_on_the_format_says()
    {
        var bytes = Random(2, 70_000);
        var written = Of(bytes).Write();
        Assert.Equal("CTM1"u8.ToArray(), written[..4]);
        Assert.Equal(70_000, BinaryPrimitives.ReadInt64LittleEndian(written.AsSpan(4)));
        Assert.Equal(Sha256Digest.Of(bytes).ToArray(), written[12..44]);
        Assert.Equal((65_536, 4096, 2), (BinaryPrimitives.ReadInt32LittleEndian(written.AsSpan(44)), BinaryPrimitives.ReadInt32LittleEndian(written.AsSpan(48)), BinaryPrimitives.ReadInt32LittleEndian(written.AsSpan(52))));
        Assert.Equal(65_536, BinaryPrimitives.ReadInt32LittleEndian(written.AsSpan(56)));
        Assert.Equal(Sha256Digest.Of(bytes.AsSpan(0, 65_536)).ToArray(), written[60..92]);
        Assert.Equal(4464, BinaryPrimitives.ReadInt32LittleEndian(written.AsSpan(92)));
        Assert.Equal(56 + 2 * 36, written.Length);
    }

    [Theory]
    [InlineData(0, 0)]
    [InlineData(65_535, 0)]
    [InlineData(65_536, 1)]
    [InlineData(65_537, 1)]
    [InlineData(131_072, 2)]
    [InlineData(150_000, 3)]
    public void It_counts_the_ranges_before_a_byte(long end, int count) => Assert.Equal(count, Of(Random(3, 150_000)).CountUpTo(end));

    [Theory]
    [InlineData(100_000, 65_536)]
    [InlineData(50_000_000, 65_536)]
    [InlineData(1_000_000_000, 262_144)]
    [InlineData(5_000_000_000, 2_097_152)]
    [InlineData(200_000_000_000, 4_194_304)]
    public void Pieces_grow_with_the_file_so_that_its_map_does_not(long length, int piece)
    {
        var cut = RangeCut.For(Tensors(length))!;
        Assert.Equal(piece, cut.PieceBytes);
        Assert.InRange(cut.Lengths(Tensors(length)).Count(), 1, RangeMap.MaxRanges);
    }

    [Fact]
    public void A_file_of_very_many_tensors_is_cut_at_the_large_ones_only()
    {
        var tensors = Tensors(700_000_000, [.. Enumerable.Range(0, 70_000).Select(i => (i * 10_000L, i % 10 == 0 ? 9_000L : 5_000L))]);
        var cut = RangeCut.For(tensors)!;
        Assert.True(cut.SmallestTensor > 9_000);
        Assert.InRange(cut.Lengths(tensors).Count(), 1, RangeMap.MaxRanges);
    }

    [Fact]
    public void A_file_that_cannot_be_mapped_is_not() => Assert.Null(RangeCut.For(Tensors((RangeMap.MaxRanges + 1L) * RangeCut.MaxPiece)));

    [Fact]
    public void The_same_tensor_has_the_same_ranges_in_another_format()
    {
        var weights = Random(4, 200_000);
        byte[] one = [.. Random(5, 333), .. weights, .. Random(6, 100)];
        byte[] other = [.. Random(7, 9_999), .. weights, .. Random(8, 70_000)];
        var first = Of(one, Tensors(one.Length, (333, weights.Length)));
        var second = Of(other, Tensors(other.Length, (9_999, weights.Length)));
        var digests = Enumerable.Range(0, first.Count).Select(first.DigestOf).ToHashSet();
        var shared = Enumerable.Range(0, second.Count).Where(i => digests.Contains(second.DigestOf(i))).Sum(second.LengthOf);
        Assert.Equal(weights.Length, shared);
    }

    [Fact]
    public void Real_models_of_every_format_are_cut_whole()
    {
        if (!SharedFiles.TryFind("models", out var folder))
            return;
        var seen = 0;
        foreach (var path in Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories).Where(path => new FileInfo(path).Length is >= RangeMap.SmallestFile and < 20_000_000))
        {
            using var stream = File.OpenRead(path);
            var tensors = RangeCut.TensorsOf(new StreamSource(stream));
            var cut = RangeCut.For(tensors)!;
            Assert.Equal(stream.Length, cut.Lengths(tensors).Sum(length => (long)length));
            seen++;
        }

        Assert.True(seen > 20, $"only {seen} files in {folder}");
    }

    [Fact]
    public void A_damaged_map_is_read_whole_or_refused_in_memory_that_its_length_bounds()
    {
        var seed = Of(Random(9, 400_000), Tensors(400_000, (5_000, 200_000), (250_000, 50_000))).Write();
        var refused = 0;
        for (var i = 0; i < Cases; i++)
        {
            var random = new Random(i);
            var bytes = seed.ToArray();
            for (var flips = random.Next(1, 4); flips > 0; flips--)
                bytes[random.Next(3) == 0 ? random.Next(bytes.Length) : random.Next(RangeMap.HeadBytes)] = (byte)random.Next(256);
            if (random.Next(4) == 0)
                bytes = bytes[..random.Next(bytes.Length)];

            var before = GC.GetAllocatedBytesForCurrentThread();
            var whole = RangeMap.TryRead(bytes, out var map, out var problem);
            var allocated = GC.GetAllocatedBytesForCurrentThread() - before;

            Assert.True(allocated <= 4096 + 3L * bytes.Length, $"case {i}: {allocated} bytes for a map of {bytes.Length}");
            if (!whole)
            {
                Assert.NotEmpty(problem!);
                refused++;
                continue;
            }

            var end = 0L;
            for (var range = 0; range < map!.Count; range++)
            {
                Assert.InRange(map.LengthOf(range), 1, map.Cut.PieceBytes);
                end += map.LengthOf(range);
            }

            Assert.Equal(map.File.Length, end);
        }

        Assert.InRange(refused, Cases / 10, Cases);
    }
}
