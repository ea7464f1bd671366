using static Coppice.Formats.ElementType;

namespace Coppice.Formats.Gguf;

/// <summary>ggml's type numbers, <c>enum ggml_type</c> of ggml 0.5.0.</summary>
static class GgufTypes
{
    static readonly ElementType[] ByCode =
    [
        ElementType.Float32, ElementType.Float16, Q4_0, Q4_1, Unknown, Unknown, Q5_0, Q5_1, Q8_0, Q8_1, // 4 and 5 were Q4_2 and Q4_3
        Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, Q8_K,
        IQ2_XXS, IQ2_XS, IQ3_XXS, IQ1_S, IQ4_NL, IQ3_S, IQ2_S, IQ4_XS,
        ElementType.Int8, ElementType.Int16, ElementType.Int32, ElementType.Int64, ElementType.Float64,
        IQ1_M, ElementType.BFloat16, Unknown, Unknown, Unknown, TQ1_0, TQ2_0, // 31 to 33 were Q4_0 repacked for ARM
        Unknown, Unknown, Unknown, MXFP4, NVFP4, Q1_0, Q2_0, // 36 to 38 were IQ4_NL repacked
    ];

    public static ElementType Of(uint code) => code < ByCode.Length ? ByCode[code] : Unknown;
}
