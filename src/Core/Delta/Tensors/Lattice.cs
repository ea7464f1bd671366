using Coppice.Formats;

namespace Coppice.Delta.Tensors;

/// <summary>The numbers that elements of a tensor can be, as the patch codes them. The values are part of the format.</summary>
enum LatticeKind : byte
{
    Float32 = 1,
    Float16 = 2,
    BFloat16 = 3,
    Float8E4M3 = 4,
    Float8E5M2 = 5,
    Int8 = 8,
    UInt8 = 9,
    Int4 = 10,
    UInt4 = 11,
    Q8_0 = 16,
    Q4_0 = 17,
    Q4_1 = 18,
    Q5_0 = 19,
    Q5_1 = 20,
    Q2_K = 21,
    Q3_K = 22,
    Q4_K = 23,
    Q5_K = 24,
    Q6_K = 25,
    IQ4_NL = 26,
    IQ4_XS = 27,
    MXFP4 = 28,
    TQ2_0 = 29,
}

/// <summary>How the elements of one kind lie in bytes and in numbers.</summary>
/// <param name="Kind">As the patch writes it.</param>
/// <param name="UnitElements">Elements that are stored together.</param>
/// <param name="UnitBytes">Bytes of such a unit.</param>
/// <param name="Bits">Bits of one element's code, without a block's scale.</param>
/// <param name="Mantissa">Stored mantissa bits; 0 for integers.</param>
/// <param name="Exponent">Exponent bits; 0 for integers.</param>
/// <param name="Low">The lowest code that is reached by rounding, of integers.</param>
/// <param name="High">The highest code that is reached by rounding, of integers.</param>
/// <param name="Zero">What is subtracted from the stored code.</param>
readonly record struct Lattice(
    LatticeKind Kind, int UnitElements, int UnitBytes, int Bits, int Mantissa, int Exponent, int Low, int High, int Zero)
{
    public bool IsFloat => Exponent != 0;

    public bool IsBlock => Kind >= LatticeKind.Q8_0;

    /// <summary>Whether codes stand for values at uneven distances, see <see cref="LevelPrediction"/>.</summary>
    public bool HasLevels => Kind is LatticeKind.IQ4_NL or LatticeKind.IQ4_XS or LatticeKind.MXFP4;

    /// <summary>What a block says before its codes; of block kinds.</summary>
    public BlockHead Head => BlockHead.Of(Kind);

    public uint Mask => Bits == 32 ? uint.MaxValue : (1u << Bits) - 1;

    public int Bias => (1 << (Exponent - 1)) - 1;

    /// <summary>Whether the kind has rounding rules here, so that it can be predicted by arithmetic.</summary>
    public bool HasArithmetic => Kind is LatticeKind.Float32 or LatticeKind.Float16 or LatticeKind.BFloat16;

    public long BytesOf(long elements) => elements / UnitElements * UnitBytes;

    public static bool TryGet(LatticeKind kind, out Lattice lattice)
    {
        lattice = kind switch
        {
            LatticeKind.Float32 => new(kind, 1, 4, 32, 23, 8, 0, 0, 0),
            LatticeKind.Float16 => new(kind, 1, 2, 16, 10, 5, 0, 0, 0),
            LatticeKind.BFloat16 => new(kind, 1, 2, 16, 7, 8, 0, 0, 0),
            LatticeKind.Float8E4M3 => new(kind, 1, 1, 8, 3, 4, 0, 0, 0),
            LatticeKind.Float8E5M2 => new(kind, 1, 1, 8, 2, 5, 0, 0, 0),
            LatticeKind.Int8 => new(kind, 1, 1, 8, 0, 0, -127, 127, 0),
            LatticeKind.UInt8 => new(kind, 1, 1, 8, 0, 0, -128, 127, 128),
            LatticeKind.Int4 => new(kind, 2, 1, 4, 0, 0, -7, 7, 0),
            LatticeKind.UInt4 => new(kind, 2, 1, 4, 0, 0, -8, 7, 8),
            LatticeKind.Q8_0 => new(kind, 32, 34, 8, 0, 0, -127, 127, 0),
            LatticeKind.Q4_0 => new(kind, 32, 18, 4, 0, 0, -8, 8, 8), // +8 is never stored: only -8 marks a block's largest weight
            LatticeKind.Q4_1 => new(kind, 32, 20, 4, 0, 0, -8, 7, 8),
            LatticeKind.Q5_0 => new(kind, 32, 22, 5, 0, 0, -16, 15, 16),
            LatticeKind.Q5_1 => new(kind, 32, 24, 5, 0, 0, -16, 15, 16),
            LatticeKind.Q2_K => new(kind, 256, 84, 2, 0, 0, -2, 1, 2),
            LatticeKind.Q3_K => new(kind, 256, 110, 3, 0, 0, -4, 3, 4),
            LatticeKind.Q4_K => new(kind, 256, 144, 4, 0, 0, -8, 7, 8),
            LatticeKind.Q5_K => new(kind, 256, 176, 5, 0, 0, -16, 15, 16),
            LatticeKind.Q6_K => new(kind, 256, 210, 6, 0, 0, -32, 31, 32),
            LatticeKind.IQ4_NL => new(kind, 32, 18, 4, 0, 0, -8, 7, 8),
            LatticeKind.IQ4_XS => new(kind, 256, 136, 4, 0, 0, -8, 7, 8),
            LatticeKind.MXFP4 => new(kind, 32, 17, 4, 0, 0, -7, 7, 8), // -8 is the negative zero
            LatticeKind.TQ2_0 => new(kind, 256, 66, 2, 0, 0, -1, 1, 1),
            _ => default,
        };
        return lattice.Bits != 0;
    }

    public static Lattice Of(LatticeKind kind) =>
        TryGet(kind, out var lattice) ? lattice : throw new ArgumentOutOfRangeException(nameof(kind), kind, "not a lattice");

    /// <summary>The kind that codes a file's element type; null for types that are coded by the byte.</summary>
    public static LatticeKind? For(ElementType type) => type switch
    {
        ElementType.Float32 => LatticeKind.Float32,
        ElementType.Float16 => LatticeKind.Float16,
        ElementType.BFloat16 => LatticeKind.BFloat16,
        ElementType.Float8E4M3FN or ElementType.Float8E4M3FNUZ => LatticeKind.Float8E4M3,
        ElementType.Float8E5M2 or ElementType.Float8E5M2FNUZ => LatticeKind.Float8E5M2,
        ElementType.Int8 => LatticeKind.Int8,
        ElementType.UInt8 => LatticeKind.UInt8,
        ElementType.Int4 => LatticeKind.Int4,
        ElementType.UInt4 => LatticeKind.UInt4,
        ElementType.Q8_0 => LatticeKind.Q8_0,
        ElementType.Q4_0 => LatticeKind.Q4_0,
        ElementType.Q4_1 => LatticeKind.Q4_1,
        ElementType.Q5_0 => LatticeKind.Q5_0,
        ElementType.Q5_1 => LatticeKind.Q5_1,
        ElementType.Q2_K => LatticeKind.Q2_K,
        ElementType.Q3_K => LatticeKind.Q3_K,
        ElementType.Q4_K => LatticeKind.Q4_K,
        ElementType.Q5_K => LatticeKind.Q5_K,
        ElementType.Q6_K => LatticeKind.Q6_K,
        ElementType.IQ4_NL => LatticeKind.IQ4_NL,
        ElementType.IQ4_XS => LatticeKind.IQ4_XS,
        ElementType.MXFP4 => LatticeKind.MXFP4,
        ElementType.TQ2_0 => LatticeKind.TQ2_0,
        _ => null,
    };
}
