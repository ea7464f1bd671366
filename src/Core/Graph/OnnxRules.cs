using System.Collections.Immutable;
using Coppice.Formats;

namespace Coppice.Graph;

/// <summary>What must hold for a model to be an ONNX model, apart from what each operator asks of its inputs.</summary>
public static class OnnxRules
{
    /// <summary>Subgraphs in subgraphs, beyond which a model is refused rather than walked.</summary>
    public const int MaxDepth = 32;

    /// <summary>Everything that is wrong with a model; empty when it may be written.</summary>
    /// <remarks>
    /// Checked: operator sets (one for each domain that is used, none twice), names (none empty, none given twice, none read that nobody
    /// gives), the order of nodes and cycles among them, bytes of tensors against their type and dims, and the size of the whole.
    /// </remarks>
    public static ImmutableArray<Problem> Check(OnnxModel model)
    {
        var found = ImmutableArray.CreateBuilder<Problem>();
        if (model.IrVersion < 4)
            found.Add(new("ir_version", $"{model.IrVersion} makes every initialiser an input too; write version 4 or later."));

        var domains = new HashSet<string>();
        for (var i = 0; i < model.OpsetImports.Length; i++)
        {
            var (domain, version) = model.OpsetImports[i];
            if (!domains.Add(domain))
                found.Add(new($"opset_import[{i}]", $"The domain '{domain}' is imported twice; keep one version."));
            if (version < 1)
                found.Add(new($"opset_import[{i}]", $"{version} is not a version of '{domain}'; versions start at 1."));
        }

        var keys = new HashSet<string>();
        foreach (var (key, _) in model.MetadataProps)
        {
            if (!keys.Add(key))
                found.Add(new($"metadata_props['{key}']", "The key stands twice; keep one value."));
        }

        new GraphRules(domains, found).Check(model.Graph, "graph", [], 1);

        var length = found.Count == 0 ? OnnxWriter.Measure(model) : 0;
        if (length > OnnxWriter.MaxLength)
            found.Add(new("", $"The model takes {length} bytes, but protobuf readers stop at {OnnxWriter.MaxLength}; move tensors to external data."));
        return found.ToImmutable();
    }

    /// <summary>The rules of one graph and of the graphs inside its nodes.</summary>
    sealed class GraphRules(HashSet<string> domains, ImmutableArray<Problem>.Builder found)
    {
        public void Check(OnnxGraph graph, string where, ImmutableHashSet<string> outer, int depth)
        {
            if (depth > MaxDepth)
            {
                found.Add(new(where, $"Subgraphs lie more than {MaxDepth} deep; flatten them."));
                return;
            }
            if (graph.Name.Length == 0)
                found.Add(new($"{where}.name", "The graph has no name; give it one."));

            var known = Sources(graph, where, outer);
            CheckNodes(graph, where, known, outer, depth);

            var outputs = new HashSet<string>();
            for (var i = 0; i < graph.Outputs.Length; i++)
            {
                var name = graph.Outputs[i].Name;
                if (!outputs.Add(name))
                    found.Add(new($"{where}.output[{i}]", $"'{name}' is an output already; list it once."));
                else if (!known.Contains(name) && !outer.Contains(name))
                    found.Add(new($"{where}.output[{i}]", $"Nothing gives '{name}'; name an output of a node, an input or an initialiser."));
            }
            CheckValues(graph.Outputs, $"{where}.output");
            CheckValues(graph.ValueInfos, $"{where}.value_info");
        }

        /// <summary>The names that are there before any node has run.</summary>
        HashSet<string> Sources(OnnxGraph graph, string where, ImmutableHashSet<string> outer)
        {
            var known = new HashSet<string>();
            for (var i = 0; i < graph.Inputs.Length; i++)
                Give(known, graph.Inputs[i].Name, $"{where}.input[{i}]", outer);
            CheckValues(graph.Inputs, $"{where}.input");

            var initializers = new HashSet<string>();
            for (var i = 0; i < graph.Initializers.Length; i++)
            {
                var tensor = graph.Initializers[i];
                var here = $"{where}.initializer[{i}]";
                if (tensor.Name.Length > 0 && !initializers.Add(tensor.Name))
                    found.Add(new(here, $"'{tensor.Name}' is the name of an earlier initialiser; rename one."));
                else if (!known.Contains(tensor.Name)) // an input of this name takes the tensor as its default
                    Give(known, tensor.Name, here, outer);
                CheckTensor(tensor, here);
            }
            return known;
        }

        void CheckNodes(OnnxGraph graph, string where, HashSet<string> known, ImmutableHashSet<string> outer, int depth)
        {
            var givenAt = new Dictionary<string, int>(); // by the first node that gives the name, wherever it stands
            for (var i = 0; i < graph.Nodes.Length; i++)
            {
                foreach (var output in graph.Nodes[i].Outputs)
                {
                    if (output.Length > 0)
                        givenAt.TryAdd(output, i);
                }
            }

            var cyclic = NodeOrder.InCycles(graph).ToImmutableSortedSet();
            if (!cyclic.IsEmpty)
                found.Add(new($"{where}.node", $"{string.Join(", ", cyclic.Select(i => Label(graph, i)))} wait for each other's outputs; break the cycle."));

            for (var i = 0; i < graph.Nodes.Length; i++)
            {
                var node = graph.Nodes[i];
                var here = $"{where}.node[{i}]";
                if (node.OpType.Length == 0)
                    found.Add(new($"{here}.op_type", "The node names no operator."));
                if (!domains.Contains(node.Domain))
                    found.Add(new($"{here}.domain", $"{Label(graph, i)} is of the domain '{node.Domain}', of which no operator set is imported; import one."));

                foreach (var input in node.Inputs)
                {
                    if (input.Length == 0 || known.Contains(input) || outer.Contains(input))
                        continue;
                    if (!givenAt.TryGetValue(input, out var giver))
                        found.Add(new($"{here}.input", $"{Label(graph, i)} reads '{input}', which nothing gives; name an input, an initialiser or a node's output."));
                    else if (!cyclic.Contains(i) || !cyclic.Contains(giver))
                        found.Add(new($"{here}.input", $"{Label(graph, i)} reads '{input}' before {Label(graph, giver)} gives it; sort the nodes (NodeOrder.Sort)."));
                }

                CheckAttributes(node, here, known, outer, depth);
                foreach (var output in node.Outputs)
                {
                    if (output.Length > 0)
                        Give(known, output, $"{here}.output", outer);
                }
            }
        }

        void CheckAttributes(OnnxNode node, string where, HashSet<string> known, ImmutableHashSet<string> outer, int depth)
        {
            var names = new HashSet<string>();
            foreach (var attribute in node.Attributes)
            {
                var here = $"{where}.attribute['{attribute.Name}']";
                if (attribute.Name.Length == 0)
                    found.Add(new(here, "The attribute has no name; give it the operator's."));
                else if (!names.Add(attribute.Name))
                    found.Add(new(here, "The attribute stands twice; keep one."));
                if (attribute is OnnxAttribute.Tensor tensor)
                    CheckTensor(tensor.Value, here);
                else if (attribute is OnnxAttribute.Subgraph subgraph)
                    Check(subgraph.Value, here, outer.Union(known), depth + 1);
            }
        }

        void Give(HashSet<string> known, string name, string where, ImmutableHashSet<string> outer)
        {
            if (name.Length == 0)
                found.Add(new(where, "The value has no name; give it one."));
            else if (!known.Add(name) || outer.Contains(name))
                found.Add(new(where, $"The name '{name}' is taken; every value of a graph and of the graphs around it has its own."));
        }

        void CheckValues(ImmutableArray<ValueInfo> values, string where)
        {
            for (var i = 0; i < values.Length; i++)
            {
                if (OnnxElementCode.Of(values[i].Type) == 0)
                    found.Add(new($"{where}[{i}].type", $"{values[i].Type} is no element type of ONNX."));
            }
        }

        void CheckTensor(OnnxTensor tensor, string where)
        {
            var bits = tensor.Type.BitsPerElement();
            if (OnnxElementCode.Of(tensor.Type) == 0 || bits == 0)
            {
                found.Add(new($"{where}.data_type", $"{tensor.Type} cannot be stored as raw_data; use a numeric type of ONNX."));
                return;
            }

            UInt128 elements = 1;
            foreach (var dimension in tensor.Dims)
            {
                if (dimension < 0)
                {
                    found.Add(new($"{where}.dims", $"{dimension} is not a size; a constant has no open dimension."));
                    return;
                }
                elements = UInt128.Min(elements * (ulong)dimension, long.MaxValue); // more never fits, and so nothing overflows
            }
            var wanted = (elements * (uint)bits + 7) / 8;
            if (wanted != (UInt128)tensor.RawData.Length)
                found.Add(new($"{where}.raw_data", $"{tensor.Type}[{string.Join(", ", tensor.Dims)}] takes {wanted} bytes, not {tensor.RawData.Length}."));
        }

        static string Label(OnnxGraph graph, int index) => graph.Nodes[index] is { Name.Length: > 0 } named
            ? $"{named.OpType} '{named.Name}'"
            : $"{graph.Nodes[index].OpType} (node {index})";
    }
}
