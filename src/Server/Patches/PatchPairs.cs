using Coppice.Registry;

namespace Coppice.Server.Patches;

/// <summary>A file that devices hold, and the one that a release brings in its place.</summary>
public sealed record PatchPair(ReleaseFile From, ReleaseFile To);

/// <summary>Which file of an older release a new file most likely grew out of.</summary>
public static class PatchPairs
{
    /// <summary>Pairs worth a patch, each once. Equal files make none.</summary>
    /// <param name="wanted">The release that devices will fetch.</param>
    /// <param name="before">The release that they hold.</param>
    public static IReadOnlyList<PatchPair> Of(ReleaseManifest wanted, ReleaseManifest before)
    {
        var pairs = new List<PatchPair>();
        foreach (var variant in wanted.Variants)
        {
            for (var i = 0; i < variant.Files.Length; i++)
            {
                if (Predecessor(variant, i, before) is { } from && from.Digest != variant.Files[i].Digest)
                    pairs.Add(new(from, variant.Files[i]));
            }
        }

        return [.. pairs.DistinctBy(pair => (pair.From.Digest, pair.To.Digest))];
    }

    /// <summary>The file of the same name, in the variant of the same name if that has one; else the one in the same place of that variant, as when the name holds the version.</summary>
    static ReleaseFile? Predecessor(Variant variant, int index, ReleaseManifest before)
    {
        var file = variant.Files[index];
        var same = before.Variants.FirstOrDefault(old => old.Name == variant.Name);
        if (same?.Files.FirstOrDefault(old => old.Name == file.Name) is { } named)
            return named;
        if (same is not null && index < same.Files.Length && Path.GetExtension(same.Files[index].Name) == Path.GetExtension(file.Name)
            && variant.Files.All(other => other.Name != same.Files[index].Name))
            return same.Files[index];
        return before.Variants.Where(old => old.Format == variant.Format).SelectMany(old => old.Files).FirstOrDefault(old => old.Name == file.Name);
    }
}
