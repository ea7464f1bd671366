using System.Collections.Immutable;

namespace Coppice.Delta;

/// <summary>Where the bytes of a patch go.</summary>
/// <param name="NewLength">Bytes of the new file.</param>
/// <param name="PatchLength">Bytes of the patch, header included.</param>
/// <param name="Parts">In the order of the new file.</param>
public sealed record PatchExplanation(long NewLength, long PatchLength, ImmutableArray<PatchPart> Parts)
{
    /// <summary>The patch in hundredths of the new file.</summary>
    public double Percent => NewLength == 0 ? 0 : 100.0 * PatchLength / NewLength;
}

/// <summary>A range of the new file, and how it is sent.</summary>
/// <param name="Name">The tensor's name; empty for bytes between tensors.</param>
/// <param name="Technique">Such as <c>difference, rank 32, BFloat16</c>.</param>
/// <param name="Offset">First byte in the new file.</param>
/// <param name="Length">Bytes in the new file.</param>
/// <param name="PatchBytes">Bytes in the patch, without models that parts share.</param>
/// <param name="Elements">Weights; 0 for bytes.</param>
public sealed record PatchPart(string Name, string Technique, long Offset, long Length, long PatchBytes, long Elements)
{
    /// <summary>Bits of the patch for each weight, or for each byte where there are no weights.</summary>
    public double BitsPerElement => PatchBytes * 8.0 / Math.Max(1, Elements == 0 ? Length : Elements);
}
