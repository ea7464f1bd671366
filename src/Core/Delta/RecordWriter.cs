using System.Buffers.Binary;

namespace Coppice.Delta;

/// <summary>Builds the payload of a record: little-endian numbers and LEB128 lengths.</summary>
sealed class RecordWriter
{
    byte[] bytes = new byte[64];

    public int Length { get; private set; }

    public ReadOnlySpan<byte> Written => bytes.AsSpan(0, Length);

    public void Clear() => Length = 0;

    public void Byte(byte value) => Room(1)[0] = value;

    public void UInt32(uint value) => BinaryPrimitives.WriteUInt32LittleEndian(Room(4), value);

    public void Single(float value) => BinaryPrimitives.WriteSingleLittleEndian(Room(4), value);

    public void Bytes(ReadOnlySpan<byte> value) => value.CopyTo(Room(value.Length));

    /// <summary>Seven bits a byte, lowest first, the high bit set on all but the last.</summary>
    public void Number(long value)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(value);
        for (; value >= 0x80; value >>= 7)
            Byte((byte)(value | 0x80));
        Byte((byte)value);
    }

    public void Signed(int value) => Number(Entropy.Token.ZigZag(value));

    Span<byte> Room(int count)
    {
        if (Length + count > bytes.Length)
            Array.Resize(ref bytes, Math.Max(Length + count, bytes.Length * 2));
        Length += count;
        return bytes.AsSpan(Length - count, count);
    }
}
