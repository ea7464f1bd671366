using Coppice.Delta.Bytes;
using Coppice.Formats;

namespace Coppice.Core.Tests.Delta.Bytes;

/// <summary>Whole files through the byte codec, frame by frame, as a patch does it.</summary>
static class Frames
{
    /// <summary>Codes all of <paramref name="made"/> in frames of a length.</summary>
    public static List<byte[]> Encode(byte[][] olds, byte[] made, int frame, ByteEncoderOptions? options = null)
    {
        var encoder = new ByteEncoder([.. olds.Select(old => new MemorySource(old))], new MemorySource(made), options);
        var frames = new List<byte[]>();
        for (var start = 0; start < made.Length; start += frame)
            frames.Add([.. encoder.Encode(start, Math.Min(frame, made.Length - start)).Payload]);
        return frames;
    }

    /// <summary>Makes the file again; the decoder sees no byte before it has made it.</summary>
    public static byte[] Decode(byte[][] olds, List<byte[]> frames, int length, int frame)
    {
        var made = new byte[length];
        var prefix = new Prefix(made);
        var decoder = new ByteDecoder([.. olds.Select(old => new MemorySource(old))], prefix);
        for (var (i, start) = (0, 0); start < length; i++, start += frame)
        {
            prefix.Known = start;
            decoder.Decode(frames[i], start, made.AsSpan(start, Math.Min(frame, length - start)));
        }
        return made;
    }

    /// <summary>Codes, makes again and compares; gives the bytes sent.</summary>
    public static int RoundTrip(byte[][] olds, byte[] made, int frame = 1 << 20, ByteEncoderOptions? options = null)
    {
        var frames = Encode(olds, made, frame, options);
        Assert.True(made.AsSpan().SequenceEqual(Decode(olds, frames, made.Length, frame)), "the bytes made are not the bytes coded");
        return frames.Sum(payload => payload.Length);
    }

    sealed class Prefix(byte[] bytes) : IByteSource
    {
        public int Known { get; set; }

        public long Length => Known;

        public void Read(long offset, Span<byte> into)
        {
            Assert.True(offset >= 0 && into.Length <= Known - offset, $"{into.Length} bytes are read from byte {offset} of {Known} that are there");
            bytes.AsSpan((int)offset, into.Length).CopyTo(into);
        }
    }
}
