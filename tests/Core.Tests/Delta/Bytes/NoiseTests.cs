using Coppice.Delta.Bytes;
using Coppice.Formats;

namespace Coppice.Core.Tests.Delta.Bytes;

/// <summary>Frames in which there is nothing to find are stored unsearched; those that only look so are not among them.</summary>
public sealed class NoiseTests
{
    const int Length = 1 << 18;

    static byte[] Random(int seed, int length)
    {
        var bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    static ByteFrame Encode(byte[] frame, byte[]? old = null) =>
        new ByteEncoder(old is null ? [] : [new MemorySource(old)], new MemorySource(frame), new() { Effort = ByteEffort.Fast }).Encode(0, frame.Length);

    [Fact]
    public void Even_bytes_that_never_came_before_are_stored()
    {
        var coded = Encode(Random(1, Length), Random(2, Length));
        Assert.Equal(Length + 1, coded.Payload.Length);
        Assert.Equal(0, coded.Statistics.Steps);
    }

    [Theory]
    [InlineData(5_000)]
    [InlineData(60_000)]
    public void A_block_of_the_old_file_is_found_in_them(int block)
    {
        var (old, frame) = (Random(2, Length), Random(1, Length));
        old.AsSpan(1_001, block).CopyTo(frame.AsSpan(100_003));
        Assert.InRange(Encode(frame, old).Statistics.FromOld, block, block + 8);
    }

    [Fact]
    public void So_is_a_block_that_comes_again()
    {
        var frame = Random(1, Length);
        frame.AsSpan(1_003, 5_000).CopyTo(frame.AsSpan(200_001));
        Assert.InRange(Encode(frame).Statistics.FromNew, 5_000, 5_100);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void And_a_field_of_a_narrow_range_is_coded(int place)
    {
        var narrow = Random(1, Length);
        for (var i = place; i < Length; i += 4)
            narrow[i] &= 0x3F;
        Assert.InRange(Encode(narrow).Payload.Length, Length * 15 / 16 - 2_000, Length - 1_000);
    }

    [Fact]
    public void Noise_with_a_moved_block_comes_back()
    {
        var old = Random(2, Length);
        byte[] made = [.. Random(3, 100_000), .. old[50_000..200_000], .. Random(4, 12_144)];
        Assert.InRange(Frames.RoundTrip([old], made), 100_000, 113_500);
    }
}
