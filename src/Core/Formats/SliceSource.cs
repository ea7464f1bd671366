namespace Coppice.Formats;

/// <summary>A run of bytes of another source, such as a stored entry of an archive.</summary>
public sealed class SliceSource : IByteSource
{
    readonly IByteSource whole;

    /// <exception cref="ArgumentOutOfRangeException">The run is not inside <paramref name="whole"/>.</exception>
    public SliceSource(IByteSource whole, long offset, long length)
    {
        ArgumentNullException.ThrowIfNull(whole);
        ByteRange.Check(offset, length, whole.Length);
        (this.whole, Offset, Length) = (whole, offset, length);
    }

    /// <summary>Where the run begins in the whole.</summary>
    public long Offset { get; }

    /// <inheritdoc/>
    public long Length { get; }

    /// <summary>The same run, in place when the whole is in memory.</summary>
    public static IByteSource Of(IByteSource whole, long offset, long length)
    {
        ArgumentNullException.ThrowIfNull(whole);
        if (whole is not MemorySource memory)
            return new SliceSource(whole, offset, length);
        ByteRange.Check(offset, length, whole.Length);
        return new MemorySource(memory.Bytes.Slice((int)offset, (int)length));
    }

    /// <inheritdoc/>
    public void Read(long offset, Span<byte> into)
    {
        ByteRange.Check(offset, into.Length, Length);
        whole.Read(Offset + offset, into);
    }
}
