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
        _ => null,
    };
}
