using System.Runtime.Intrinsics.X86;

namespace Coppice.Delta.Entropy;

/// <summary>What the processor does well, beyond whether it can.</summary>
static class Processor
{
    const int ZenAndZen2 = 0x17;

    /// <summary>Whether bits are deposited under a mask in a few cycles, with AVX2 beside it. AMD's first two Zen generations take hundreds.</summary>
    public static readonly bool DepositsBits = Bmi2.X64.IsSupported && Avx2.IsSupported && Family() != ZenAndZen2;

    static int Family()
    {
        var signature = X86Base.CpuId(1, 0).Eax;
        var family = signature >> 8 & 15;
        return family == 15 ? family + (signature >> 20 & 255) : family;
    }
}
