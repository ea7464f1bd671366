using System.Buffers.Binary;

namespace Coppice.Delta;

/// <summary>Reads the payload of a record; every read is checked.</summary>
/// <param name="bytes">The payload.</param>
/// <param name="offset">Where it begins in the patch, for messages.</param>
ref struct RecordReader(ReadOnlySpan<byte> bytes, long offset)
{
    readonly ReadOnlySpan<byte> bytes = bytes;
    readonly long offset = offset;
    int at;

    public readonly int Left => bytes.Length - at;

    public readonly long Position => offset + at;

    public readonly MalformedPatchException Wrong(string problem) => new(Position, problem);

    public byte Byte() => Bytes(1)[0];

    public uint UInt32() => BinaryPrimitives.ReadUInt32LittleEndian(Bytes(4));

    public float Single() => BinaryPrimitives.ReadSingleLittleEndian(Bytes(4));

    public ReadOnlySpan<byte> Bytes(int count)
    {
        if (count > Left)
            throw Wrong($"{count} bytes are wanted, but the record ends after {Left}; fetch the patch again.");
        at += count;
        return bytes.Slice(at - count, count);
    }

    /// <summary>A length or offset of at most <paramref name="most"/>.</summary>
    public long Number(long most)
    {
        ulong value = 0;
        for (var shift = 0; ; shift += 7)
        {
            var next = Byte();
            if (shift > 56 || (shift > 0 && next == 0))
                throw Wrong("a number is longer than it needs to be.");
            value |= (ulong)(next & 0x7F) << shift;
            if (next >= 0x80)
                continue;
            return value <= (ulong)most ? (long)value : throw Wrong($"{value} is more than the {most} allowed here.");
        }
    }

    public int Signed(int most)
    {
        var value = Entropy.Token.UnZigZag((uint)Number(uint.MaxValue));
        return value >= -most && value <= most ? value : throw Wrong($"{value} is outside ±{most}.");
    }

    public readonly void End()
    {
        if (Left != 0)
            throw Wrong($"{Left} bytes are left over in the record.");
    }
}
