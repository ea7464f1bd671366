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
        var old = new OldFiles([.. oldFiles.Select(source => source.Bytes)]);
        var writer = new PatchWriter(patch);
        writer.Header(new(
            made.Bytes.Length, [.. SourceDigest.Of(made.Bytes)],
            [.. oldFiles.Select(file => new OldFile(file.Bytes.Length, [.. SourceDigest.Of(file.Bytes).AsSpan(0, OldFile.DigestBytes)]))]));
        var plan = FilePlan.Of(old, oldFiles, made);
        var run = new EncoderRun(old, [.. oldFiles.Select(source => source.Bytes)], made.Bytes, plan, writer, options ?? new(), cancel);
        var parts = run.Write();
        return new(made.Bytes.Length, writer.Position, parts);
    }

    /// <summary>Makes a patch from one file to another.</summary>
    /// <inheritdoc cref="Create(IReadOnlyList{PatchSource}, PatchSource, Stream, PatchOptions?, CancellationToken)"/>
    public static PatchExplanation Create(IByteSource old, IByteSource made, Stream patch, PatchOptions? options = null, CancellationToken cancel = default) =>
        Create([PatchSource.Of(old)], PatchSource.Of(made), patch, options, cancel);
}
