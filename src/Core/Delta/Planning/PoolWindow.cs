namespace Coppice.Delta.Planning;

/// <summary>How much of the old files is searched for what stands between the tensors of the new one.</summary>
/// <remarks>
/// What stands between tensors comes from between tensors, most of it from the head of a file: looking for it in the tensors costs more than coding them.
/// </remarks>
static class PoolWindow
{
    /// <summary>Old files up to this length are all searched where nothing better is known; of longer ones the beginning, where headers are.</summary>
    const long MostWhole = 128 << 20;
    const long Cut = 32 << 20;

    /// <summary>Part of the bytes between old tensors that may lie outside.</summary>
    const double Outside = 0.005;

    /// <summary>The window begins with the first old file and has so many bytes.</summary>
    /// <param name="sources">The old files with what is known of their tensors.</param>
    /// <param name="length">Bytes of all of them.</param>
    public static long Of(IReadOnlyList<PatchSource> sources, long length)
    {
        var otherwise = length <= MostWhole ? length : Cut;
        if (sources is not [var only] || only.Tensors.Tensors.IsEmpty)
            return otherwise;
        var gaps = Gaps(only).ToList();
        var outside = (long)(gaps.Sum(gap => gap.Length) * Outside);
        for (var i = gaps.Count - 1; i >= 0; i--)
        {
            outside -= gaps[i].Length;
            if (outside < 0)
                return Math.Min(otherwise, gaps[i].Start + gaps[i].Length);
        }

        return otherwise;
    }

    static IEnumerable<(long Start, long Length)> Gaps(PatchSource source)
    {
        var end = 0L;
        foreach (var tensor in source.Tensors.Tensors.Where(tensor => tensor.ExternalFile is null && tensor.Length >= Alignment.LeastBytes).OrderBy(tensor => tensor.Offset))
        {
            if (tensor.Offset > end)
                yield return (end, tensor.Offset - end);
            end = Math.Max(end, tensor.Offset + tensor.Length);
        }

        if (source.Bytes.Length > end)
            yield return (end, source.Bytes.Length - end);
    }
}
