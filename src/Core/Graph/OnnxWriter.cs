using System.Collections.Immutable;
using System.Diagnostics;

namespace Coppice.Graph;

/// <summary>Writes a model as the bytes of an <c>.onnx</c> file (onnx.proto's ModelProto).</summary>
/// <remarks>
/// The same model always gives the same bytes: fields stand in the order of their numbers, repeated ones in the order of the arrays, and
/// nothing is added. Tensors are written as raw_data. Every length is counted in 64 bits.
/// </remarks>
public static class OnnxWriter
{
    /// <summary>The most bytes a model may have: protobuf readers count in 31 bits. Larger models need external data.</summary>
    public const long MaxLength = int.MaxValue;

    /// <summary>The bytes the model will take. Any model is measured, also a wrong one.</summary>
    public static long Measure(OnnxModel model) => ProtobufWriter.Measure(model, Model);

    /// <summary>The model as one array.</summary>
    /// <exception cref="ArgumentException">The model breaks a rule of <see cref="OnnxRules"/>; the message lists every one.</exception>
    public static byte[] ToBytes(OnnxModel model)
    {
        ThrowIfWrong(model);
        var bytes = new byte[Measure(model)];
        using var output = new MemoryStream(bytes);
        Model(new(output), model);
        return bytes;
    }

    /// <summary>Writes the model to a stream, tensors straight from their memory.</summary>
    /// <exception cref="ArgumentException">The model breaks a rule of <see cref="OnnxRules"/>; nothing has been written then.</exception>
    public static void Write(OnnxModel model, Stream output)
    {
        ThrowIfWrong(model);
        var buffered = new BufferedStream(output, 1 << 16); // not disposed: that would close the caller's stream
        Model(new(buffered), model);
        buffered.Flush();
    }

    static void ThrowIfWrong(OnnxModel model)
    {
        var problems = OnnxRules.Check(model);
        if (!problems.IsEmpty)
            throw new ArgumentException($"The model breaks {problems.Length} rules of ONNX:\n" + string.Join('\n', problems), nameof(model));
    }

    static void Model(ProtobufWriter writer, OnnxModel model)
    {
        writer.Int(1, model.IrVersion);
        writer.TextIfAny(2, model.ProducerName);
        writer.TextIfAny(3, model.ProducerVersion);
        writer.TextIfAny(4, model.Domain);
        if (model.ModelVersion != 0)
            writer.Int(5, model.ModelVersion);
        writer.TextIfAny(6, model.DocString);
        writer.Message(7, model.Graph, Graph);
        writer.Messages(8, model.OpsetImports, static (w, opset) =>
        {
            w.TextIfAny(1, opset.Domain);
            w.Int(2, opset.Version);
        });
        writer.Messages(14, model.MetadataProps, static (w, entry) =>
        {
            w.Text(1, entry.Key);
            w.Text(2, entry.Value);
        });
    }

    static void Graph(ProtobufWriter writer, OnnxGraph graph)
    {
        writer.Messages(1, graph.Nodes, Node);
        writer.Text(2, graph.Name);
        writer.Messages(5, graph.Initializers, Tensor);
        writer.TextIfAny(10, graph.DocString);
        writer.Messages(11, graph.Inputs, Value);
        writer.Messages(12, graph.Outputs, Value);
        writer.Messages(13, graph.ValueInfos, Value);
    }

    static void Node(ProtobufWriter writer, OnnxNode node)
    {
        foreach (var input in node.Inputs)
            writer.Text(1, input); // an empty name holds the place of an input that is left out
        foreach (var output in node.Outputs)
            writer.Text(2, output);
        writer.TextIfAny(3, node.Name);
        writer.Text(4, node.OpType);
        writer.Messages(5, node.Attributes, Attribute);
        writer.TextIfAny(6, node.DocString);
        writer.TextIfAny(7, node.Domain);
    }

    static void Attribute(ProtobufWriter writer, OnnxAttribute attribute)
    {
        writer.Text(1, attribute.Name);
        switch (attribute)
        {
            case OnnxAttribute.Float one:
                writer.Float(2, one.Value);
                writer.Int(20, 1);
                break;
            case OnnxAttribute.Int one:
                writer.Int(3, one.Value);
                writer.Int(20, 2);
                break;
            case OnnxAttribute.Text one:
                writer.Text(4, one.Value);
                writer.Int(20, 3);
                break;
            case OnnxAttribute.Tensor one:
                writer.Message(5, one.Value, Tensor);
                writer.Int(20, 4);
                break;
            case OnnxAttribute.Subgraph one:
                writer.Message(6, one.Value, Graph);
                writer.Int(20, 5);
                break;
            case OnnxAttribute.Floats many:
                foreach (var value in many.Values)
                    writer.Float(7, value);
                writer.Int(20, 6);
                break;
            case OnnxAttribute.Ints many:
                foreach (var value in many.Values)
                    writer.Int(8, value);
                writer.Int(20, 7);
                break;
            case OnnxAttribute.Texts many:
                foreach (var value in many.Values)
                    writer.Text(9, value);
                writer.Int(20, 8);
                break;
            default:
                throw new UnreachableException($"Attribute '{attribute.Name}' is of the kind {attribute.GetType().Name}, which has no field.");
        }
    }

    static void Tensor(ProtobufWriter writer, OnnxTensor tensor)
    {
        foreach (var dimension in tensor.Dims)
            writer.Int(1, dimension);
        writer.Int(2, OnnxElementCode.Of(tensor.Type));
        writer.TextIfAny(8, tensor.Name);
        writer.Bytes(9, tensor.RawData.Span);
        writer.TextIfAny(12, tensor.DocString);
    }

    static void Value(ProtobufWriter writer, ValueInfo value)
    {
        writer.Text(1, value.Name);
        writer.Message(2, value, static (type, v) => type.Message(1, v, static (tensor, v) =>
        {
            tensor.Int(1, OnnxElementCode.Of(v.Type));
            tensor.Message(2, v.Shape, Shape);
        }));
        writer.TextIfAny(3, value.DocString);
    }

    static void Shape(ProtobufWriter writer, ImmutableArray<Dimension> shape) => writer.Messages(1, shape, static (w, dimension) =>
    {
        if (dimension.Size is { } size)
            w.Int(1, size);
        else if (dimension.Symbol is { } symbol)
            w.Text(2, symbol);
    });
}
