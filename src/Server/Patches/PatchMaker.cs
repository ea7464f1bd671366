using System.Security.Cryptography;
using Coppice.Delivery;
using Coppice.Delta;
using Coppice.Formats;
using Coppice.Registry;
using Coppice.Server.Trust;
using Coppice.Trust;
using Coppice.Trust.Sealing;

namespace Coppice.Server.Patches;

/// <summary>What came of the wish for a patch.</summary>
public enum PatchOutcome
{
    /// <summary>It was there.</summary>
    There,

    /// <summary>It was made.</summary>
    Made,

    /// <summary>It would save too little, a file is too small or too large to try, or it would tell of a sealed file.</summary>
    NotWorth,

    /// <summary>A file is not in the repository, or the key of a sealed one is not here.</summary>
    Missing,
}

/// <summary>Makes patches between files of a repository, each with one thread and bounded memory. A patch of a sealed file is sealed; plaintexts are in memory only.</summary>
/// <param name="tree">Where the blobs are and the patches go.</param>
/// <param name="largest">Bytes of the largest file that a patch is made from or makes.</param>
/// <param name="level">How hard to try.</param>
public sealed class PatchMaker(RepositoryTree tree, long largest = PatchMaker.DefaultLargest, PatchLevel level = PatchLevel.Default)
{
    /// <summary>512 MB: minutes of one core.</summary>
    public const long DefaultLargest = 512_000_000;

    /// <summary>Devices do not ask for patches of smaller files.</summary>
    public const long Smallest = 4096;

    /// <summary>A patch must be smaller than this part of the file that it makes.</summary>
    public const double MostOfFile = 0.9;

    /// <summary>A patch from several files must be smaller than this part of the one from the first of them: it asks more of a device.</summary>
    public const double MostOfSimpler = 0.9;

    /// <summary>Makes a patch, unless it is there or does not pay.</summary>
    /// <param name="wish">What is wished for, by plaintexts.</param>
    /// <param name="file">Finds how the repository keeps a file; null for one that is kept as it is.</param>
    /// <param name="key">Finds the key of a sealed file; null when it is not here.</param>
    /// <param name="cancel">Ends the call.</param>
    /// <exception cref="IOException">The disk fails.</exception>
    /// <exception cref="BrokenSealException">A sealed file in the repository is damaged.</exception>
    public PatchOutcome Make(PatchWish wish, Func<Sha256Digest, ReleaseFile?> file, Func<ReleaseFile, ContentKey?> key, CancellationToken cancel)
    {
        Sha256Digest[] from = [.. wish.From.Select(blob => blob.Digest)];
        if (tree.PatchLength(from, wish.To.Digest) is not null)
            return PatchOutcome.There;
        ReleaseFile Kept(BlobName blob) => file(blob.Digest) ?? new("", blob.Digest, blob.Length);
        var to = Kept(wish.To);
        var files = wish.From.Select(Kept).Append(to).ToList();
        if (files.Any(known => tree.BlobLength(known.Stored.Digest) is null))
            return PatchOutcome.Missing;
        if (from.Contains(to.Digest) || to.Length < Smallest || Math.Max(to.Length, wish.From.Sum(blob => blob.Length)) > largest)
            return PatchOutcome.NotWorth;
        // Old and new differ by what the patch says: in the clear it would tell of the sealed one to whoever has the other.
        if (to.Sealed is null && files.Any(known => known.Sealed is not null))
            return PatchOutcome.NotWorth;

        var opened = new List<OpenedBlob>();
        try
        {
            foreach (var known in files)
            {
                if (OpenedBlob.Open(tree, known, key) is not { } blob)
                    return PatchOutcome.Missing;
                opened.Add(blob);
            }

            var below = (long)(to.Length * MostOfFile);
            if (from.Length > 1 && tree.PatchLength([from[0]], to.Digest) is { } simpler)
                below = Math.Min(below, (long)(simpler * MostOfSimpler));
            return tree.PutPatch(wish.From, wish.To, below, patch => Write(opened, from, to, patch, cancel)) is not null ? PatchOutcome.Made : PatchOutcome.NotWorth;
        }
        finally
        {
            foreach (var blob in opened)
                blob.Dispose();
        }
    }

    void Write(List<OpenedBlob> opened, Sha256Digest[] from, ReleaseFile to, Stream patch, CancellationToken cancel)
    {
        if (opened[^1].Key is not { } toKey)
        {
            Encode(opened, patch, cancel);
            return;
        }

        using var key = toKey.OfPatch([.. from.Zip(opened, (digest, blob) => (digest, blob.Key))], to.Digest);
        var header = SealHeader.OfPatch(key.Id, from, to.Digest, RandomNumberGenerator.GetBytes(SealHeader.SaltBytes), to.Sealed!.Segment);
        using var cipher = new SegmentCipher(key, header);
        using var closed = new SealingWriteStream(patch, cipher);
        Encode(opened, closed, cancel);
        closed.Complete();
    }

    void Encode(List<OpenedBlob> opened, Stream patch, CancellationToken cancel) =>
        PatchEncoder.Create([.. opened.SkipLast(1).Select(blob => PatchSource.Of(blob.Source))], PatchSource.Of(opened[^1].Source), patch, new() { Level = level, Workers = 1 }, cancel);

    /// <summary>The plaintext of a blob, opened on the way when it is sealed.</summary>
    sealed class OpenedBlob(Stream stream, IByteSource source, ContentKey? key) : IDisposable
    {
        public IByteSource Source => source;

        public ContentKey? Key => key;

        public static OpenedBlob? Open(RepositoryTree tree, ReleaseFile file, Func<ReleaseFile, ContentKey?> keys)
        {
            var key = file.Sealed is null ? null : keys(file);
            if ((file.Sealed is not null && key is null) || tree.OpenBlob(file.Stored.Digest) is not { } stream)
                return null;
            try
            {
                var bytes = new StreamSource(stream);
                return new(stream, key is null ? bytes : new SealedSource(bytes, key), key);
            }
            catch
            {
                stream.Dispose();
                throw;
            }
        }

        public void Dispose()
        {
            (source as IDisposable)?.Dispose();
            stream.Dispose();
        }
    }
}
