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

    /// <summary>It would save too little, or a file is too small or too large to try.</summary>
    NotWorth,

    /// <summary>A file is not in the repository, or the key of a sealed one is not here.</summary>
    Missing,
}

/// <summary>Makes patches between blobs of a repository, each with one thread and bounded memory.</summary>
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

    /// <summary>Makes a patch, unless it is there or does not pay. A patch of a sealed file is sealed; its plaintext is in memory only.</summary>
    /// <param name="wish">From what, and to what.</param>
    /// <param name="file">Finds a release's file by its digest; null when none is known.</param>
    /// <param name="key">Finds the key of a sealed file by its name; null when it is not here.</param>
    /// <param name="cancel">Ends the call.</param>
    /// <exception cref="IOException">The disk fails.</exception>
    /// <exception cref="BrokenSealException">A sealed file in the repository is damaged.</exception>
    public PatchOutcome Make(PatchWish wish, Func<Sha256Digest, ReleaseFile?> file, Func<Sha256Digest, ContentKey?> key, CancellationToken cancel)
    {
        Sha256Digest[] digests = [.. wish.From.Select(blob => blob.Digest)];
        if (tree.PatchLength(digests, wish.To.Digest) is not null)
            return PatchOutcome.There;
        var from = digests.Select(file).OfType<ReleaseFile>().ToList();
        if (file(wish.To.Digest) is not { } to || from.Count < digests.Length || from.Append(to).Any(blob => tree.BlobLength(blob.StoredDigest) is null))
            return PatchOutcome.Missing;
        if (digests.Contains(to.Digest) || to.Length < Smallest || Math.Max(to.Length, from.Sum(old => old.Length)) > largest)
            return PatchOutcome.NotWorth;
        // Old and new differ by what the patch says: in the clear it would tell of the sealed one to whoever has the other.
        if (to.Sealed is null && from.Any(old => old.Sealed is not null))
            return PatchOutcome.NotWorth;

        var opened = new List<OpenedBlob>();
        try
        {
            foreach (var blob in from.Append(to))
            {
                if (OpenedBlob.Open(tree, blob, key) is not { } open)
                    return PatchOutcome.Missing;
                opened.Add(open);
            }

            var below = (long)(to.Length * MostOfFile);
            if (digests.Length > 1 && tree.PatchLength([digests[0]], to.Digest) is { } simpler)
                below = Math.Min(below, (long)(simpler * MostOfSimpler));
            return tree.PutPatch(wish.From, wish.To, below, patch => Encode(opened, digests, to, patch, cancel)) is null ? PatchOutcome.NotWorth : PatchOutcome.Made;
        }
        finally
        {
            foreach (var blob in opened)
                blob.Dispose();
        }
    }

    void Encode(List<OpenedBlob> opened, Sha256Digest[] from, ReleaseFile to, Stream patch, CancellationToken cancel)
    {
        var sources = opened.Select(blob => PatchSource.Of(blob.Source)).ToList();
        if (opened[^1].Key is not { } toKey)
        {
            Write(patch);
            return;
        }

        using var patchKey = toKey.OfPatch([.. from.Select((digest, i) => (digest, opened[i].Key))], to.Digest);
        using var cipher = new SegmentCipher(patchKey, SealHeader.OfPatch(patchKey.Id, from, to.Digest, RandomNumberGenerator.GetBytes(SealHeader.SaltBytes), to.Sealed!.Segment));
        using var closed = new SealingWriteStream(patch, cipher);
        Write(closed);
        closed.Complete();

        void Write(Stream plain) => PatchEncoder.Create(sources[..^1], sources[^1], plain, new() { Level = level, Workers = 1 }, cancel);
    }

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
            if (stream is not FileStream)
                stream = Copied(stream); // it is read to and fro
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

        static FileStream Copied(Stream stream)
        {
            var copy = new FileStream(Path.Combine(Path.GetTempPath(), $"coppice-{Guid.NewGuid():N}"), FileMode.CreateNew, FileAccess.ReadWrite, FileShare.None, 1 << 16, FileOptions.DeleteOnClose);
            try
            {
                using (stream)
                    stream.CopyTo(copy, 1 << 20);
                copy.Position = 0;
                return copy;
            }
            catch
            {
                copy.Dispose();
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
