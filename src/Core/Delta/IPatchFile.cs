namespace Coppice.Delta;

/// <summary>A file that is changed where it lies, or a journal; the caller's side of patching in place.</summary>
public interface IPatchFile
{
    /// <summary>Bytes in the file.</summary>
    long Length { get; }

    /// <summary>Fills <paramref name="into"/> from <paramref name="offset"/> on; the range is inside the file.</summary>
    void Read(long offset, Span<byte> into);

    /// <summary>Writes, and makes the file longer where the range goes beyond its end. Need not be durable before <see cref="Flush"/>.</summary>
    void Write(long offset, ReadOnlySpan<byte> bytes);

    /// <summary>Cuts or extends the file.</summary>
    void SetLength(long length);

    /// <summary>Returns when everything written is durable.</summary>
    void Flush();
}
