using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Coppice.Delta.Tensors;

/// <summary>Codes of blocks between their bytes in a file and one word each, sixteen at once: low bits in one run of bytes, high bits perhaps in another.</summary>
static class BlockCodes
{
    /// <summary>Where sixteen codes lie: each in the same bits of sixteen bytes in a row.</summary>
    /// <param name="Low">First byte of their low bits.</param>
    /// <param name="LowShift">Where in these bytes.</param>
    /// <param name="High">First byte of their high bits.</param>
    /// <param name="HighShift">Where in these bytes.</param>
    readonly record struct Run(int Low, int LowShift, int High = 0, int HighShift = 0);

    /// <param name="Runs">Of a block, in the order of its codes.</param>
    /// <param name="LowBits">Bits of a code that lie in the low run.</param>
    /// <param name="HighBits">Bits in the high run.</param>
    /// <param name="FifthBits">Where a block has its codes' fifth bits as two little-endian 16-bit words, the first byte of them; 0 for other kinds.</param>
    sealed record Layout(Run[] Runs, int LowBits, int HighBits, int FifthBits = 0);

    static readonly Layout q4_1 = Each(32, i => new(4, i >> 4 << 2), 4);
    static readonly Layout q5_0 = Each(32, i => new(6, i >> 4 << 2), 4, fifthBits: 2);
    static readonly Layout q5_1 = Each(32, i => new(8, i >> 4 << 2), 4, fifthBits: 4);
    static readonly Layout q2_K = Each(256, i => new(16 + (i >> 7) * 32 + (i & 31), (i >> 5 & 3) << 1), 2);
    static readonly Layout q3_K = Each(256, i => new(32 + (i >> 7) * 32 + (i & 31), (i >> 5 & 3) << 1, i & 31, i >> 5), 2, 1);
    static readonly Layout q4_K = Each(256, i => new(16 + (i >> 6) * 32 + (i & 31), (i >> 5 & 1) << 2), 4);
    static readonly Layout q5_K = Each(256, i => new(48 + (i >> 6) * 32 + (i & 31), (i >> 5 & 1) << 2, 16 + (i & 31), i >> 5), 4, 1);
    static readonly Layout q6_K = Each(256, i => new((i >> 7) * 64 + (i & 63), (i >> 6 & 1) << 2, 128 + (i >> 7) * 32 + (i & 31), (i >> 5 & 3) << 1), 4, 2);

    static readonly Layout iq4_NL = Each(32, i => new(2, i >> 4 << 2), 4);
    static readonly Layout iq4_XS = Each(256, i => new(8 + (i >> 5) * 16, (i >> 4 & 1) << 2), 4);
    static readonly Layout mxfp4 = Each(32, i => new(1, i >> 4 << 2), 4);
    static readonly Layout tq2_0 = Each(256, i => new((i >> 7) * 32 + (i & 31), (i >> 5 & 3) << 1), 2);

    static Layout Each(int elements, Func<int, Run> run, int lowBits, int highBits = 0, int fifthBits = 0) =>
        new([.. Enumerable.Range(0, elements / 16).Select(i => run(16 * i))], lowBits, highBits, fifthBits);

    static Layout Of(LatticeKind kind) => kind switch
    {
        LatticeKind.Q4_1 => q4_1,
        LatticeKind.Q5_0 => q5_0,
        LatticeKind.Q5_1 => q5_1,
        LatticeKind.Q2_K => q2_K,
        LatticeKind.Q3_K => q3_K,
        LatticeKind.Q4_K => q4_K,
        LatticeKind.Q5_K => q5_K,
        LatticeKind.Q6_K => q6_K,
        LatticeKind.IQ4_NL => iq4_NL,
        LatticeKind.IQ4_XS => iq4_XS,
        LatticeKind.MXFP4 => mxfp4,
        LatticeKind.TQ2_0 => tq2_0,
        _ => throw new ArgumentOutOfRangeException(nameof(kind), kind, "packed elsewhere"),
    };

    /// <param name="lattice">The kind of the blocks.</param>
    /// <param name="bytes">Whole blocks.</param>
    /// <param name="words">Codes less their zero; as many as there are.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Unpack(Lattice lattice, ReadOnlySpan<byte> bytes, Span<uint> words)
    {
        var layout = Of(lattice.Kind);
        var (lowMask, highMask) = (Mask(layout.LowBits), Mask(layout.HighBits));
        var zero = Vector128.Create((byte)lattice.Zero);
        var isFloat = lattice.Kind == LatticeKind.MXFP4;
        for (; !bytes.IsEmpty; bytes = bytes[lattice.UnitBytes..])
        {
            for (var i = 0; i < layout.Runs.Length; i++, words = words[16..])
            {
                var run = layout.Runs[i];
                var codes = Down(Vector128.Create(bytes.Slice(run.Low, 16)), run.LowShift) & lowMask;
                if (layout.HighBits != 0)
                    codes |= Up(Down(Vector128.Create(bytes.Slice(run.High, 16)), run.HighShift) & highMask, layout.LowBits);
                else if (layout.FifthBits != 0)
                    codes |= Vector128.Equals(Spread(BinaryPrimitives.ReadUInt16LittleEndian(bytes[(layout.FifthBits + 2 * i)..])), EachBit) & Vector128.Create((byte)16);
                Packing.WidenSigned((isFloat ? Vector128.Shuffle(FromFloat, codes) : codes) - zero, words);
            }
        }
    }

    /// <summary>The other way round: only the lattice's bits of each word count. Heads become zeros.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Pack(Lattice lattice, ReadOnlySpan<uint> words, Span<byte> bytes)
    {
        var layout = Of(lattice.Kind);
        var (lowMask, highMask) = (Mask(layout.LowBits), Mask(layout.HighBits));
        var zero = Vector128.Create((byte)lattice.Zero);
        var isFloat = lattice.Kind == LatticeKind.MXFP4;
        bytes.Clear();
        for (; !bytes.IsEmpty; bytes = bytes[lattice.UnitBytes..])
        {
            for (var i = 0; i < layout.Runs.Length; i++, words = words[16..])
            {
                var run = layout.Runs[i];
                var codes = Packing.Narrow16(words) + zero;
                codes = isFloat ? Vector128.Shuffle(ToFloat, codes & lowMask) : codes;
                Add(Up(codes & lowMask, run.LowShift), bytes.Slice(run.Low, 16));
                if (layout.HighBits != 0)
                    Add(Up(Down(codes, layout.LowBits) & highMask, run.HighShift), bytes.Slice(run.High, 16));
                else if (layout.FifthBits != 0)
                    BinaryPrimitives.WriteUInt16LittleEndian(bytes[(layout.FifthBits + 2 * i)..], (ushort)Up(codes, 3).ExtractMostSignificantBits());
            }
        }
    }

    /// <summary>Codes of MXFP4, a sign and a magnitude, in the order of their values: the negative zero is the lowest.</summary>
    static Vector128<byte> FromFloat => Vector128.Create((byte)8, 9, 10, 11, 12, 13, 14, 15, 0, 7, 6, 5, 4, 3, 2, 1);

    static Vector128<byte> ToFloat => Vector128.Create((byte)8, 15, 14, 13, 12, 11, 10, 9, 0, 1, 2, 3, 4, 5, 6, 7);

    static Vector128<byte> Mask(int bits) => Vector128.Create((byte)((1 << bits) - 1));

    /// <summary>Bits of a byte, twice.</summary>
    static Vector128<byte> EachBit => Vector128.Create((byte)1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128);

    /// <summary>In lane i, bit i of the word where it stands in its byte.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector128<byte> Spread(ushort word) => Vector128.Create(Vector64.Create((byte)word), Vector64.Create((byte)(word >> 8))) & EachBit;

    // Bytes are shifted in pairs: what comes in from the neighbour is masked away, and nothing that counts goes out.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector128<byte> Down(Vector128<byte> bytes, int shift) => (bytes.AsUInt16() >>> shift).AsByte();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector128<byte> Up(Vector128<byte> bytes, int shift) => (bytes.AsUInt16() << shift).AsByte();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Add(Vector128<byte> codes, Span<byte> bytes) => (Vector128.Create(bytes) | codes).CopyTo(bytes);
}
