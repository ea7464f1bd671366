using System.Buffers.Binary;
using System.Numerics;

namespace Coppice.Delta;

/// <summary>Reads the records of a patch, from the first to the last, with sizes checked before memory is taken.</summary>
sealed class PatchReader(Stream patch)
{
    /// <summary>No payload but a tensor's is longer.</summary>
    const int UsualBytes = PatchLimits.MostBytes + (1 << 16);

    readonly byte[] head = new byte[16];
    byte[] payload = new byte[4096];
    int length;

    /// <summary>Bytes read so far.</summary>
    public long Position { get; private set; }

    /// <summary>Where the payload of the record began.</summary>
    public long PayloadOffset { get; private set; }

    public RecordKind Kind { get; private set; }

    /// <summary>Gives the payload's memory away for other memory; <see cref="Payload"/> is not to be read then.</summary>
    /// <returns>How many of its bytes are the payload.</returns>
    public int Exchange(ref byte[] buffer)
    {
        (buffer, payload) = (payload, buffer);
        return length;
    }

    /// <summary>The payload of the record, valid until the next one is read.</summary>
    public ReadOnlySpan<byte> Payload => payload.AsSpan(0, length);

    public RecordReader Record => new(Payload, PayloadOffset);

    /// <summary>Checksum of the bytes that the record makes, or of its payload when it makes none.</summary>
    public uint Sum { get; private set; }

    /// <summary>Reads magic, length, payload and checksum of the header.</summary>
    public ReadOnlySpan<byte> Begin(uint magic, int most)
    {
        Fill(head.AsSpan(0, 4));
        var found = BinaryPrimitives.ReadUInt32LittleEndian(head);
        if (found != magic)
            throw new MalformedPatchException(0, $"it begins with {found:X8}, not with {magic:X8}: this is no patch that this version can read.");
        var used = 4 + ReadLength(head.AsSpan(4), most);
        ReadPayload();
        var whole = new byte[used + length];
        head.AsSpan(0, used).CopyTo(whole);
        Payload.CopyTo(whole.AsSpan(used));
        if (Sum != Checksum.Of(whole))
            throw new MalformedPatchException(0, "the header is damaged; fetch the patch again.");
        return Payload;
    }

    /// <summary>Reads the next record.</summary>
    public void Next()
    {
        Fill(head.AsSpan(0, 1));
        Kind = (RecordKind)head[0];
        if (Kind > RecordKind.Take)
            throw new MalformedPatchException(Position - 1, $"{head[0]} is no kind of record; a newer version of this program may know it.");
        ReadLength(head.AsSpan(1), PatchLimits.MostPayload(Kind));
        ReadPayload();
        if (Kind is RecordKind.Models or RecordKind.Tensor or RecordKind.End && Sum != Checksum.Of(Payload))
            throw new MalformedPatchException(PayloadOffset, $"a {Kind} record is damaged; fetch the patch again.");
    }

    int ReadLength(Span<byte> into, int most)
    {
        var value = 0L;
        for (var i = 0; i < 5; i++)
        {
            Fill(into.Slice(i, 1));
            value |= (long)(into[i] & 0x7F) << (7 * i);
            if (into[i] >= 0x80)
                continue;
            if (value > most || i > 0 && into[i] == 0)
                break;
            length = (int)value;
            return i + 1;
        }
        throw new MalformedPatchException(Position, $"a record says that it is longer than the {most} bytes allowed; fetch the patch again.");
    }

    void ReadPayload()
    {
        PayloadOffset = Position;
        // A usual payload is given its memory at once. A longer one grows as bytes really arrive, so that a length alone takes none.
        if (length > payload.Length && length <= UsualBytes)
            payload = new byte[(int)Math.Min(BitOperations.RoundUpToPowerOf2((uint)length), UsualBytes)];
        for (var filled = 0; filled < length;)
        {
            var wanted = Math.Min(length - filled, 1 << 16);
            if (filled + wanted > payload.Length)
                Array.Resize(ref payload, Math.Max(Math.Min(payload.Length * 2, length), filled + wanted));
            Fill(payload.AsSpan(filled, wanted));
            filled += wanted;
        }
        Span<byte> sum = stackalloc byte[4];
        Fill(sum);
        Sum = BinaryPrimitives.ReadUInt32LittleEndian(sum);
    }

    void Fill(Span<byte> into)
    {
        var read = patch.ReadAtLeast(into, into.Length, throwOnEndOfStream: false);
        Position += read;
        if (read < into.Length)
            throw new MalformedPatchException(Position, "the patch ends early; fetch the rest.");
    }
}
