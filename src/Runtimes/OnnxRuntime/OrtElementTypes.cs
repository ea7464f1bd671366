using Coppice.Formats;

namespace Coppice.Runtimes.OnnxRuntime;

/// <summary>Element types by their number in <c>ONNXTensorElementDataType</c>.</summary>
/// <remarks>
/// ONNX Runtime 1.30 answers with the numbers of its header, but takes the number of a new tensor for ONNX's own
/// (<c>TensorProto.DataType</c>). The two differ in the last three types.
/// </remarks>
static class OrtElementTypes
{
    static readonly ElementType[] ByNumber =
    [
        ElementType.Unknown, ElementType.Float32, ElementType.UInt8, ElementType.Int8, ElementType.UInt16,
        ElementType.Int16, ElementType.Int32, ElementType.Int64, ElementType.String, ElementType.Bool,
        ElementType.Float16, ElementType.Float64, ElementType.UInt32, ElementType.UInt64, ElementType.Complex64,
        ElementType.Complex128, ElementType.BFloat16, ElementType.Float8E4M3FN, ElementType.Float8E4M3FNUZ, ElementType.Float8E5M2,
        ElementType.Float8E5M2FNUZ, ElementType.UInt4, ElementType.Int4, ElementType.Float4E2M1, ElementType.UInt2,
        ElementType.Int2, ElementType.Float8E8M0,
    ];

    /// <summary>Unknown for a number of a later version.</summary>
    public static ElementType TypeOf(int number) => (uint)number < (uint)ByNumber.Length ? ByNumber[number] : ElementType.Unknown;

    /// <summary>The number by which a new tensor gets a type.</summary>
    /// <exception cref="ArgumentException">ONNX Runtime has no such type.</exception>
    public static int NumberOf(ElementType type) => type switch
    {
        ElementType.Float8E8M0 => 24,
        ElementType.UInt2 => 25,
        ElementType.Int2 => 26,
        _ => Array.IndexOf(ByNumber, type) is > 0 and var number
            ? number
            : throw new ArgumentException($"ONNX Runtime has no tensors of {type}; convert the elements to a type of ONNX.", nameof(type)),
    };
}
