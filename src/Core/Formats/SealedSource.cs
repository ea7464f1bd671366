using Coppice.Trust.Sealing;

namespace Coppice.Formats;

/// <summary>The plaintext of a sealed file, read at any place through a few opened segments, so that small reads in several places stay cheap.</summary>
/// <remarks>Holds at most five segments, whatever the length of the file. Not for several threads at once.</remarks>
public sealed class SealedSource : IByteSource, IDisposable
{
    const int Windows = 4;

    readonly IByteSource source;
    readonly SegmentCipher cipher;
    readonly byte[] segment;
    readonly (long Index, byte[] Plain, long Used)[] windows = new (long, byte[], long)[Windows];
    long reads;

    /// <param name="source">The whole sealed file.</param>
    /// <param name="key">Its key.</param>
    /// <exception cref="BrokenSealException">It is no sealed file, was cut or lengthened, or the key is not its own.</exception>
    public SealedSource(IByteSource source, ContentKey key)
    {
        this.source = source;
        if (source.Length < SealHeader.ByteCount)
            throw new BrokenSealException($"A sealed file has a header of {SealHeader.ByteCount} bytes; this one has {source.Length} in all.");
        Span<byte> header = stackalloc byte[SealHeader.ByteCount];
        source.Read(0, header);
        Header = SealHeader.Read(header);
        Length = SealHeader.PlainLength(source.Length, Header.Segment)
            ?? throw new BrokenSealException($"No sealed file with segments of {Header.Segment} bytes has {source.Length} bytes; it was cut or lengthened.");
        cipher = new(key, Header);
        segment = new byte[Math.Min(Header.Segment, Length) + SealHeader.TagBytes];
        Array.Fill(windows, (-1, [], 0));
        _ = Opened(SealHeader.Segments(Length, Header.Segment) - 1); // the last one proves the length, also of a file that is said to be empty
    }

    /// <summary>The file's header.</summary>
    public SealHeader Header { get; }

    /// <inheritdoc/>
    public long Length { get; }

    /// <inheritdoc/>
    /// <exception cref="BrokenSealException">A segment is not the file's.</exception>
    public void Read(long offset, Span<byte> into)
    {
        ByteRange.Check(offset, into.Length, Length);
        while (!into.IsEmpty)
        {
            var index = offset / Header.Segment;
            var part = Opened(index)[(int)(offset - (index * Header.Segment))..];
            var count = Math.Min(into.Length, part.Length);
            part[..count].CopyTo(into);
            into = into[count..];
            offset += count;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => cipher.Dispose();

    ReadOnlySpan<byte> Opened(long index)
    {
        var size = (int)Math.Min(Header.Segment, Length - (index * Header.Segment));
        var oldest = 0;
        for (var i = 0; i < Windows; i++)
        {
            if (windows[i].Index == index)
            {
                windows[i].Used = ++reads;
                return windows[i].Plain.AsSpan(0, size);
            }

            if (windows[i].Used < windows[oldest].Used)
                oldest = i;
        }

        ref var window = ref windows[oldest];
        window.Index = -1;
        if (window.Plain.Length == 0)
            window.Plain = new byte[Math.Min(Header.Segment, Length)];
        source.Read(SealHeader.SegmentAt(index, Header.Segment), segment.AsSpan(0, size + SealHeader.TagBytes));
        cipher.Open(index, index == SealHeader.Segments(Length, Header.Segment) - 1, segment.AsSpan(0, size + SealHeader.TagBytes), window.Plain.AsSpan(0, size));
        (window.Index, window.Used) = (index, ++reads);
        return window.Plain.AsSpan(0, size);
    }
}
