using System.Security.Cryptography;
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

    /// <summary>It would save too little, or a file is too small or too large to try.</summary>
    NotWorth,

    /// <summary>A file is not in the repository, or the key of a sealed one is not here.</summary>
    Missing,
}

/// <summary>Makes patches between blobs of a repository, with one thread and bounded memory.</summary>
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

    /// <summary>Makes a patch, unless it is there or does not pay. A patch of a sealed file is sealed; its plaintext is in memory only.</summary>
    /// <param name="pair">The files.</param>
    /// <param name="key">Finds the key of a sealed file by its name; null when it is not here.</param>
    /// <param name="cancel">Ends the call.</param>
    /// <exception cref="IOException">The disk fails.</exception>
    /// <exception cref="BrokenSealException">A sealed file in the repository is damaged.</exception>
    public PatchOutcome Make(PatchPair pair, Func<Sha256Digest, ContentKey?> key, CancellationToken cancel)
    {
        var (from, to) = (pair.From.Digest, pair.To.Digest);
        if (tree.PatchLength(from, to) is not null)
            return PatchOutcome.There;
        if (tree.BlobLength(pair.From.StoredDigest) is null || tree.BlobLength(pair.To.StoredDigest) is null)
            return PatchOutcome.Missing;
        if (from == to || pair.To.Length < Smallest || Math.Max(pair.From.Length, pair.To.Length) > largest)
            return PatchOutcome.NotWorth;
        // Old and new differ by what the patch says: in the clear it would tell of the sealed one to whoever has the other.
        if (pair.From.Sealed is not null && pair.To.Sealed is null)
            return PatchOutcome.NotWorth;
        using var old = OpenedBlob.Open(tree, pair.From, key);
        using var made = OpenedBlob.Open(tree, pair.To, key);
        if (old is null || made is null)
            return PatchOutcome.Missing;
        var paid = tree.PutPatch(
            from, to, (long)(pair.To.Length * MostOfFile),
            patch =>
            {
                if (made.Key is not { } toKey)
                {
                    Encode(old.Source, made.Source, patch, cancel);
                    return;
                }

                using var patchKey = toKey.OfPatch([(from, old.Key)], to);
                using var cipher = new SegmentCipher(patchKey, SealHeader.OfPatch(patchKey.Id, [from], to, RandomNumberGenerator.GetBytes(SealHeader.SaltBytes), pair.To.Sealed!.Segment));
                using var closed = new SealingWriteStream(patch, cipher);
                Encode(old.Source, made.Source, closed, cancel);
                closed.Complete();
            });
        return paid ? PatchOutcome.Made : PatchOutcome.NotWorth;
    }

    void Encode(IByteSource old, IByteSource made, Stream patch, CancellationToken cancel) =>
        PatchEncoder.Create(old, made, patch, new() { Level = level, Workers = 1 }, cancel);

    /// <summary>The plaintext of a blob, opened on the way when it is sealed.</summary>
    sealed class OpenedBlob(Stream stream, IByteSource source, ContentKey? key) : IDisposable
    {
        public IByteSource Source => source;

        public ContentKey? Key => key;

        public static OpenedBlob? Open(RepositoryTree tree, ReleaseFile file, Func<Sha256Digest, ContentKey?> keys)
        {
            var key = file.Sealed is { } form ? keys(form.Key) : null;
            if ((file.Sealed is not null && key is null) || tree.OpenBlob(file.StoredDigest) is not { } stream)
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
