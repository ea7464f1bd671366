using Coppice.Formats;

namespace Coppice.Delta;

/// <summary>Several old files as one, one after the other.</summary>
sealed class OldFiles : IByteSource
{
    readonly IReadOnlyList<IByteSource> files;
    readonly long[] starts;

    public OldFiles(IReadOnlyList<IByteSource> files)
    {
        this.files = files;
        starts = new long[files.Count];
        foreach (var (i, file) in files.Index())
        {
            starts[i] = Length;
            Length += file.Length;
        }
    }

    public long Length { get; private set; }

    /// <summary>Where a file begins.</summary>
    public long StartOf(int file) => starts[file];

    public void Read(long offset, Span<byte> into)
    {
        ByteRange.Check(offset, into.Length, Length);
        for (var i = files.Count - 1; into.Length > 0 && i >= 0; i--)
        {
            var end = starts[i] + files[i].Length;
            if (offset >= end || offset + into.Length <= starts[i])
                continue;
            // The later part first: what is left then ends where this file begins.
            var from = Math.Max(offset, starts[i]);
            var count = (int)(Math.Min(end, offset + into.Length) - from);
            files[i].Read(from - starts[i], into.Slice((int)(from - offset), count));
            into = into[..(int)(from - offset)];
        }
    }
}
