using Coppice.Delivery;
using Coppice.Delta;
using Coppice.Formats;
using Coppice.Server.Trust;
using Coppice.Trust;

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

    /// <summary>A file is not in the repository.</summary>
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

    /// <summary>Makes a patch, unless it is there or does not pay.</summary>
    /// <exception cref="IOException">The disk fails.</exception>
    public PatchOutcome Make(PatchWish wish, CancellationToken cancel)
    {
        Sha256Digest[] from = [.. wish.From.Select(blob => blob.Digest)];
        if (tree.PatchLength(from, wish.To.Digest) is not null)
            return PatchOutcome.There;
        if (tree.BlobLength(wish.To.Digest) is not { } newLength || from.Any(digest => tree.BlobLength(digest) is null))
            return PatchOutcome.Missing;
        if (from.Contains(wish.To.Digest) || newLength < Smallest || Math.Max(newLength, from.Sum(digest => tree.BlobLength(digest) ?? 0)) > largest)
            return PatchOutcome.NotWorth;

        var streams = new List<Stream>();
        try
        {
            foreach (var digest in from.Append(wish.To.Digest))
            {
                if (tree.OpenBlob(digest) is not { } stream)
                    return PatchOutcome.Missing;
                streams.Add(stream);
            }

            var sources = streams.Select(stream => PatchSource.Of(new StreamSource(stream))).ToList();
            var below = (long)(newLength * MostOfFile);
            if (from.Length > 1 && tree.PatchLength([from[0]], wish.To.Digest) is { } simpler)
                below = Math.Min(below, (long)(simpler * MostOfSimpler));
            var stored = tree.PutPatch([.. from], wish.To.Digest, below, patch => PatchEncoder.Create(sources[..^1], sources[^1], patch, new() { Level = level, Workers = 1 }, cancel));
            return stored is not null ? PatchOutcome.Made : PatchOutcome.NotWorth;
        }
        finally
        {
            foreach (var stream in streams)
                stream.Dispose();
        }
    }
}
