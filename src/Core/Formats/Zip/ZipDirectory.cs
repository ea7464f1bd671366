using System.Buffers.Binary;
using System.Collections.Immutable;

namespace Coppice.Formats.Zip;

/// <summary>An entry of an archive.</summary>
/// <param name="Name">As the directory gives it, with forward slashes.</param>
/// <param name="Offset">Where its data begins in the archive.</param>
/// <param name="Length">Bytes of its data as they lie there.</param>
/// <param name="IsStored">Neither compressed nor encrypted: the bytes are the file.</param>
readonly record struct ZipEntry(string Name, long Offset, long Length, bool IsStored);

/// <summary>The central directory of a zip archive, zip64 included. Entries are located, never inflated.</summary>
/// <remarks>Layout after APPNOTE.TXT 6.3.10, sections 4.3 and 4.5.3.</remarks>
static class ZipDirectory
{
    public const uint LocalSignature = 0x04034B50; // "PK\3\4"

    const uint CentralSignature = 0x02014B50, EndSignature = 0x06054B50, End64Signature = 0x06064B50, Locator64Signature = 0x07064B50;
    const int LocalBytes = 30, CentralBytes = 46, EndBytes = 22, End64Bytes = 56, Locator64Bytes = 20;
    const int LongestComment = ushort.MaxValue;

    public static ImmutableArray<ZipEntry> Read(ByteWindow bytes)
    {
        var (count, offset, end) = FindDirectory(bytes);
        if (count > ReadLimits.ArchiveEntries)
            throw bytes.Malformed(offset, $"the archive lists {count} entries, more than {ReadLimits.ArchiveEntries}; split it.");
        if (count > (end - offset) / CentralBytes)
            throw bytes.Malformed(offset, $"{count} entries do not fit into a directory of {end - offset} bytes; the archive is damaged, fetch it again.");

        var entries = ImmutableArray.CreateBuilder<ZipEntry>((int)count);
        var runs = new List<(long Start, long End)>((int)count);
        for (var i = 0L; i < count; i++)
            offset = ReadEntry(bytes, offset, end, entries, runs);

        runs.Sort();
        for (var i = 1; i < runs.Count; i++)
        {
            if (runs[i].Start < runs[i - 1].End)
                throw bytes.Malformed(runs[i].Start, "two entries of the archive share bytes; it is damaged or made to exhaust the reader.");
        }
        return entries.DrainToImmutable();
    }

    static long ReadEntry(ByteWindow bytes, long offset, long end, ImmutableArray<ZipEntry>.Builder entries, List<(long, long)> runs)
    {
        var header = bytes.Slice(offset, CentralBytes);
        if (BinaryPrimitives.ReadUInt32LittleEndian(header) != CentralSignature)
            throw bytes.Malformed(offset, "the archive's directory does not continue here; it is damaged, fetch it again.");
        var flags = BinaryPrimitives.ReadUInt16LittleEndian(header[8..]);
        var method = BinaryPrimitives.ReadUInt16LittleEndian(header[10..]);
        var packed = (long)BinaryPrimitives.ReadUInt32LittleEndian(header[20..]);
        var size = (long)BinaryPrimitives.ReadUInt32LittleEndian(header[24..]);
        var nameBytes = BinaryPrimitives.ReadUInt16LittleEndian(header[28..]);
        var extraBytes = BinaryPrimitives.ReadUInt16LittleEndian(header[30..]);
        var commentBytes = BinaryPrimitives.ReadUInt16LittleEndian(header[32..]);
        var local = (long)BinaryPrimitives.ReadUInt32LittleEndian(header[42..]);

        var next = offset + CentralBytes + nameBytes + extraBytes + commentBytes;
        if (next > end)
            throw bytes.Malformed(offset, "an entry reaches past the archive's directory; it is damaged, fetch it again.");
        var name = bytes.Name(offset + CentralBytes, nameBytes);
        ReadZip64(bytes.Slice(offset + CentralBytes + nameBytes, extraBytes), ref size, ref packed, ref local);

        bytes.Check(local, LocalBytes, $"the header of entry '{name}'");
        var start = bytes.Slice(local, LocalBytes);
        if (BinaryPrimitives.ReadUInt32LittleEndian(start) != LocalSignature)
            throw bytes.Malformed(local, $"entry '{name}' does not begin here; the archive is damaged, fetch it again.");
        var data = local + LocalBytes + BinaryPrimitives.ReadUInt16LittleEndian(start[26..]) + BinaryPrimitives.ReadUInt16LittleEndian(start[28..]);
        bytes.Check(data, packed, $"entry '{name}'");

        const int encrypted = 1;
        var stored = method == 0 && (flags & encrypted) == 0;
        if (stored && packed != size)
            throw bytes.Malformed(offset, $"entry '{name}' is stored in {packed} bytes but says it has {size}; the archive is damaged.");
        entries.Add(new(name, data, packed, stored));
        runs.Add((local, data + packed));
        return next;
    }

    /// <summary>The zip64 extra field holds, in this order, those of the numbers that are all ones in the header.</summary>
    static void ReadZip64(ReadOnlySpan<byte> extra, ref long size, ref long packed, ref long local)
    {
        const ushort zip64 = 1;
        while (extra.Length >= 4)
        {
            var id = BinaryPrimitives.ReadUInt16LittleEndian(extra);
            var length = BinaryPrimitives.ReadUInt16LittleEndian(extra[2..]);
            extra = extra[4..];
            if (length > extra.Length)
                return; // padding that other tools write here
            if (id == zip64)
            {
                var numbers = extra[..length];
                Take(ref numbers, ref size);
                Take(ref numbers, ref packed);
                Take(ref numbers, ref local);
            }
            extra = extra[length..];
        }

        static void Take(ref ReadOnlySpan<byte> numbers, ref long number)
        {
            if (number != uint.MaxValue || numbers.Length < 8)
                return;
            number = BinaryPrimitives.ReadInt64LittleEndian(numbers);
            numbers = numbers[8..];
        }
    }

    static (long Count, long Offset, long End) FindDirectory(ByteWindow bytes)
    {
        var searched = (int)Math.Min(bytes.Length, EndBytes + LongestComment);
        var from = bytes.Length - searched;
        var tail = bytes.Slice(from, searched);
        Span<byte> signature = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(signature, EndSignature);
        for (var at = tail.LastIndexOf(signature); at >= 0; at = tail[..at].LastIndexOf(signature))
        {
            if (at + EndBytes > tail.Length || at + EndBytes + BinaryPrimitives.ReadUInt16LittleEndian(tail[(at + 20)..]) != tail.Length)
                continue;
            var count = (long)BinaryPrimitives.ReadUInt16LittleEndian(tail[(at + 10)..]);
            var size = (long)BinaryPrimitives.ReadUInt32LittleEndian(tail[(at + 12)..]);
            var offset = (long)BinaryPrimitives.ReadUInt32LittleEndian(tail[(at + 16)..]);
            var end = from + at;
            if (end >= Locator64Bytes && bytes.UInt32(end - Locator64Bytes) == Locator64Signature)
                (count, size, offset) = Find64(bytes, bytes.Int64(end - Locator64Bytes + 8));
            if (!ByteRange.IsInside(offset, size, end))
                throw bytes.Malformed(from + at, $"a directory of {size} bytes at byte {offset} does not lie before its end record; the archive is damaged, fetch it again.");
            return (count, offset, offset + size);
        }
        throw bytes.Malformed(bytes.Length, "the archive has no directory at its end; it is cut short, fetch it again.");
    }

    static (long Count, long Size, long Offset) Find64(ByteWindow bytes, long at)
    {
        bytes.Check(at, End64Bytes, "the zip64 end record");
        if (bytes.UInt32(at) != End64Signature)
            throw bytes.Malformed(at, "the zip64 end record is not here; the archive is damaged, fetch it again.");
        var (count, size, offset) = (bytes.Int64(at + 32), bytes.Int64(at + 40), bytes.Int64(at + 48));
        return count < 0 ? throw bytes.Malformed(at + 32, "the archive lists more than 2^63 entries; it is damaged.") : (count, size, offset);
    }
}
