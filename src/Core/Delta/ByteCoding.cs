using Coppice.Formats;

namespace Coppice.Delta;

/// <summary>Codes bytes that are no tensor.</summary>
static class ByteCoding
{
    public static byte[] Encode(IReadOnlyList<IByteSource> oldFiles, IByteSource made, long start, int count)
    {
        _ = oldFiles;
        var bytes = new byte[count];
        made.Read(start, bytes);
        return bytes;
    }

    public static void Decode(ReadOnlySpan<byte> payload, IReadOnlyList<IByteSource> oldFiles, IByteSource made, long start, Span<byte> into, long offset)
    {
        _ = (oldFiles, made, start);
        if (payload.Length != into.Length)
            throw new MalformedPatchException(offset, $"{payload.Length} stored bytes cannot make {into.Length}.");
        payload.CopyTo(into);
    }
}
