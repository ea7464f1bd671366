namespace Coppice.Formats;

/// <summary>A seekable stream, read through a few cached windows so that small reads in several places stay cheap.</summary>
/// <remarks>
/// Holds at most <see cref="CacheBytes"/>, whatever the length of the stream. Not for several threads at once. The stream
/// stays the caller's: it must not be moved or written while the source is in use, and the caller closes it.
/// </remarks>
public sealed class StreamSource : IByteSource
{
    const int WindowBytes = 32 * 1024;
    const int Windows = 4;

    /// <summary>Upper bound of the memory that the source holds.</summary>
    public const int CacheBytes = WindowBytes * Windows;

    readonly Stream stream;
    readonly Window[] windows = new Window[Windows];
    long reads;

    /// <exception cref="ArgumentException">The stream cannot be read or cannot seek.</exception>
    public StreamSource(Stream stream)
    {
        ArgumentNullException.ThrowIfNull(stream);
        if (!stream.CanRead || !stream.CanSeek)
            throw new ArgumentException("The stream must be readable and seekable; copy it to a file or to memory first.", nameof(stream));
        this.stream = stream;
        Length = stream.Length;
        for (var i = 0; i < Windows; i++)
            windows[i] = new Window();
    }

    /// <inheritdoc/>
    public long Length { get; }

    /// <inheritdoc/>
    public void Read(long offset, Span<byte> into)
    {
        ByteRange.Check(offset, into.Length, Length);
        if (into.Length >= WindowBytes) // a long run gains nothing from the cache and would empty it
        {
            stream.Position = offset;
            stream.ReadExactly(into);
            return;
        }

        while (!into.IsEmpty)
        {
            var window = Containing(offset - offset % WindowBytes);
            var skip = (int)(offset - window.Start);
            var count = Math.Min(window.Filled - skip, into.Length);
            window.Bytes.AsSpan(skip, count).CopyTo(into);
            into = into[count..];
            offset += count;
        }
    }

    Window Containing(long start)
    {
        var oldest = windows[0];
        foreach (var window in windows)
        {
            if (window.Filled > 0 && window.Start == start)
            {
                window.LastUsed = ++reads;
                return window;
            }
            if (window.LastUsed < oldest.LastUsed)
                oldest = window;
        }

        var count = (int)Math.Min(WindowBytes, Length - start);
        oldest.Filled = 0; // a failed read must not leave a half-filled window behind
        oldest.Bytes ??= new byte[WindowBytes];
        stream.Position = start;
        stream.ReadExactly(oldest.Bytes.AsSpan(0, count));
        (oldest.Start, oldest.Filled, oldest.LastUsed) = (start, count, ++reads);
        return oldest;
    }

    sealed class Window
    {
        public byte[]? Bytes;
        public long Start;
        public int Filled;
        public long LastUsed;
    }
}
