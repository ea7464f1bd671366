namespace Coppice.Formats;

/// <summary>Bytes in memory. May be read from many threads at once.</summary>
public sealed class MemorySource(ReadOnlyMemory<byte> bytes) : IByteSource
{
    /// <summary>All bytes, for readers that can work in place.</summary>
    public ReadOnlyMemory<byte> Bytes { get; } = bytes;

    /// <inheritdoc/>
    public long Length => Bytes.Length;

    /// <inheritdoc/>
    public void Read(long offset, Span<byte> into)
    {
        ByteRange.Check(offset, into.Length, Length);
        Bytes.Span.Slice((int)offset, into.Length).CopyTo(into);
    }
}
