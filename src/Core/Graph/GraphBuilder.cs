using System.Collections.Immutable;
using System.Globalization;
using Coppice.Formats;

namespace Coppice.Graph;

/// <summary>Builds a graph node by node; each call gives the name of the value it made.</summary>
/// <remarks>Names of values in between are made from the operator and a counter, so the same calls give the same graph.</remarks>
public sealed class GraphBuilder(string name)
{
    readonly ImmutableArray<OnnxNode>.Builder nodes = ImmutableArray.CreateBuilder<OnnxNode>();
    readonly ImmutableArray<ValueInfo>.Builder inputs = ImmutableArray.CreateBuilder<ValueInfo>();
    readonly ImmutableArray<ValueInfo>.Builder outputs = ImmutableArray.CreateBuilder<ValueInfo>();
    readonly ImmutableArray<OnnxTensor>.Builder initializers = ImmutableArray.CreateBuilder<OnnxTensor>();

    /// <summary>What a caller of the model gives.</summary>
    public string Input(ValueInfo value)
    {
        inputs.Add(value);
        return value.Name;
    }

    /// <summary>A constant of 32-bit floats.</summary>
    public string Constant(string constant, ReadOnlySpan<float> values, params ReadOnlySpan<long> dims) =>
        Constant(OnnxTensor.Of(constant, values, dims));

    /// <summary>A constant of 64-bit integers.</summary>
    public string Constant(string constant, ReadOnlySpan<long> values, params ReadOnlySpan<long> dims) =>
        Constant(OnnxTensor.Of(constant, values, dims));

    /// <summary>A constant.</summary>
    public string Constant(OnnxTensor tensor)
    {
        initializers.Add(tensor);
        return tensor.Name;
    }

    /// <summary>A call of one of ONNX's own operators with one result.</summary>
    public string Node(string opType, ReadOnlySpan<string> reads, params ReadOnlySpan<OnnxAttribute> attributes)
    {
        var made = string.Create(CultureInfo.InvariantCulture, $"{opType}_{nodes.Count}");
        nodes.Add(new(opType, [.. reads], [made]) { Name = made, Attributes = [.. attributes] });
        return made;
    }

    /// <summary>A value that a run returns, under a name of its own.</summary>
    public void Output(string value, string output, ElementType type, params ReadOnlySpan<Dimension> shape)
    {
        nodes.Add(new("Identity", [value], [output]) { Name = output });
        outputs.Add(new(output, type, [.. shape]));
    }

    /// <summary>The graph so far.</summary>
    public OnnxGraph ToGraph() => new(name, nodes.ToImmutable(), inputs.ToImmutable(), outputs.ToImmutable(), initializers.ToImmutable());
}
