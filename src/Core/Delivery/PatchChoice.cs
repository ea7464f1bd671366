using System.Collections.Immutable;
using Coppice.Registry;
using Coppice.Trust;

namespace Coppice.Delivery;

/// <summary>Devices that hold some blobs and will want another.</summary>
/// <param name="To">What they will want.</param>
/// <param name="Held">What they hold.</param>
/// <param name="Devices">How many they are; at least 1.</param>
public sealed record PatchDemand(BlobName To, ImmutableArray<BlobName> Held, long Devices)
{
    /// <summary>From what patches might be made for them, the most promising first; an empty one is the blob compressed by itself.</summary>
    public ImmutableArray<ImmutableArray<BlobName>> Candidates { get; init; } = [];
}

/// <summary>A patch that would save bytes.</summary>
/// <param name="From">What it is made from; none for the blob compressed by itself.</param>
/// <param name="To">What it makes.</param>
/// <param name="Value">Bytes that it is thought to save, over all devices.</param>
public sealed record PatchWish(ImmutableArray<BlobName> From, BlobName To, double Value)
{
    /// <summary>Its file below the repository, which also names the wish.</summary>
    public string File => RepositoryLayout.PatchFile([.. From.Select(from => from.Digest)], To.Digest);
}

/// <summary>Which patches are worth making next, and which nobody needs: a pure rule over what devices hold and which patches there are.</summary>
/// <remarks>
/// A patch is worth the bytes it saves each device against the cheapest way that the device has now, a row of patches included, times the devices.
/// So a release that few devices still serve gets along with a row over the releases between, and the one that most serve gets its own patch first.
/// </remarks>
public static class PatchChoice
{
    /// <summary>What saves less is not made.</summary>
    public const double LeastValue = 4096;

    // How large a patch is thought to be before it is made, of what it would take the place of.
    const double FromOne = 0.3;
    const double FromSeveral = 0.25;
    const double InPlaceOfRow = 0.6;
    const double Alone = 0.8;

    const int MostDepth = 5;
    const int MostIndexes = 64;

    static readonly DeliveryLimits Limits = new(long.MaxValue / 4);

    /// <summary>The patches that are worth making, most bytes saved first.</summary>
    /// <param name="demands">What devices hold and will want.</param>
    /// <param name="known">The patches that make a blob; null when there are none.</param>
    /// <param name="leaveOut">Files of patches that were tried and do not pay.</param>
    public static ImmutableArray<PatchWish> Wishes(IEnumerable<PatchDemand> demands, Func<Sha256Digest, PatchIndex?> known, IReadOnlySet<string> leaveOut)
    {
        var wishes = new Dictionary<string, PatchWish>(StringComparer.Ordinal);
        foreach (var demand in demands)
        {
            var steps = Steps(demand, known);
            var plan = DeliveryPlan.Cheapest(demand.To, Digests(demand), steps, Limits);
            var cost = plan.Sum(step => (double)step.Bytes);
            foreach (var from in demand.Candidates)
            {
                var wish = new PatchWish(from, demand.To, demand.Devices * (cost - Estimate(from, demand.To, cost, plan)));
                if (wish.Value < LeastValue || leaveOut.Contains(wish.File) || steps.Any(step => step.To == demand.To && step.From.SequenceEqual(from) && step.Kind != DeliveryKind.Whole))
                    continue;
                wishes[wish.File] = wishes.TryGetValue(wish.File, out var same) ? wish with { Value = same.Value + wish.Value } : wish;
            }
        }

        return [.. wishes.Values.OrderByDescending(wish => wish.Value).ThenBy(wish => wish.From.Length).ThenBy(wish => wish.File, StringComparer.Ordinal)];
    }

    /// <summary>Files of the patches that some device's cheapest way uses.</summary>
    public static ImmutableHashSet<string> Needed(IEnumerable<PatchDemand> demands, Func<Sha256Digest, PatchIndex?> known) =>
        [.. demands.SelectMany(demand => DeliveryPlan.Cheapest(demand.To, Digests(demand), Steps(demand, known), Limits))
            .Where(step => step.Kind is DeliveryKind.Patch or DeliveryKind.Compressed)
            .Select(step => RepositoryLayout.PatchFile([.. step.From.Select(from => from.Digest)], step.To.Digest))];

    /// <summary>Bytes that each device of a demand fetches now.</summary>
    public static long CostNow(PatchDemand demand, Func<Sha256Digest, PatchIndex?> known) =>
        DeliveryPlan.Cheapest(demand.To, Digests(demand), Steps(demand, known), Limits).Sum(step => step.Bytes);

    static double Estimate(ImmutableArray<BlobName> from, BlobName to, double now, ImmutableArray<DeliveryStep> plan) => from.Length switch
    {
        0 => Alone * to.Length,
        1 => Math.Min(FromOne * to.Length, plan is [{ Kind: DeliveryKind.Whole }] ? double.MaxValue : InPlaceOfRow * now),
        _ => FromSeveral * now,
    };

    static HashSet<Sha256Digest> Digests(PatchDemand demand) => [.. demand.Held.Select(held => held.Digest)];

    /// <summary>The steps that a device of a demand can take.</summary>
    static List<DeliveryStep> Steps(PatchDemand demand, Func<Sha256Digest, PatchIndex?> known)
    {
        var steps = new List<DeliveryStep> { new(DeliveryKind.Whole, demand.To, [], demand.To.Length, 0) };
        var asked = new HashSet<Sha256Digest> { demand.To.Digest };
        var queue = new Queue<(BlobName Blob, int Depth)>([(demand.To, 1)]);
        for (var indexes = 0; indexes < MostIndexes && queue.TryDequeue(out var next); indexes++)
        {
            foreach (var entry in known(next.Blob.Digest)?.Patches ?? [])
            {
                steps.Add(new(entry.From.IsEmpty ? DeliveryKind.Compressed : DeliveryKind.Patch, next.Blob, entry.From, entry.Length, 0));
                foreach (var from in entry.From)
                {
                    if (next.Depth < MostDepth && !demand.Held.Contains(from) && asked.Add(from.Digest))
                        queue.Enqueue((from, next.Depth + 1));
                }
            }
        }

        return steps;
    }
}
