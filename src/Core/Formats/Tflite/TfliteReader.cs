using System.Collections.Immutable;

namespace Coppice.Formats.Tflite;

/// <summary>TensorFlow Lite (LiteRT): a flatbuffer whose buffers hold the tensors, inside it or, past 2 GB, behind it.</summary>
/// <remarks>Field numbers after TFLite's schema.fbs, version 3.</remarks>
static class TfliteReader
{
    public const uint Identifier = 0x334C4654; // "TFL3", at byte 4

    public static ModelFile Read(ByteWindow bytes)
    {
        var draft = new ModelDraft(ModelFormat.Tflite, bytes) { Runtime = "tflite" };
        var model = new FlatBuffer(bytes).Root();
        draft.FormatVersion = model.UInt32(0);
        draft.Description = model.LongText(3);

        var operators = OperatorNames(model);
        var buffers = model.Vector(4, 4);
        var graphs = model.Vector(2, 4);
        var main = default(TfliteValues?);
        for (var i = 0; i < graphs.Count; i++)
        {
            var values = ReadGraph(bytes, draft, model, model.Item(graphs, i), buffers, operators, i);
            main ??= values;
        }
        ReadMetadata(bytes, draft, model, buffers);
        if (main is { } named)
            ReadSignatures(bytes, draft, model, named);
        return draft.Build();
    }

    /// <summary>The tensors of a subgraph, by index.</summary>
    readonly record struct TfliteValues(FlatTable Graph, FlatVector Tensors);

    static List<(string Domain, string Name)> OperatorNames(FlatTable model)
    {
        var codes = model.Vector(1, 4);
        var names = new List<(string, string)>();
        for (var i = 0; i < codes.Count; i++)
        {
            var code = model.Item(codes, i);
            var builtin = Math.Max((int)code.SByte(0), code.Int32(3)); // the byte of old files stops at 127
            names.Add(builtin == TfliteTypes.Custom ? ("custom", code.Text(1)) : ("", TfliteTypes.Operator(builtin)));
        }
        return names;
    }

    static TfliteValues ReadGraph(
        ByteWindow bytes, ModelDraft draft, FlatTable model, FlatTable graph, FlatVector buffers, List<(string Domain, string Name)> operators, int index)
    {
        var tensors = graph.Vector(0, 4);
        var name = graph.Text(4);
        var path = index == 0 ? "" : name.Length > 0 ? $"{name}/" : $"subgraph {index}/";
        if (index == 0)
            draft.Name = name;

        for (var i = 0; i < tensors.Count; i++)
            ReadTensor(bytes, draft, model, graph.Item(tensors, i), buffers, path);

        if (index == 0)
        {
            AddValues(bytes, draft.Inputs, graph, tensors, graph.Vector(1, 4));
            AddValues(bytes, draft.Outputs, graph, tensors, graph.Vector(2, 4));
        }

        var nodes = graph.Vector(3, 4);
        for (var i = 0; i < nodes.Count; i++)
        {
            var node = graph.Item(nodes, i);
            var code = node.UInt32(0);
            if (code >= operators.Count)
                throw bytes.Malformed(node.At, $"a node uses operator code {code}, but the model has {operators.Count}; the file is damaged.");
            draft.AddOperator(operators[(int)code].Domain, operators[(int)code].Name);
        }
        return new(graph, tensors);
    }

    static void ReadTensor(ByteWindow bytes, ModelDraft draft, FlatTable model, FlatTable tensor, FlatVector buffers, string path)
    {
        var (offset, length) = Data(bytes, model, buffers, tensor.UInt32(2), tensor.At);
        if (length == 0)
            return; // an activation, or a variable

        bytes.Spend(tensor.At, path.Length);
        var name = path + tensor.Text(3);
        var type = TfliteTypes.Of(tensor.SByte(1));
        var shape = Shape(bytes, tensor, tensor.Vector(0, 4));
        if (tensor.Has(6) || type is ElementType.String or ElementType.Unknown) // field 6: sparsity
            draft.AddCoded(name, type, shape, offset, length);
        else
            draft.AddTensor(name, type, shape, offset, length, quantisation: QuantisationOf(bytes, tensor));
    }

    /// <summary>Where a buffer's bytes are; empty for buffer 0 and for activations.</summary>
    static (long Offset, long Length) Data(ByteWindow bytes, FlatTable model, FlatVector buffers, uint index, long from)
    {
        if (index >= buffers.Count)
        {
            return index == 0 ? default
                : throw bytes.Malformed(from, $"a tensor is in buffer {index}, but the model has {buffers.Count}; the file is damaged.");
        }
        var buffer = model.Item(buffers, (int)index);
        var behind = buffer.UInt64(1);
        if (behind <= 1) // 0: not there; 1: written by converters before they know the place
        {
            var data = buffer.Vector(0, 1);
            return (data.Start, data.Count);
        }
        var size = buffer.UInt64(2);
        if (behind > (ulong)bytes.Length || size > (ulong)bytes.Length - behind)
            throw bytes.Malformed(buffer.At, $"buffer {index} is {size} bytes at byte {behind}, but the file has {bytes.Length}; it is cut short, fetch it again.");
        return ((long)behind, (long)size);
    }

    static ImmutableArray<long> Shape(ByteWindow bytes, FlatTable tensor, FlatVector sizes)
    {
        if (sizes.Count > ReadLimits.Dimensions)
            throw bytes.Malformed(tensor.At, $"a tensor has {sizes.Count} dimensions, more than {ReadLimits.Dimensions}; the file is damaged.");
        var shape = ImmutableArray.CreateBuilder<long>(sizes.Count);
        for (var i = 0; i < sizes.Count; i++)
            shape.Add(tensor.IntItem(sizes, i));
        return shape.DrainToImmutable();
    }

    static Quantisation? QuantisationOf(ByteWindow bytes, FlatTable tensor)
    {
        if (tensor.Table(4) is not { } parameters)
            return null;
        var scales = parameters.Vector(2, sizeof(float));
        var zeros = parameters.Vector(3, sizeof(long));
        if (scales.IsEmpty)
            return null;
        return new(
            BitConverter.Int32BitsToSingle(bytes.Int32(scales.Start)), zeros.IsEmpty ? 0 : bytes.Int64(zeros.Start), scales.Count, parameters.Int32(6));
    }

    static void AddValues(ByteWindow bytes, List<ModelValue> values, FlatTable graph, FlatVector tensors, FlatVector indices)
    {
        if (indices.Count > ReadLimits.Values)
            throw bytes.Malformed(graph.At, $"the graph has {indices.Count} inputs or outputs, more than {ReadLimits.Values}; the file is damaged.");
        for (var i = 0; i < indices.Count; i++)
        {
            var tensor = graph.Item(tensors, Checked(bytes, graph, tensors, graph.IntItem(indices, i)));
            var signature = tensor.Vector(7, 4); // with -1 for free dimensions
            values.Add(new(tensor.Text(3), TfliteTypes.Of(tensor.SByte(1)), Shape(bytes, tensor, signature.IsEmpty ? tensor.Vector(0, 4) : signature))
            {
                Quantisation = QuantisationOf(bytes, tensor),
            });
        }
    }

    static int Checked(ByteWindow bytes, FlatTable graph, FlatVector tensors, int index) => (uint)index < (uint)tensors.Count
        ? index : throw bytes.Malformed(graph.At, $"the graph names tensor {index}, but it has {tensors.Count}; the file is damaged.");

    static void ReadMetadata(ByteWindow bytes, ModelDraft draft, FlatTable model, FlatVector buffers)
    {
        var entries = model.Vector(6, 4);
        for (var i = 0; i < entries.Count; i++)
        {
            var entry = model.Item(entries, i);
            var name = entry.Text(0);
            var (offset, length) = Data(bytes, model, buffers, entry.UInt32(1), entry.At);
            if (name == "min_runtime_version")
            {
                draft.MinimumRuntime = bytes.Name(offset, Math.Min(length, 32)).TrimEnd('\0');
                draft.AddMetadata(name, draft.MinimumRuntime);
            }
            else
            {
                draft.AddMetadata(name, $"{length} bytes");
            }
        }
    }

    static void ReadSignatures(ByteWindow bytes, ModelDraft draft, FlatTable model, TfliteValues main)
    {
        var signatures = model.Vector(7, 4);
        for (var i = 0; i < signatures.Count; i++)
        {
            var signature = model.Item(signatures, i);
            if (signature.UInt32(4) == 0) // of the main subgraph
                draft.AddMetadata($"signature {signature.Text(2)}", $"{Names(bytes, signature, 0, main)} → {Names(bytes, signature, 1, main)}");
        }
    }

    static string Names(ByteWindow bytes, FlatTable signature, int field, TfliteValues main)
    {
        var maps = signature.Vector(field, 4);
        var names = new List<string>();
        for (var i = 0; i < Math.Min(maps.Count, ReadLimits.MetadataItems); i++)
        {
            var map = signature.Item(maps, i);
            Checked(bytes, main.Graph, main.Tensors, (int)map.UInt32(1));
            names.Add(map.Text(0));
        }
        return string.Join(", ", names);
    }
}
