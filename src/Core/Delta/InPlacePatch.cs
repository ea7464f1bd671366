using Coppice.Formats;

namespace Coppice.Delta;

/// <summary>Turns an old file into the new one where it lies. Stopped at any point, even by a power cut, it goes on when it is called again.</summary>
/// <remarks>
/// Needs a journal of about 4 MiB, and more where later parts of the new file are made from old bytes that are overwritten
/// earlier: nothing for a new version with the same layout, up to the old file's length for one with its tensors in another order.
/// </remarks>
public static class InPlacePatch
{
    /// <summary>Applies a patch with one old file.</summary>
    /// <param name="openPatch">Opens the patch at its beginning; called twice.</param>
    /// <param name="target">The old file; the new one afterwards. Nobody else may use it meanwhile.</param>
    /// <param name="journal">Empty, or as an interrupted run left it. It may be deleted when this returns.</param>
    /// <param name="mostJournal">Bytes that the journal may take.</param>
    /// <param name="cancel">Stops between frames; call again to go on.</param>
    /// <exception cref="WrongBaseException">The target is not the old file, and the journal does not say why. Nothing was written.</exception>
    /// <exception cref="MalformedPatchException">The patch is damaged. What was not yet overwritten is still the old file.</exception>
    /// <exception cref="IOException">The journal would become too long: apply the patch to a new file instead. Nothing was written if this is found at the start.</exception>
    public static void Apply(
        Func<Stream> openPatch, IPatchFile target, IPatchFile journal, long mostJournal = long.MaxValue, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(openPatch);
        ArgumentNullException.ThrowIfNull(target);
        ArgumentNullException.ThrowIfNull(journal);
        OldReads reads;
        using (var patch = openPatch())
            reads = OldReads.Of(patch);
        if (reads.Header.OldFiles.Length != 1)
            throw new WrongBaseException(0, $"a patch in place takes one old file, but this one was made from {reads.Header.OldFiles.Length}.");

        var log = new Journal(journal, reads.Header.NewDigest.AsSpan(0, Journal.IdentityBytes));
        var state = log.Recover(target);
        if (state is null)
        {
            var old = new FileSource(target, target.Length);
            if (target.Length == reads.Header.NewLength && SourceDigest.Of(old).AsSpan().SequenceEqual(reads.Header.NewDigest.AsSpan()))
                return; // an earlier run was complete but for its report
            PatchDecoder.CheckOldFiles(reads.Header, [old]);
            log.Begin();
        }
        using var stream = new InPlaceStream(target, log, reads, state ?? default, mostJournal);
        var application = new PatchApplication { ResumeAt = state ?? default, TrustOldFiles = true, Progress = stream.Commit };
        using (var patch = openPatch())
            PatchDecoder.Apply(patch, [stream.Old], stream, application, cancel);
    }

    sealed class FileSource(IPatchFile file, long length) : IByteSource
    {
        public long Length => length;

        public void Read(long offset, Span<byte> into)
        {
            ByteRange.Check(offset, into.Length, length);
            file.Read(offset, into);
        }
    }
}
