using Coppice.Delta;
using Coppice.Formats;
using Coppice.Server.Trust;

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

    /// <summary>Makes a patch, unless it is there or does not pay.</summary>
    /// <exception cref="IOException">The disk fails.</exception>
    public PatchOutcome Make(PatchPair pair, CancellationToken cancel)
    {
        var (from, to) = (pair.From.Digest, pair.To.Digest);
        if (tree.PatchLength(from, to) is not null)
            return PatchOutcome.There;
        if (tree.BlobLength(from) is not { } oldLength || tree.BlobLength(to) is not { } newLength)
            return PatchOutcome.Missing;
        if (from == to || newLength < Smallest || Math.Max(oldLength, newLength) > largest)
            return PatchOutcome.NotWorth;
        using var old = tree.OpenBlob(from);
        using var made = tree.OpenBlob(to);
        if (old is null || made is null)
            return PatchOutcome.Missing;
        var paid = tree.PutPatch(
            from, to, (long)(newLength * MostOfFile),
            patch => PatchEncoder.Create(new StreamSource(old), new StreamSource(made), patch, new() { Level = level, Workers = 1 }, cancel));
        return paid ? PatchOutcome.Made : PatchOutcome.NotWorth;
    }
}
