namespace Coppice.Formats;

/// <summary>Bytes that can be read at any place: a file, a part of one, or memory.</summary>
/// <remarks>The length does not change while the source is used.</remarks>
public interface IByteSource
{
    /// <summary>Bytes in the source.</summary>
    long Length { get; }

    /// <summary>Fills <paramref name="into"/> with the bytes from <paramref name="offset"/> on.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range is not inside the source; nothing was read.</exception>
    /// <exception cref="EndOfStreamException">The file behind the source has become shorter.</exception>
    void Read(long offset, Span<byte> into);
}

static class ByteRange
{
    /// <summary>Whether <paramref name="count"/> bytes from <paramref name="offset"/> lie inside a source of <paramref name="length"/>; no sum can overflow.</summary>
    public static bool IsInside(long offset, long count, long length) =>
        offset >= 0 && count >= 0 && offset <= length && count <= length - offset;

    public static void Check(long offset, long count, long length)
    {
        if (!IsInside(offset, count, length))
            throw new ArgumentOutOfRangeException(
                nameof(offset), $"{count} bytes from byte {offset} are not inside a source of {length} bytes; check the range first.");
    }
}
