using System.Buffers.Binary;
using System.Text;

namespace Coppice.Formats;

/// <summary>Small checked reads of a source, little-endian. Every read outside the file is the file's fault.</summary>
/// <param name="source">The file, or the entry of an archive.</param>
/// <param name="format">Named in errors.</param>
/// <param name="origin">Where the source begins in the whole file; added to offsets in errors.</param>
sealed class ByteWindow(IByteSource source, string format, long origin = 0)
{
    const int Ahead = 8192;

    readonly bool inMemory = source is MemorySource;
    readonly ReadOnlyMemory<byte> memory = source is MemorySource held ? held.Bytes : default;
    byte[] buffer = [];
    long start;
    int filled;
    long textLeft = Math.Min(ReadLimits.TextBytes, 65536 + Math.Min(source.Length, ReadLimits.TextBytes) * ReadLimits.TextPerFileByte);

    public IByteSource Source => source;
    public string Format => format;
    public long Origin => origin;
    public long Length => source.Length;

    /// <summary>Bytes in place or in a buffer that the next read overwrites.</summary>
    public ReadOnlySpan<byte> Slice(long offset, int count)
    {
        Check(offset, count, "a value");
        if (inMemory)
            return memory.Span.Slice((int)offset, count);

        if (offset < start || offset + count > start + filled)
        {
            var wanted = (int)Math.Min(Math.Max(count, Ahead), Length - offset);
            if (buffer.Length < wanted)
                buffer = new byte[wanted];
            filled = 0;
            source.Read(offset, buffer.AsSpan(0, wanted));
            (start, filled) = (offset, wanted);
        }
        return buffer.AsSpan((int)(offset - start), count);
    }

    public byte Byte(long offset) => Slice(offset, 1)[0];
    public ushort UInt16(long offset) => BinaryPrimitives.ReadUInt16LittleEndian(Slice(offset, 2));
    public int Int32(long offset) => BinaryPrimitives.ReadInt32LittleEndian(Slice(offset, 4));
    public uint UInt32(long offset) => BinaryPrimitives.ReadUInt32LittleEndian(Slice(offset, 4));
    public long Int64(long offset) => BinaryPrimitives.ReadInt64LittleEndian(Slice(offset, 8));
    public ulong UInt64(long offset) => BinaryPrimitives.ReadUInt64LittleEndian(Slice(offset, 8));

    /// <summary>A name of at most <see cref="ReadLimits.NameBytes"/>; bytes that are not UTF-8 become replacement characters.</summary>
    public string Name(long offset, long count)
    {
        if (count > ReadLimits.NameBytes)
            throw Malformed(offset, $"a name has {count} bytes, more than {ReadLimits.NameBytes}; the file is damaged or not meant to be read.");
        Check(offset, count, "a name");
        Spend(offset, count);
        return count == 0 ? "" : Encoding.UTF8.GetString(Slice(offset, (int)count));
    }

    /// <summary>A text of any length, shortened to <see cref="ReadLimits.MetadataCharacters"/>.</summary>
    public string Text(long offset, long count)
    {
        Check(offset, count, "a text");
        var kept = (int)Math.Min(count, ReadLimits.MetadataCharacters);
        Spend(offset, kept);
        var text = kept == 0 ? "" : Encoding.UTF8.GetString(Slice(offset, kept));
        return kept == count ? text : $"{text.TrimEnd('\uFFFD')}… ({count} bytes)";
    }

    /// <summary>Counts bytes that are kept in memory, so that a small file cannot ask for much by naming one text many times.</summary>
    public void Spend(long offset, long bytes)
    {
        textLeft -= bytes;
        if (textLeft < 0)
            throw Malformed(offset, "the file names more text than it can hold; it is damaged or made to exhaust memory.");
    }

    public void Check(long offset, long count, string what)
    {
        if (!ByteRange.IsInside(offset, count, Length))
            throw Malformed(offset, $"{what} of {count} bytes does not fit into {Length} bytes; the file is cut short or damaged, fetch it again.");
    }

    public MalformedFileException Malformed(long offset, string problem) => new(format, Overflowing(offset), problem);

    long Overflowing(long offset) => offset < 0 || offset > long.MaxValue - origin ? offset : offset + origin;
}
