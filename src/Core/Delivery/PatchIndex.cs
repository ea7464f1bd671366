using System.Collections.Immutable;
using Coppice.Registry;
using Coppice.Trust;

namespace Coppice.Delivery;

/// <summary>Which patches make one blob, from what, with how many bytes: one small file a blob, so that no reader need guess names.</summary>
/// <remarks>Not signed. A falsehood in it costs a download at most: what a patch makes is compared with a signed digest. Specified in docs/formats/repository.md.</remarks>
/// <param name="Schema">1.</param>
/// <param name="To">The blob that they make.</param>
/// <param name="Patches">At most <see cref="MaxPatches"/>, no two from the same.</param>
public sealed record PatchIndex(int Schema, BlobName To, ImmutableArray<PatchEntry> Patches)
{
    /// <summary>The schema this code writes and reads.</summary>
    public const int CurrentSchema = 1;

    /// <summary>Largest index read, in bytes.</summary>
    public const int MaxBytes = 128 << 10;

    /// <summary>Most patches to one blob.</summary>
    public const int MaxPatches = 128;

    /// <summary>Most blobs that a patch is made from: their digests are the name of its folder.</summary>
    public const int MaxFrom = 3;

    /// <summary>Longest blob spoken of; no sum of a plan's lengths can overflow.</summary>
    const long MaxLength = 1L << 50;

    /// <summary>This index with other patches to the same blob; one from the same blobs takes the place of the one before, and the newest are kept.</summary>
    public PatchIndex With(IEnumerable<PatchEntry> added)
    {
        var all = Patches.ToList();
        foreach (var entry in added)
        {
            all.RemoveAll(known => known.From.SequenceEqual(entry.From));
            all.Add(entry);
        }

        return this with { Patches = [.. all.TakeLast(MaxPatches)] };
    }

    /// <summary>Everything that is wrong.</summary>
    public ImmutableArray<Problem> Check()
    {
        var found = ImmutableArray.CreateBuilder<Problem>();
        if (Schema != CurrentSchema)
            found.Add(new("schema", $"{Schema} is not known here; this version reads {CurrentSchema}."));
        CheckName(To, "to", found);
        if (Patches.IsDefault || Patches.Length > MaxPatches)
        {
            found.Add(new("patches", $"{(Patches.IsDefault ? 0 : Patches.Length)} patches; at most {MaxPatches} are taken."));
            return found.ToImmutable();
        }

        for (var i = 0; i < Patches.Length; i++)
        {
            if (Patches[i] is not { } entry) // JSON's null
            {
                found.Add(new($"patches[{i}]", "is null; a patch has its sources and its length."));
                continue;
            }

            if (entry.Length is <= 0 or > MaxLength)
                found.Add(new($"patches[{i}].length", $"{entry.Length} is no length of a patch."));
            if (entry.From.IsDefault || entry.From.Length > MaxFrom)
            {
                found.Add(new($"patches[{i}].from", $"at most {MaxFrom} blobs are taken."));
                continue;
            }

            foreach (var from in entry.From)
                CheckName(from, $"patches[{i}].from", found);
            if (To is not null && entry.From.Any(from => from?.Digest == To.Digest))
                found.Add(new($"patches[{i}].from", "is the blob that it makes."));
        }

        return found.ToImmutable();
    }

    static void CheckName(BlobName? name, string where, ImmutableArray<Problem>.Builder found)
    {
        if (name is null)
            found.Add(new(where, "is missing; a blob is named by its digest and length."));
        else if (name.Digest.IsDefault || name.Length is < 0 or > MaxLength)
            found.Add(new(where, $"{name.Digest} of {name.Length} bytes is no blob."));
    }
}

/// <summary>A patch.</summary>
/// <param name="From">The blobs it is made from, in their order; none when it stands alone, which is the blob in compressed form.</param>
/// <param name="Length">Its bytes.</param>
public sealed record PatchEntry(ImmutableArray<BlobName> From, long Length)
{
    /// <summary>Its file below the repository.</summary>
    public string File(Sha256Digest to) => RepositoryLayout.PatchFile([.. From.Select(from => from.Digest)], to);
}
