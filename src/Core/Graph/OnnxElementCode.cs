using Coppice.Formats;

namespace Coppice.Graph;

/// <summary>The numbers by which ONNX files name element types: TensorProto.DataType.</summary>
public static class OnnxElementCode
{
    // At the index that onnx.proto gives it; 0 is UNDEFINED.
    static readonly ElementType[] ByCode =
    [
        ElementType.Unknown, ElementType.Float32, ElementType.UInt8, ElementType.Int8, ElementType.UInt16, ElementType.Int16,
        ElementType.Int32, ElementType.Int64, ElementType.String, ElementType.Bool, ElementType.Float16, ElementType.Float64,
        ElementType.UInt32, ElementType.UInt64, ElementType.Complex64, ElementType.Complex128, ElementType.BFloat16,
        ElementType.Float8E4M3FN, ElementType.Float8E4M3FNUZ, ElementType.Float8E5M2, ElementType.Float8E5M2FNUZ,
        ElementType.UInt4, ElementType.Int4, ElementType.Float4E2M1, ElementType.Float8E8M0, ElementType.UInt2, ElementType.Int2,
    ];

    /// <summary>The number of a type; 0 when ONNX has no such type.</summary>
    public static int Of(ElementType type) => Math.Max(0, Array.IndexOf(ByCode, type));

    /// <summary>The type of a number; Unknown when onnx.proto gives it no meaning.</summary>
    public static ElementType TypeOf(int code) => code >= 0 && code < ByCode.Length ? ByCode[code] : ElementType.Unknown;
}
