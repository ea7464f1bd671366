using System.Buffers.Binary;

namespace Coppice.Delta.Entropy;

/// <summary>Appends numbers of any bit width, lowest bit first.</summary>
sealed class BitWriter
{
    byte[] bytes = new byte[256];
    ulong pending;
    int pendingBits;
    int length;

    /// <summary>Whole bytes written so far, the one that is being filled included.</summary>
    public int Length => length + (pendingBits + 7) / 8;

    /// <param name="value">Its lowest <paramref name="count"/> bits are written; the others are zero.</param>
    /// <param name="count">0 to 32.</param>
    public void Write(uint value, int count)
    {
        pending |= (ulong)value << pendingBits;
        pendingBits += count;
        if (pendingBits < 32)
            return;
        if (length + 8 > bytes.Length)
            Array.Resize(ref bytes, bytes.Length * 2);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(length), (uint)pending);
        length += 4;
        pending >>= 32;
        pendingBits -= 32;
    }

    /// <summary>The bytes so far; the last one is filled up with zero bits.</summary>
    public byte[] ToArray()
    {
        var result = new byte[Length];
        bytes.AsSpan(0, length).CopyTo(result);
        for (var (i, rest) = (length, pending); i < result.Length; i++, rest >>= 8)
            result[i] = (byte)rest;
        return result;
    }
}
