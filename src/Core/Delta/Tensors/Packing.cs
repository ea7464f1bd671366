using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Coppice.Delta.Tensors;

/// <summary>Elements between their bytes in a file and one 32-bit word each.</summary>
static class Packing
{
    /// <param name="lattice">The kind of the elements.</param>
    /// <param name="bytes">Whole units.</param>
    /// <param name="words">Float bits, or codes less their zero; as many as there are elements.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Unpack(Lattice lattice, ReadOnlySpan<byte> bytes, Span<uint> words)
    {
        switch (lattice.Kind)
        {
            case LatticeKind.Float32:
                if (BitConverter.IsLittleEndian)
                    bytes.CopyTo(MemoryMarshal.AsBytes(words));
                else
                    for (var i = 0; i < words.Length; i++)
                        words[i] = BinaryPrimitives.ReadUInt32LittleEndian(bytes[(4 * i)..]);
                break;
            case LatticeKind.Float16 or LatticeKind.BFloat16:
                Widen(bytes, words);
                break;
            case LatticeKind.Float8E4M3 or LatticeKind.Float8E5M2:
                for (var i = 0; i < words.Length; i++)
                    words[i] = bytes[i];
                break;
            case LatticeKind.Int8:
                WidenSigned(bytes, words);
                break;
            case LatticeKind.UInt8:
                for (var i = 0; i < words.Length; i++)
                    words[i] = (uint)(bytes[i] - 128);
                break;
            case LatticeKind.Int4:
                for (var i = 0; i < words.Length; i++)
                    words[i] = (uint)((bytes[i >> 1] >> (4 * (i & 1)) << 28) >> 28);
                break;
            case LatticeKind.UInt4:
                for (var i = 0; i < words.Length; i++)
                    words[i] = (uint)((bytes[i >> 1] >> (4 * (i & 1)) & 15) - 8);
                break;
            case LatticeKind.Q8_0:
                for (var block = 0; block < words.Length / 32; block++)
                    WidenSigned(bytes.Slice(block * 34 + 2, 32), words.Slice(block * 32, 32));
                break;
            case LatticeKind.Q4_0:
                for (var block = 0; block < words.Length / 32; block++)
                {
                    var nibbles = Vector128.Create(bytes.Slice(block * 18 + 2, 16));
                    var eight = Vector128.Create((byte)8);
                    WidenSigned((nibbles & Vector128.Create((byte)15)) - eight, words[(block * 32)..]);
                    WidenSigned((nibbles >>> 4) - eight, words[(block * 32 + 16)..]);
                }
                break;
            default:
                BlockCodes.Unpack(lattice, bytes, words);
                break;
        }
    }

    /// <summary>The other way round; only the lattice's bits of each word count.</summary>
    /// <param name="lattice">The kind of the elements.</param>
    /// <param name="words">What <see cref="Unpack"/> gives.</param>
    /// <param name="heads">The blocks' heads, for block kinds.</param>
    /// <param name="bytes">Overwritten.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Pack(Lattice lattice, ReadOnlySpan<uint> words, ReadOnlySpan<ushort> heads, Span<byte> bytes)
    {
        switch (lattice.Kind)
        {
            case LatticeKind.Float32:
                if (BitConverter.IsLittleEndian)
                    MemoryMarshal.AsBytes(words).CopyTo(bytes);
                else
                    for (var i = 0; i < words.Length; i++)
                        BinaryPrimitives.WriteUInt32LittleEndian(bytes[(4 * i)..], words[i]);
                break;
            case LatticeKind.Float16 or LatticeKind.BFloat16:
                Narrow(words, bytes);
                break;
            case LatticeKind.Float8E4M3 or LatticeKind.Float8E5M2 or LatticeKind.Int8:
                NarrowBytes(words, bytes);
                break;
            case LatticeKind.UInt8:
                for (var i = 0; i < words.Length; i++)
                    bytes[i] = (byte)(words[i] + 128);
                break;
            case LatticeKind.Int4:
                for (var i = 0; i < words.Length; i += 2)
                    bytes[i >> 1] = (byte)((words[i] & 15) | words[i + 1] << 4);
                break;
            case LatticeKind.UInt4:
                for (var i = 0; i < words.Length; i += 2)
                    bytes[i >> 1] = (byte)(((words[i] + 8) & 15) | (words[i + 1] + 8) << 4);
                break;
            case LatticeKind.Q8_0:
                for (var block = 0; block < words.Length / 32; block++)
                {
                    var to = bytes.Slice(block * 34, 34);
                    BinaryPrimitives.WriteUInt16LittleEndian(to, heads[block]);
                    NarrowBytes(words.Slice(block * 32, 32), to[2..]);
                }
                break;
            case LatticeKind.Q4_0:
                for (var block = 0; block < words.Length / 32; block++)
                {
                    var to = bytes.Slice(block * 18, 18);
                    BinaryPrimitives.WriteUInt16LittleEndian(to, heads[block]);
                    var eight = Vector128.Create((byte)8);
                    var low = (Narrow16(words[(block * 32)..]) + eight) & Vector128.Create((byte)15);
                    var high = Narrow16(words[(block * 32 + 16)..]) + eight;
                    (low | high << 4).CopyTo(to[2..]);
                }
                break;
            default:
                BlockCodes.Pack(lattice, words, bytes);
                BlockHeads.Write(lattice, heads, bytes);
                break;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void WidenSigned(ReadOnlySpan<byte> bytes, Span<uint> words)
    {
        var i = 0;
        for (; i + 16 <= words.Length; i += 16)
            WidenSigned(Vector128.Create(bytes[i..]), words[i..]);
        for (; i < words.Length; i++)
            words[i] = (uint)(sbyte)bytes[i];
    }

    /// <summary>Sixteen signed bytes to a word each.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void WidenSigned(Vector128<byte> bytes, Span<uint> words)
    {
        var (low, high) = Vector128.Widen(bytes.AsSByte());
        var ((a, b), (c, d)) = (Vector128.Widen(low), Vector128.Widen(high));
        Vector256.Create(a, b).AsUInt32().CopyTo(words);
        Vector256.Create(c, d).AsUInt32().CopyTo(words[8..]);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void NarrowBytes(ReadOnlySpan<uint> words, Span<byte> bytes)
    {
        var i = 0;
        for (; i + 16 <= words.Length; i += 16)
            Narrow16(words[i..]).CopyTo(bytes[i..]);
        for (; i < words.Length; i++)
            bytes[i] = (byte)words[i];
    }

    /// <summary>The lowest byte of each of sixteen words.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Narrow16(ReadOnlySpan<uint> words) => Vector128.Narrow(
        Vector128.Narrow(Vector128.Create(words), Vector128.Create(words[4..])), Vector128.Narrow(Vector128.Create(words[8..]), Vector128.Create(words[12..])));

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Widen(ReadOnlySpan<byte> bytes, Span<uint> words)
    {
        if (!BitConverter.IsLittleEndian)
        {
            for (var i = 0; i < words.Length; i++)
                words[i] = BinaryPrimitives.ReadUInt16LittleEndian(bytes[(2 * i)..]);
            return;
        }
        var halves = MemoryMarshal.Cast<byte, ushort>(bytes);
        for (; words.Length >= 16; halves = halves[16..], words = words[16..])
        {
            var (low, high) = Vector256.Widen(Vector256.Create(halves));
            Vector256.CopyTo(low, words);
            Vector256.CopyTo(high, words[8..]);
        }
        for (var i = 0; i < words.Length; i++)
            words[i] = halves[i];
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Narrow(ReadOnlySpan<uint> words, Span<byte> bytes)
    {
        if (!BitConverter.IsLittleEndian)
        {
            for (var i = 0; i < words.Length; i++)
                BinaryPrimitives.WriteUInt16LittleEndian(bytes[(2 * i)..], (ushort)words[i]);
            return;
        }
        var halves = MemoryMarshal.Cast<byte, ushort>(bytes);
        for (; words.Length >= 16; halves = halves[16..], words = words[16..])
            Vector256.CopyTo(Vector256.Narrow(
                Vector256.Create(words), Vector256.Create(words[8..])), halves);
        for (var i = 0; i < words.Length; i++)
            halves[i] = (ushort)words[i];
    }
}
