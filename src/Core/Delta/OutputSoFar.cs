using Coppice.Formats;

namespace Coppice.Delta;

/// <summary>What has been written of the new file.</summary>
sealed class OutputSoFar(Stream output) : IByteSource
{
    /// <summary>Set before a record is decoded.</summary>
    public long Length { get; set; }

    public void Read(long offset, Span<byte> into)
    {
        ByteRange.Check(offset, into.Length, Length);
        output.Position = offset;
        output.ReadExactly(into);
    }
}
