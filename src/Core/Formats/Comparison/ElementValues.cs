using System.Buffers.Binary;

namespace Coppice.Formats.Comparison;

/// <summary>Elements as real numbers: plain types, and GGUF's simple blocks with their scale.</summary>
static class ElementValues
{
    /// <summary>Whether <see cref="Decode"/> knows the type.</summary>
    public static bool IsDecodable(ElementType type) => type is
        (>= ElementType.Float32 and <= ElementType.Bool) or (>= ElementType.Q4_0 and <= ElementType.Q8_0);

    /// <summary>Writes one number for each element; both spans hold whole blocks.</summary>
    public static void Decode(ElementType type, ReadOnlySpan<byte> bytes, Span<double> values)
    {
        var block = type.Block();
        if (type.IsBlock())
        {
            for (; !values.IsEmpty; bytes = bytes[block.Bytes..], values = values[block.Elements..])
                DecodeBlock(type, bytes[..block.Bytes], values[..block.Elements]);
            return;
        }
        if (block.Elements > 1)
        {
            var bits = 8 / block.Elements;
            for (var i = 0; i < values.Length; i++)
                values[i] = Small(type, bytes[i / block.Elements] >> (i % block.Elements * bits) & ((1 << bits) - 1), bits);
            return;
        }
        for (var i = 0; i < values.Length; i++)
            values[i] = Plain(type, bytes[(i * block.Bytes)..]);
    }

    static double Plain(ElementType type, ReadOnlySpan<byte> at) => type switch
    {
        ElementType.Float32 => BinaryPrimitives.ReadSingleLittleEndian(at),
        ElementType.Float64 => BinaryPrimitives.ReadDoubleLittleEndian(at),
        ElementType.Float16 => (double)BinaryPrimitives.ReadHalfLittleEndian(at),
        ElementType.BFloat16 => BitConverter.Int32BitsToSingle(BinaryPrimitives.ReadUInt16LittleEndian(at) << 16),
        ElementType.Float8E4M3FN => Float8(at[0], 4, 7, at[0] is 0x7F or 0xFF),
        ElementType.Float8E4M3FNUZ => Float8(at[0], 4, 8, at[0] == 0x80),
        ElementType.Float8E5M2 => (double)BitConverter.UInt16BitsToHalf((ushort)(at[0] << 8)),
        ElementType.Float8E5M2FNUZ => Float8(at[0], 5, 16, at[0] == 0x80),
        ElementType.Float8E8M0 => at[0] == 0xFF ? double.NaN : Math.ScaleB(1, at[0] - 127),
        ElementType.Int8 => (sbyte)at[0],
        ElementType.UInt8 or ElementType.Bool => at[0],
        ElementType.Int16 => BinaryPrimitives.ReadInt16LittleEndian(at),
        ElementType.UInt16 => BinaryPrimitives.ReadUInt16LittleEndian(at),
        ElementType.Int32 => BinaryPrimitives.ReadInt32LittleEndian(at),
        ElementType.UInt32 => BinaryPrimitives.ReadUInt32LittleEndian(at),
        ElementType.Int64 => BinaryPrimitives.ReadInt64LittleEndian(at),
        ElementType.UInt64 => BinaryPrimitives.ReadUInt64LittleEndian(at),
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "The type has no decoder; ask IsDecodable first."),
    };

    /// <summary>Sign, exponent, mantissa in one byte, with subnormal numbers and no infinity.</summary>
    static double Float8(byte code, int exponentBits, int bias, bool isNaN)
    {
        if (isNaN)
            return double.NaN;
        var mantissaBits = 7 - exponentBits;
        var exponent = code >> mantissaBits & ((1 << exponentBits) - 1);
        double mantissa = code & ((1 << mantissaBits) - 1);
        var magnitude = exponent == 0
            ? Math.ScaleB(mantissa, 1 - bias - mantissaBits)
            : Math.ScaleB(mantissa + (1 << mantissaBits), exponent - bias - mantissaBits);
        return code < 0x80 ? magnitude : -magnitude;
    }

    static ReadOnlySpan<double> Float4 => [0, 0.5, 1, 1.5, 2, 3, 4, 6];

    static double Small(ElementType type, int code, int bits) => type switch
    {
        ElementType.Int4 or ElementType.Int2 => code << (32 - bits) >> (32 - bits),
        ElementType.Float4E2M1 => code < 8 ? Float4[code] : -Float4[code - 8],
        _ => code,
    };

    /// <summary>As <c>dequantize_row_*</c> in ggml-quants.c: d is the scale, m the least value.</summary>
    static void DecodeBlock(ElementType type, ReadOnlySpan<byte> block, Span<double> values)
    {
        var d = (double)BinaryPrimitives.ReadHalfLittleEndian(block);
        var m = type is ElementType.Q4_1 or ElementType.Q5_1 ? (double)BinaryPrimitives.ReadHalfLittleEndian(block[2..]) : 0;
        switch (type)
        {
            case ElementType.Q8_0:
                for (var i = 0; i < values.Length; i++)
                    values[i] = d * (sbyte)block[2 + i];
                break;
            case ElementType.Q4_0 or ElementType.Q4_1:
                var codes = block[^16..];
                for (var i = 0; i < 16; i++)
                    (values[i], values[i + 16]) = (Four(codes[i] & 15), Four(codes[i] >> 4));
                break;
            default:
                var low = block[^16..];
                var high = BinaryPrimitives.ReadUInt32LittleEndian(block[^20..]);
                for (var i = 0; i < 16; i++)
                    (values[i], values[i + 16]) = (Five(low[i] & 15, high >> i), Five(low[i] >> 4, high >> (i + 16)));
                break;
        }

        double Four(int code) => type == ElementType.Q4_0 ? d * (code - 8) : d * code + m;
        double Five(int code, uint fifth) => (code | (int)(fifth & 1) << 4) is var whole && type == ElementType.Q5_0 ? d * (whole - 16) : d * whole + m;
    }
}
