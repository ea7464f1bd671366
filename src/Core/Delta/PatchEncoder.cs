using Coppice.Delta.Planning;
using Coppice.Formats;

namespace Coppice.Delta;

/// <summary>Makes a patch: the bytes that turn old files into a new one.</summary>
/// <remarks>
/// Tensors are found by name, then by shape and likeness, and each is coded by the technique that costs least on a sample of
/// its rows; everything else goes through the byte matcher. Any bytes can be patched. Patches of the same files made on
/// different processors may differ, the files made from them do not.
/// </remarks>
public static class PatchEncoder
{
    /// <summary>Makes a patch.</summary>
    /// <param name="oldFiles">What the receiver has; may be empty.</param>
    /// <param name="made">The file that the receiver shall have.</param>
    /// <param name="patch">Takes the patch; need not seek.</param>
    /// <param name="options">How hard to try, and with how many workers.</param>
    /// <param name="cancel">Stops between tensors; the patch is then useless.</param>
    /// <returns>Where the bytes of the patch went.</returns>
    public static PatchExplanation Create(
        IReadOnlyList<PatchSource> oldFiles, PatchSource made, Stream patch, PatchOptions? options = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(oldFiles);
        ArgumentNullException.ThrowIfNull(made);
        ArgumentNullException.ThrowIfNull(patch);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(oldFiles.Count, PatchLimits.MostOldFiles);
        options ??= new();
        var bytes = oldFiles.Select(source => source.Bytes).ToArray();
        var old = new OldFiles(bytes);
        var header = new PatchHeader(
            made.Bytes.Length, [.. SourceDigest.Of(made.Bytes)],
            [.. bytes.Select(file => new OldFile(file.Length, [.. SourceDigest.Of(file).AsSpan(0, OldFile.DigestBytes)]))]);
        var plan = FilePlan.Of(old, oldFiles, made);
        if (made.Bytes.Length > Comparable(options.Level))
            return Write(plan, patch, long.MaxValue);

        // In a small file the whole may be easier for the byte matcher than its parts are for the tensor techniques.
        using var first = new MemoryStream();
        using var second = new MemoryStream();
        var typed = Write(plan, first, long.MaxValue);
        var matched = Write(FilePlan.WholeAsBytes(made.Bytes), second, typed.PatchLength);
        (matched.PatchLength < typed.PatchLength ? second : first).WriteTo(patch);
        return matched.PatchLength < typed.PatchLength ? matched : typed;

        PatchExplanation Write(List<PlanStep> steps, Stream to, long wanted)
        {
            var writer = new PatchWriter(to);
            writer.Header(header);
            var parts = new EncoderRun(old, oldFiles, made.Bytes, steps, writer, options, cancel, wanted).Write();
            return new(made.Bytes.Length, writer.Position, parts);
        }
    }

    /// <summary>The longest new file that is also coded as bytes alone.</summary>
    static long Comparable(PatchLevel level) => level switch
    {
        PatchLevel.Fast => 0,
        PatchLevel.Default => 1 << 20,
        _ => 16 << 20,
    };

    /// <summary>Makes a patch from one file to another.</summary>
    /// <inheritdoc cref="Create(IReadOnlyList{PatchSource}, PatchSource, Stream, PatchOptions?, CancellationToken)"/>
    public static PatchExplanation Create(IByteSource old, IByteSource made, Stream patch, PatchOptions? options = null, CancellationToken cancel = default) =>
        Create([PatchSource.Of(old)], PatchSource.Of(made), patch, options, cancel);
}
