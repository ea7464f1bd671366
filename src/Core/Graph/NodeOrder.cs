using System.Collections.Immutable;

namespace Coppice.Graph;

/// <summary>The order in which nodes can run.</summary>
/// <remarks>
/// A node waits for the nodes whose outputs it reads, or whose outputs a graph inside it reads. Of a name given twice the first counts:
/// nobody waits for what is an input or an initialiser.
/// </remarks>
public static class NodeOrder
{
    /// <summary>The graph with each node behind those it waits for; where there is a choice, in the order they came.</summary>
    /// <exception cref="ArgumentException">Nodes wait for each other.</exception>
    public static OnnxGraph Sort(OnnxGraph graph)
    {
        var order = Runnable(WaitsFor(graph));
        return order.Count == graph.Nodes.Length
            ? graph with { Nodes = [.. order.Select(i => graph.Nodes[i])] }
            : throw new ArgumentException(
                $"Nodes {string.Join(", ", InCycles(graph))} of '{graph.Name}' wait for each other's outputs; break the cycle.", nameof(graph));
    }

    /// <summary>The nodes, by index, that lie on a cycle or between two of them; empty when the nodes can be sorted.</summary>
    public static ImmutableArray<int> InCycles(OnnxGraph graph)
    {
        var waitsFor = WaitsFor(graph);
        var stuck = new HashSet<int>(Enumerable.Range(0, waitsFor.Length));
        stuck.ExceptWith(Runnable(waitsFor));

        // What only stands behind a cycle is stuck, but no part of it: nobody who is stuck waits for it.
        for (var shrunk = stuck.Count > 0; shrunk;)
        {
            var needed = stuck.SelectMany(i => waitsFor[i]).ToHashSet();
            shrunk = stuck.RemoveWhere(i => !needed.Contains(i)) > 0;
        }
        return [.. stuck.Order()];
    }

    /// <summary>Kahn's algorithm: the nodes that can run, in order; fewer than there are when some wait for each other.</summary>
    static List<int> Runnable(HashSet<int>[] waitsFor)
    {
        var waiters = new List<int>[waitsFor.Length];
        var missing = new int[waitsFor.Length];
        var ready = new PriorityQueue<int, int>();
        for (var i = 0; i < waitsFor.Length; i++)
        {
            missing[i] = waitsFor[i].Count;
            if (missing[i] == 0)
                ready.Enqueue(i, i);
            foreach (var giver in waitsFor[i])
                (waiters[giver] ??= []).Add(i);
        }

        var order = new List<int>(waitsFor.Length);
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

    static HashSet<int>[] WaitsFor(OnnxGraph graph)
    {
        var nodes = graph.Nodes;
        var giver = new Dictionary<string, int>();
        for (var i = 0; i < nodes.Length; i++)
        {
            foreach (var output in nodes[i].Outputs)
            {
                if (output.Length > 0)
                    giver.TryAdd(output, i);
            }
        }
        foreach (var source in graph.Inputs.Select(input => input.Name).Concat(graph.Initializers.Select(tensor => tensor.Name)))
            giver.Remove(source);
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
