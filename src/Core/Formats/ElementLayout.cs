using static Coppice.Formats.ElementType;

namespace Coppice.Formats;

/// <summary>The smallest run of elements that is stored as whole bytes.</summary>
/// <param name="Elements">Elements in the run; 1 for plain types, 2 for nibbles, 32 to 256 for GGUF's blocks; 0 when the type has no fixed layout.</param>
/// <param name="Bytes">Bytes that the run takes.</param>
public readonly record struct BlockLayout(int Elements, int Bytes);

/// <summary>How many bytes elements take.</summary>
public static class ElementLayout
{
    /// <summary>Bits of one element stored by itself; 0 for strings, unknown types and GGUF blocks.</summary>
    public static int BitsPerElement(this ElementType type) => type switch
    {
        ElementType.Float64 or ElementType.Int64 or ElementType.UInt64 or ElementType.Complex64 => 64,
        ElementType.Complex128 => 128,
        ElementType.Float32 or ElementType.Int32 or ElementType.UInt32 => 32,
        ElementType.Float16 or ElementType.BFloat16 or ElementType.Int16 or ElementType.UInt16 => 16,
        ElementType.Int8 or ElementType.UInt8 or ElementType.Bool or ElementType.Float8E4M3FN or ElementType.Float8E4M3FNUZ or ElementType.Float8E5M2 or ElementType.Float8E5M2FNUZ or ElementType.Float8E8M0 => 8,
        ElementType.Int4 or ElementType.UInt4 or ElementType.Float4E2M1 => 4,
        ElementType.Int2 or ElementType.UInt2 => 2,
        _ => 0,
    };

    /// <summary>The type's block. Of GGUF's types these are <c>ggml_blck_size</c> and <c>ggml_type_size</c> of ggml 0.5.0.</summary>
    public static BlockLayout Block(this ElementType type) => type switch
    {
        Q4_0 => new(32, 18),
        Q4_1 => new(32, 20),
        Q5_0 => new(32, 22),
        Q5_1 => new(32, 24),
        Q8_0 => new(32, 34),
        Q8_1 => new(32, 36),
        Q2_K => new(256, 84),
        Q3_K => new(256, 110),
        Q4_K => new(256, 144),
        Q5_K => new(256, 176),
        Q6_K => new(256, 210),
        Q8_K => new(256, 292),
        IQ2_XXS => new(256, 66),
        IQ2_XS => new(256, 74),
        IQ3_XXS => new(256, 98),
        IQ1_S => new(256, 50),
        IQ4_NL => new(32, 18),
        IQ3_S => new(256, 110),
        IQ2_S => new(256, 82),
        IQ4_XS => new(256, 136),
        IQ1_M => new(256, 56),
        TQ1_0 => new(256, 54),
        TQ2_0 => new(256, 66),
        MXFP4 => new(32, 17),
        NVFP4 => new(64, 36),
        Q1_0 => new(128, 18),
        Q2_0 => new(64, 18),
        _ => type.BitsPerElement() switch { 0 => default, >= 8 and var bits => new(1, bits / 8), var bits => new(8 / bits, 1) },
    };

    /// <summary>Whether the type is one of GGUF's blocks of codes that share a scale.</summary>
    public static bool IsBlock(this ElementType type) => type is >= Q4_0 and <= Q2_0;

    /// <summary>Whether elements are real numbers stored as floating point, blocks not counted.</summary>
    public static bool IsFloat(this ElementType type) => type is >= ElementType.Float32 and <= ElementType.Float4E2M1;

    /// <summary>The product of the dimensions.</summary>
    /// <returns>False when a dimension is negative or the product, taken from the left, passes 2^63 - 1.</returns>
    public static bool TryCount(ReadOnlySpan<long> shape, out long elements)
    {
        elements = 1;
        foreach (var dimension in shape)
        {
            if (dimension < 0)
                return false;
            var product = Math.BigMul(elements, dimension, out var low);
            if (product != 0 || low < 0)
                return false;
            elements = low;
        }
        return true;
    }

    /// <summary>Bytes of a tensor: sub-byte elements fill their last byte with zeros, blocks run along the innermost dimension.</summary>
    /// <returns>False when the type has no fixed layout, the count or size passes 2^63 - 1, or the innermost dimension does not fill whole blocks.</returns>
    public static bool TryLength(this ElementType type, ReadOnlySpan<long> shape, out long bytes)
    {
        bytes = 0;
        var block = type.Block();
        if (block.Elements == 0 || !TryCount(shape, out var elements))
            return false;
        if (type.IsBlock() && (shape.IsEmpty ? 1 : shape[^1]) % block.Elements != 0)
            return false;

        var blocks = elements / block.Elements + (elements % block.Elements == 0 ? 0 : 1);
        if (blocks > long.MaxValue / block.Bytes)
            return false;
        bytes = blocks * block.Bytes;
        return true;
    }
}
