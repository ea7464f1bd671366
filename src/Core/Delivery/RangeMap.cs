using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using Coppice.Formats;
using Coppice.Registry;
using Coppice.Trust;

namespace Coppice.Delivery;

/// <summary>The ranges that make a file, with their digests: what a device compares with what it holds, to fetch the rest. Specified in docs/formats/tensor-map.md.</summary>
/// <remarks>One that exists is whole: its ranges are the file without gap. Memory: 44 bytes a range, at most 3 MB.</remarks>
public sealed class RangeMap
{
    /// <summary>Most ranges of a file.</summary>
    public const int MaxRanges = 65_536;

    /// <summary>Bytes before the ranges.</summary>
    public const int HeadBytes = 56;

    /// <summary>Bytes of a range.</summary>
    public const int EntryBytes = 4 + Sha256Digest.ByteCount;

    /// <summary>Largest map, in bytes.</summary>
    public const int MaxBytes = HeadBytes + MaxRanges * EntryBytes;

    /// <summary>For a shorter file a map is no gain: asking for it costs as much as half of the file.</summary>
    public const int SmallestFile = 128 << 10;

    const uint Magic = 0x314D5443; // "CTM1"

    readonly long[] offsets; // one more than ranges
    readonly Sha256Digest[] digests;

    RangeMap(BlobName file, RangeCut cut, long[] offsets, Sha256Digest[] digests) => (File, Cut, this.offsets, this.digests) = (file, cut, offsets, digests);

    /// <summary>The file.</summary>
    public BlobName File { get; }

    /// <summary>How it was cut. Cut the same way, another file shows the ranges that both have.</summary>
    public RangeCut Cut { get; }

    /// <summary>Ranges.</summary>
    public int Count => digests.Length;

    /// <summary>The place of a range's first byte.</summary>
    public long OffsetOf(int range) => offsets[range];

    /// <summary>Bytes of a range.</summary>
    public int LengthOf(int range) => (int)(offsets[range + 1] - offsets[range]);

    /// <summary>SHA-256 of a range's bytes.</summary>
    public Sha256Digest DigestOf(int range) => digests[range];

    /// <summary>How many ranges end at or before a byte.</summary>
    public int CountUpTo(long end)
    {
        var found = Array.BinarySearch(offsets, end);
        return found >= 0 ? found : ~found - 1;
    }

    /// <summary>Reads a whole file and maps it.</summary>
    /// <param name="source">The file.</param>
    /// <param name="file">Its name.</param>
    /// <param name="tensors">Its tensors.</param>
    /// <param name="cut">How to cut it.</param>
    /// <param name="cancel">Ends the call.</param>
    /// <exception cref="ArgumentException">It would have too many ranges.</exception>
    public static RangeMap Of(IByteSource source, BlobName file, TensorMap tensors, RangeCut cut, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(source);
        var lengths = cut.Lengths(tensors).Take(MaxRanges + 1).ToList();
        if (lengths.Count > MaxRanges)
            throw new ArgumentException($"The file would be cut into more than {MaxRanges} ranges; cut it into longer ones.", nameof(cut));
        var offsets = new long[lengths.Count + 1];
        var digests = new Sha256Digest[lengths.Count];
        var buffer = new byte[cut.PieceBytes];
        for (var i = 0; i < digests.Length; i++)
        {
            cancel.ThrowIfCancellationRequested();
            var bytes = buffer.AsSpan(0, lengths[i]);
            source.Read(offsets[i], bytes);
            digests[i] = Sha256Digest.Of(bytes);
            offsets[i + 1] = offsets[i] + lengths[i];
        }

        return new(file, cut, offsets, digests);
    }

    /// <summary>The map's bytes; the same map gives the same.</summary>
    public byte[] Write()
    {
        var bytes = new byte[HeadBytes + Count * EntryBytes];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, Magic);
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(4), File.Length);
        File.Digest.CopyTo(bytes.AsSpan(12));
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(44), Cut.PieceBytes);
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(48), Cut.SmallestTensor);
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(52), Count);
        for (var i = 0; i < Count; i++)
        {
            var entry = bytes.AsSpan(HeadBytes + i * EntryBytes);
            BinaryPrimitives.WriteInt32LittleEndian(entry, LengthOf(i));
            digests[i].CopyTo(entry[4..]);
        }

        return bytes;
    }

    /// <summary>Reads a map. Takes no more memory than <see cref="MaxBytes"/> says, whatever the bytes are.</summary>
    /// <param name="bytes">The whole map.</param>
    /// <param name="map">The map when there is no problem.</param>
    /// <param name="problem">What is wrong: where, found and wanted.</param>
    public static bool TryRead(ReadOnlySpan<byte> bytes, [NotNullWhen(true)] out RangeMap? map, [NotNullWhen(false)] out string? problem)
    {
        map = null;
        if (bytes.Length < HeadBytes || BinaryPrimitives.ReadUInt32LittleEndian(bytes) != Magic)
        {
            problem = $"{bytes.Length} bytes that do not begin with CTM1 are no tensor map.";
            return false;
        }

        var length = BinaryPrimitives.ReadInt64LittleEndian(bytes[4..]);
        var cut = new RangeCut(BinaryPrimitives.ReadInt32LittleEndian(bytes[44..]), BinaryPrimitives.ReadInt32LittleEndian(bytes[48..]));
        var count = BinaryPrimitives.ReadInt32LittleEndian(bytes[52..]);
        if (count is < 0 or > MaxRanges || bytes.Length != HeadBytes + count * EntryBytes)
        {
            problem = $"a tensor map of {count} ranges has {HeadBytes + (long)count * EntryBytes} bytes and at most {MaxRanges} ranges; this one has {bytes.Length} bytes.";
            return false;
        }

        if (cut.PieceBytes is < RangeCut.MinPiece or > RangeCut.MaxPiece || cut.SmallestTensor is < 1 or > RangeCut.MaxPiece)
        {
            problem = $"pieces of {cut.PieceBytes} bytes and tensors from {cut.SmallestTensor} are outside {RangeCut.MinPiece} to {RangeCut.MaxPiece} and 1 to {RangeCut.MaxPiece}.";
            return false;
        }

        var offsets = new long[count + 1];
        var digests = new Sha256Digest[count];
        for (var i = 0; i < count; i++)
        {
            var entry = bytes[(HeadBytes + i * EntryBytes)..];
            var range = BinaryPrimitives.ReadInt32LittleEndian(entry);
            if (range < 1 || range > cut.PieceBytes)
            {
                problem = $"range {i} has {range} bytes; 1 to {cut.PieceBytes} are possible.";
                return false;
            }

            offsets[i + 1] = offsets[i] + range;
            digests[i] = new(entry.Slice(4, Sha256Digest.ByteCount));
        }

        if (offsets[count] != length)
        {
            problem = $"its ranges end at byte {offsets[count]} of a file of {length}.";
            return false;
        }

        map = new(new(new(bytes.Slice(12, Sha256Digest.ByteCount)), length), cut, offsets, digests);
        problem = null;
        return true;
    }
}
