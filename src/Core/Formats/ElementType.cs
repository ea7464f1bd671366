namespace Coppice.Formats;

/// <summary>How the elements of a tensor are stored, over all formats.</summary>
/// <remarks>Names from Float32 to Complex128 follow ONNX's TensorProto.DataType; the rest are GGUF's block types as ggml spells them.</remarks>
#pragma warning disable CS1591 // the members are the formats' own names
public enum ElementType
{
    /// <summary>A type the reader knows no layout for; the tensor is a run of bytes.</summary>
    Unknown,
    Float32, Float64, Float16, BFloat16,
    Float8E4M3FN, Float8E4M3FNUZ, Float8E5M2, Float8E5M2FNUZ, Float8E8M0, Float4E2M1,
    Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64,
    /// <summary>Two to a byte, low nibble first.</summary>
    Int4,
    /// <summary>Two to a byte, low nibble first.</summary>
    UInt4,
    Int2, UInt2,
    Bool, String, Complex64, Complex128,
    Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q8_1,
    Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, Q8_K,
    IQ2_XXS, IQ2_XS, IQ3_XXS, IQ1_S, IQ4_NL, IQ3_S, IQ2_S, IQ4_XS, IQ1_M,
    TQ1_0, TQ2_0, MXFP4, NVFP4,
    Q1_0, Q2_0,
}
