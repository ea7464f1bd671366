using Coppice.Formats;

namespace Coppice.Delta;

/// <summary>What has been written of the new file.</summary>
sealed class OutputSoFar(Stream output, long length) : IByteSource
{
    public long Length => length;

    public void Read(long offset, Span<byte> into)
    {
        ByteRange.Check(offset, into.Length, length);
        output.Position = offset;
        output.ReadExactly(into);
    }
}
