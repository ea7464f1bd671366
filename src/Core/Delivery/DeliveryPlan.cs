using System.Collections.Immutable;
using Coppice.Registry;
using Coppice.Trust;

namespace Coppice.Delivery;

/// <summary>The cheapest way from the blobs that a device holds to one that it wants.</summary>
/// <remarks>
/// Blobs are the nodes of a graph and steps its edges; a step from several blobs needs all of them. The cost of a plan is the sum
/// over its tree, so that a blob which two steps read counts twice in the comparison and is fetched once.
/// </remarks>
public static class DeliveryPlan
{
    sealed record Reached(double Cost, DeliveryStep Step, int Layer);

    /// <summary>The steps, in the order in which they are done; empty when there is no way.</summary>
    /// <param name="target">The blob that is wanted.</param>
    /// <param name="held">Blobs that are here.</param>
    /// <param name="steps">What can be done, given what is here or made before.</param>
    /// <param name="limits">What the device has.</param>
    public static ImmutableArray<DeliveryStep> Cheapest(
        BlobName target, IReadOnlySet<Sha256Digest> held, IReadOnlyCollection<DeliveryStep> steps, DeliveryLimits limits)
    {
        // A blob that was made stays until the step that reads it is done: it takes room beside that step.
        var possible = steps.Where(step => step.From.Where(from => !held.Contains(from.Digest)).Sum(from => from.Length) + step.Room <= limits.Room).ToList();
        for (; ; )
        {
            var plan = Search(target.Digest, held, possible, limits);
            // Several blobs that are made for one step lie beside one another, which the rule above does not see.
            if (TooLarge(plan, target, limits.Room) is not { } unfit)
                return plan;
            possible.Remove(unfit);
        }
    }

    static ImmutableArray<DeliveryStep> Search(Sha256Digest target, IReadOnlySet<Sha256Digest> held, List<DeliveryStep> steps, DeliveryLimits limits)
    {
        // After round n, the cheapest ways whose longest row has at most n steps.
        var layers = new List<Dictionary<Sha256Digest, Reached>> { new() };
        for (var layer = 1; layer <= limits.MaxDepth; layer++)
        {
            var (before, now) = (layers[^1], new Dictionary<Sha256Digest, Reached>(layers[^1]));
            var changed = false;
            foreach (var step in steps)
            {
                if (held.Contains(step.To.Digest) || !step.From.All(from => held.Contains(from.Digest) || before.ContainsKey(from.Digest)))
                    continue;
                var cost = limits.CostOf(step) + step.From.Where(from => !held.Contains(from.Digest)).Sum(from => before[from.Digest].Cost);
                if (now.TryGetValue(step.To.Digest, out var known) && known.Cost <= cost)
                    continue;
                now[step.To.Digest] = new(cost, step, layer);
                changed = true;
            }

            if (!changed)
                break;
            layers.Add(now);
        }

        var plan = ImmutableArray.CreateBuilder<DeliveryStep>();
        if (layers[^1].ContainsKey(target))
            Collect(target, layers.Count - 1);
        return plan.ToImmutable();

        void Collect(Sha256Digest blob, int layer)
        {
            if (held.Contains(blob) || plan.Any(step => step.To.Digest == blob))
                return;
            var reached = layers[layer][blob];
            foreach (var from in reached.Step.From)
                Collect(from.Digest, reached.Layer - 1);
            plan.Add(reached.Step);
        }
    }

    /// <summary>The step of a plan that has no room; null when all have.</summary>
    static DeliveryStep? TooLarge(ImmutableArray<DeliveryStep> plan, BlobName target, long room)
    {
        var lying = new Dictionary<Sha256Digest, long>();
        for (var i = 0; i < plan.Length; i++)
        {
            if (lying.Values.Sum() + plan[i].Room > room)
                return plan[i];
            lying[plan[i].To.Digest] = plan[i].To.Length;
            foreach (var made in lying.Keys.Where(made => made != target.Digest && !plan[(i + 1)..].Any(step => step.From.Any(from => from.Digest == made))).ToList())
                lying.Remove(made);
        }

        return null;
    }
}
