using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.CompilerServices;

namespace Coppice.Delta;

/// <summary>CRC-32C (Castagnoli) of the bytes of a frame or record, with instructions where the processor has them.</summary>
static class Checksum
{
    public static uint Of(ReadOnlySpan<byte> bytes)
    {
        var sum = new RunningChecksum();
        sum.Add(bytes);
        return sum.Value;
    }
}

/// <summary>The same of bytes that come in parts.</summary>
struct RunningChecksum()
{
    uint sum = uint.MaxValue;

    public readonly uint Value => ~sum;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Add(ReadOnlySpan<byte> bytes)
    {
        for (; bytes.Length >= 8; bytes = bytes[8..])
            sum = BitOperations.Crc32C(sum, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
        foreach (var value in bytes)
            sum = BitOperations.Crc32C(sum, value);
    }
}
