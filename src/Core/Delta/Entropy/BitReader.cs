using System.Buffers.Binary;

namespace Coppice.Delta.Entropy;

/// <summary>Reads numbers of any bit width, lowest bit first. Beyond the end it reads zeros and remembers that it did.</summary>
ref struct BitReader(ReadOnlySpan<byte> bytes)
{
    readonly ReadOnlySpan<byte> bytes = bytes;
    long position;

    /// <summary>Whether more bits were read than there are.</summary>
    public readonly bool Overrun => position > (long)bytes.Length * 8;

    /// <summary>Bytes touched so far.</summary>
    public readonly int BytesUsed => (int)((position + 7) / 8);

    /// <summary>Goes on at a bit from the start.</summary>
    public void Skip(long bit) => position = bit;

    /// <param name="count">0 to 32.</param>
    public uint Read(int count)
    {
        var at = (int)(position >> 3);
        var shift = (int)(position & 7);
        position += count;
        ulong window;
        if (at + 8 <= bytes.Length)
        {
            window = BinaryPrimitives.ReadUInt64LittleEndian(bytes[at..]);
        }
        else
        {
            window = 0;
            for (var i = Math.Min(7, bytes.Length - at - 1); i >= 0; i--)
                window = window << 8 | bytes[at + i];
            if (at >= bytes.Length && count > 0)
                position = (long)bytes.Length * 8 + count + 1; // stays overrun, and cannot overflow
        }
        return (uint)((window >> shift) & ((1UL << count) - 1));
    }
}
