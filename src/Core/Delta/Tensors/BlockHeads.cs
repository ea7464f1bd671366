using System.Buffers.Binary;

namespace Coppice.Delta.Tensors;

/// <summary>Heads of blocks between their bytes in a file and fields, see <see cref="BlockHead"/>. The layouts are ggml's.</summary>
static class BlockHeads
{
    /// <summary>Fields of the blocks of so many elements.</summary>
    public static int FieldsOf(Lattice lattice, int elements) => elements / lattice.UnitElements * lattice.Head.Fields;

    /// <param name="lattice">The kind of the blocks.</param>
    /// <param name="bytes">Whole blocks.</param>
    /// <param name="heads">Room for their fields.</param>
    public static void Read(Lattice lattice, ReadOnlySpan<byte> bytes, Span<ushort> heads)
    {
        var fields = lattice.Head.Fields;
        for (; !bytes.IsEmpty; bytes = bytes[lattice.UnitBytes..], heads = heads[fields..])
            ReadOne(lattice.Kind, bytes[..lattice.UnitBytes], heads[..fields]);
    }

    /// <summary>The other way round; bytes of codes stay as they are.</summary>
    public static void Write(Lattice lattice, ReadOnlySpan<ushort> heads, Span<byte> bytes)
    {
        var fields = lattice.Head.Fields;
        for (; !bytes.IsEmpty; bytes = bytes[lattice.UnitBytes..], heads = heads[fields..])
            WriteOne(lattice.Kind, heads[..fields], bytes[..lattice.UnitBytes]);
    }

    static void ReadOne(LatticeKind kind, ReadOnlySpan<byte> block, Span<ushort> head)
    {
        var halves = block[HalvesAt(kind)..];
        head[0] = kind == LatticeKind.MXFP4 ? block[0] : BinaryPrimitives.ReadUInt16LittleEndian(halves);
        switch (kind)
        {
            case LatticeKind.Q4_1 or LatticeKind.Q5_1:
                head[1] = BinaryPrimitives.ReadUInt16LittleEndian(halves[2..]);
                break;
            case LatticeKind.Q2_K:
                head[1] = BinaryPrimitives.ReadUInt16LittleEndian(halves[2..]);
                for (var group = 0; group < 16; group++)
                    (head[2 + group], head[18 + group]) = ((ushort)(block[group] & 15), (ushort)(block[group] >> 4));
                break;
            case LatticeKind.Q3_K:
                for (var group = 0; group < 16; group++)
                {
                    var low = block[96 + (group & 7)] >> (group >> 3 << 2) & 15;
                    var high = block[104 + (group & 3)] >> (group >> 2 << 1) & 3;
                    head[1 + group] = (ushort)((low | high << 4) - 32);
                }
                break;
            case LatticeKind.Q4_K or LatticeKind.Q5_K:
                head[1] = BinaryPrimitives.ReadUInt16LittleEndian(halves[2..]);
                var packed = block.Slice(4, 12);
                for (var group = 0; group < 4; group++)
                {
                    (head[2 + group], head[10 + group]) = ((ushort)(packed[group] & 63), (ushort)(packed[4 + group] & 63));
                    head[6 + group] = (ushort)(packed[8 + group] & 15 | packed[group] >> 6 << 4);
                    head[14 + group] = (ushort)(packed[8 + group] >> 4 | packed[4 + group] >> 6 << 4);
                }
                break;
            case LatticeKind.Q6_K:
                for (var group = 0; group < 16; group++)
                    head[1 + group] = (ushort)(sbyte)block[192 + group];
                break;
            case LatticeKind.IQ4_XS:
                var highs = BinaryPrimitives.ReadUInt16LittleEndian(block[2..]);
                for (var group = 0; group < 8; group++)
                    head[1 + group] = (ushort)((block[4 + (group >> 1)] >> ((group & 1) << 2) & 15 | (highs >> (group << 1) & 3) << 4) - 32);
                break;
        }
    }

    static void WriteOne(LatticeKind kind, ReadOnlySpan<ushort> head, Span<byte> block)
    {
        if (kind == LatticeKind.MXFP4)
        {
            block[0] = (byte)head[0];
            return;
        }
        var halves = block[HalvesAt(kind)..];
        BinaryPrimitives.WriteUInt16LittleEndian(halves, head[0]);
        switch (kind)
        {
            case LatticeKind.Q4_1 or LatticeKind.Q5_1:
                BinaryPrimitives.WriteUInt16LittleEndian(halves[2..], head[1]);
                break;
            case LatticeKind.Q2_K:
                BinaryPrimitives.WriteUInt16LittleEndian(halves[2..], head[1]);
                for (var group = 0; group < 16; group++)
                    block[group] = (byte)(head[2 + group] | head[18 + group] << 4);
                break;
            case LatticeKind.Q3_K:
                block.Slice(96, 12).Clear();
                for (var group = 0; group < 16; group++)
                {
                    var scale = (short)head[1 + group] + 32;
                    block[96 + (group & 7)] |= (byte)((scale & 15) << (group >> 3 << 2));
                    block[104 + (group & 3)] |= (byte)(scale >> 4 << (group >> 2 << 1));
                }
                break;
            case LatticeKind.Q4_K or LatticeKind.Q5_K:
                BinaryPrimitives.WriteUInt16LittleEndian(halves[2..], head[1]);
                var packed = block.Slice(4, 12);
                for (var group = 0; group < 4; group++)
                {
                    packed[group] = (byte)(head[2 + group] | head[6 + group] >> 4 << 6);
                    packed[4 + group] = (byte)(head[10 + group] | head[14 + group] >> 4 << 6);
                    packed[8 + group] = (byte)(head[6 + group] & 15 | (head[14 + group] & 15) << 4);
                }
                break;
            case LatticeKind.Q6_K:
                for (var group = 0; group < 16; group++)
                    block[192 + group] = (byte)head[1 + group];
                break;
            case LatticeKind.IQ4_XS:
                var (lows, highs) = (0u, 0);
                for (var group = 0; group < 8; group++)
                {
                    var scale = (short)head[1 + group] + 32;
                    lows |= (uint)(scale & 15) << (group << 2);
                    highs |= scale >> 4 << (group << 1);
                }
                BinaryPrimitives.WriteUInt16LittleEndian(block[2..], (ushort)highs);
                BinaryPrimitives.WriteUInt32LittleEndian(block[4..], lows);
                break;
        }
    }

    /// <summary>Where in a block its binary16 numbers begin.</summary>
    static int HalvesAt(LatticeKind kind) => kind switch
    {
        LatticeKind.Q2_K => 80,
        LatticeKind.Q3_K => 108,
        LatticeKind.Q6_K => 208,
        LatticeKind.TQ2_0 => 64,
        _ => 0,
    };
}
