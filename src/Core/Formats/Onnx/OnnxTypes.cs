namespace Coppice.Formats.Onnx;

/// <summary>TensorProto.DataType of ONNX 1.19, by number.</summary>
static class OnnxTypes
{
    static readonly ElementType[] ByNumber =
    [
        ElementType.Unknown, ElementType.Float32, ElementType.UInt8, ElementType.Int8, ElementType.UInt16, ElementType.Int16,
        ElementType.Int32, ElementType.Int64, ElementType.String, ElementType.Bool, ElementType.Float16, ElementType.Float64,
        ElementType.UInt32, ElementType.UInt64, ElementType.Complex64, ElementType.Complex128, ElementType.BFloat16,
        ElementType.Float8E4M3FN, ElementType.Float8E4M3FNUZ, ElementType.Float8E5M2, ElementType.Float8E5M2FNUZ,
        ElementType.UInt4, ElementType.Int4, ElementType.Float4E2M1, ElementType.Float8E8M0, ElementType.UInt2, ElementType.Int2,
    ];

    /// <summary>The type of a number; Unknown for numbers that came later.</summary>
    public static ElementType Of(long number) => number > 0 && number < ByNumber.Length ? ByNumber[number] : ElementType.Unknown;

    /// <summary>The typed list that holds such elements when they are not raw: its field number in TensorProto.</summary>
    public static int ListField(ElementType type) => type switch
    {
        ElementType.Float32 or ElementType.Complex64 => 4,
        ElementType.String => 6,
        ElementType.Int64 => 7,
        ElementType.Float64 or ElementType.Complex128 => 10,
        ElementType.UInt32 or ElementType.UInt64 => 11,
        _ => 5,
    };
}
