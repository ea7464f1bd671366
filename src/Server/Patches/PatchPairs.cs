using System.Collections.Immutable;
using Coppice.Delivery;
using Coppice.Registry;

namespace Coppice.Server.Patches;

/// <summary>A file that devices hold, and the one that a release brings in its place.</summary>
public sealed record PatchPair(ReleaseFile From, ReleaseFile To);

/// <summary>Which files of an older release a new file most likely grew out of.</summary>
public static class PatchPairs
{
    /// <summary>Devices do not ask for patches of smaller files.</summary>
    const long Smallest = PatchMaker.Smallest;

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

    /// <summary>What devices that hold a release will want of another.</summary>
    /// <param name="wanted">The release that they will fetch.</param>
    /// <param name="before">The release that they hold.</param>
    /// <param name="devices">How many there are.</param>
    public static IEnumerable<PatchDemand> Demands(ReleaseManifest wanted, ReleaseManifest before, long devices)
    {
        foreach (var variant in wanted.Variants)
        {
            for (var i = 0; i < variant.Files.Length; i++)
            {
                var file = variant.Files[i];
                var from = Predecessor(variant, i, before);
                var old = before.Variants.FirstOrDefault(candidate => from is not null && candidate.Files.Contains(from)) ?? before.Variants.FirstOrDefault(candidate => candidate.Name == variant.Name);
                if (file.Length < Smallest || from is null || old is null || old.Files.Any(held => held.Digest == file.Digest))
                    continue;
                var candidates = ImmutableArray.CreateBuilder<ImmutableArray<BlobName>>();
                candidates.Add([from.Blob]);
                // What goes, or what is adapted, is likely to be in what comes: a base and its adapter, merged.
                var others = old.Files
                    .Where(held => held.Digest != from.Digest && held.Length >= Smallest && (held.Digest == variant.AdapterBase || held.Digest == old.AdapterBase || variant.Files.All(kept => kept.Digest != held.Digest)))
                    .OrderByDescending(held => held.Length).Take(PatchIndex.MaxFrom - 1).Select(held => held.Blob).ToList();
                if (others.Count > 0)
                    candidates.Add([from.Blob, .. others]);
                yield return new(file.Blob, [.. old.Files.Select(held => held.Blob)], devices) { Candidates = candidates.ToImmutable() };
            }
        }
    }

    /// <summary>What devices will want of a release that hold nothing of it: its files compressed.</summary>
    public static IEnumerable<PatchDemand> Demands(ReleaseManifest wanted, long devices) => wanted.Variants.SelectMany(variant => variant.Files)
        .Where(file => file.Length >= Smallest).DistinctBy(file => file.Digest)
        .Select(file => new PatchDemand(file.Blob, [], devices) { Candidates = [[]] });

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
