using System.Buffers.Binary;
using System.Runtime.CompilerServices;

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
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public uint Read(int count)
    {
        var at = (int)(position >> 3);
        var shift = (int)(position & 7);
        position += count;
        ulong window = 0;
        if (at + 8 <= bytes.Length)
        {
            window = BinaryPrimitives.ReadUInt64LittleEndian(bytes[at..]);
        }
        else if (count > 0)
        {
            window = Tail(bytes, at);
            if (at >= bytes.Length)
                position = (long)bytes.Length * 8 + count + 1; // stays overrun, and cannot overflow
        }
        return (uint)((window >> shift) & ((1UL << count) - 1));
    }

    static ulong Tail(ReadOnlySpan<byte> bytes, int at)
    {
        var window = 0UL;
        for (var i = Math.Min(7, bytes.Length - at - 1); i >= 0; i--)
            window = window << 8 | bytes[at + i];
        return window;
    }
}
