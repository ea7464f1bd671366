using System.Collections.Immutable;

namespace Coppice.Graph;

/// <summary>The order in which nodes can run.</summary>
/// <remarks>A node waits for the nodes whose outputs it reads, or whose outputs a graph inside it reads. Of a name given twice the first counts.</remarks>
public static class NodeOrder
{
    /// <summary>The same nodes, each behind those it waits for; where there is a choice, in the order they came.</summary>
    /// <exception cref="ArgumentException">Nodes wait for each other.</exception>
    public static ImmutableArray<OnnxNode> Sort(ImmutableArray<OnnxNode> nodes)
    {
        var order = Runnable(nodes);
        return order.Count == nodes.Length
            ? [.. order.Select(i => nodes[i])]
            : throw new ArgumentException(
                $"Nodes {string.Join(", ", InCycles(nodes))} wait for each other's outputs; break the cycle.", nameof(nodes));
    }

    /// <summary>The nodes, by index, that lie on a cycle or between two of them; empty when the nodes can be sorted.</summary>
    public static ImmutableArray<int> InCycles(ImmutableArray<OnnxNode> nodes)
    {
        var stuck = new HashSet<int>(Enumerable.Range(0, nodes.Length));
        stuck.ExceptWith(Runnable(nodes));
        if (stuck.Count == 0)
            return [];

        // What only stands behind a cycle is stuck, but no part of it: nobody who is stuck waits for it.
        var waitsFor = WaitsFor(nodes);
        for (bool shrunk = true; shrunk;)
        {
            var needed = stuck.SelectMany(i => waitsFor[i]).ToHashSet();
            shrunk = stuck.RemoveWhere(i => !needed.Contains(i)) > 0;
        }
        return [.. stuck.Order()];
    }

    /// <summary>Kahn's algorithm: the nodes that can run, in order; fewer than there are when some wait for each other.</summary>
    static List<int> Runnable(ImmutableArray<OnnxNode> nodes)
    {
        var waitsFor = WaitsFor(nodes);
        var waiters = new List<int>[nodes.Length];
        var missing = new int[nodes.Length];
        var ready = new PriorityQueue<int, int>();
        for (var i = 0; i < nodes.Length; i++)
        {
            missing[i] = waitsFor[i].Count;
            if (missing[i] == 0)
                ready.Enqueue(i, i);
            foreach (var giver in waitsFor[i])
                (waiters[giver] ??= []).Add(i);
        }

        var order = new List<int>(nodes.Length);
        while (ready.TryDequeue(out var next, out _))
        {
            order.Add(next);
            foreach (var waiter in waiters[next] ?? [])
            {
                if (--missing[waiter] == 0)
                    ready.Enqueue(waiter, waiter);
            }
        }
        return order;
    }

    static HashSet<int>[] WaitsFor(ImmutableArray<OnnxNode> nodes)
    {
        var giver = new Dictionary<string, int>();
        for (var i = 0; i < nodes.Length; i++)
        {
            foreach (var output in nodes[i].Outputs)
            {
                if (output.Length > 0)
                    giver.TryAdd(output, i);
            }
        }
        return [.. nodes.Select(node => Reads(node, 1).Where(giver.ContainsKey).Select(name => giver[name]).ToHashSet())];
    }

    /// <summary>Names a node reads, with those that its subgraphs take from outside.</summary>
    static IEnumerable<string> Reads(OnnxNode node, int depth)
    {
        var inside = depth > OnnxRules.MaxDepth
            ? []
            : node.Attributes.OfType<OnnxAttribute.Subgraph>().SelectMany(attribute =>
            {
                var graph = attribute.Value;
                var own = graph.Inputs.Select(input => input.Name)
                    .Concat(graph.Initializers.Select(tensor => tensor.Name))
                    .Concat(graph.Nodes.SelectMany(inner => inner.Outputs));
                return graph.Nodes.SelectMany(inner => Reads(inner, depth + 1))
                    .Concat(graph.Outputs.Select(output => output.Name))
                    .Except(own);
            });
        return node.Inputs.Concat(inside);
    }
}
