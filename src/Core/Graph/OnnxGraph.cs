using System.Collections.Immutable;

namespace Coppice.Graph;

/// <summary>Nodes in an order in which they can run, and the names that go in and out.</summary>
/// <param name="Name">Never empty.</param>
/// <param name="Nodes">Each after the nodes whose outputs it reads.</param>
/// <param name="Inputs">What a caller gives; one that is also an initialiser has that as its default.</param>
/// <param name="Outputs">What a run returns.</param>
/// <param name="Initializers">Constants by name: weights, tables, axes.</param>
public sealed record OnnxGraph(
    string Name,
    ImmutableArray<OnnxNode> Nodes,
    ImmutableArray<ValueInfo> Inputs,
    ImmutableArray<ValueInfo> Outputs,
    ImmutableArray<OnnxTensor> Initializers)
{
    /// <summary>Types and shapes of values in between, where they are known.</summary>
    public ImmutableArray<ValueInfo> ValueInfos { get; init; } = [];

    /// <summary>For people.</summary>
    public string DocString { get; init; } = "";
}

/// <summary>One call of an operator.</summary>
/// <param name="OpType">The operator's name in its domain: <c>MatMul</c>.</param>
/// <param name="Inputs">Names of values; an empty name leaves an optional input out.</param>
/// <param name="Outputs">Names this node gives to its results, each new in the graph; an empty name leaves a result out.</param>
public sealed record OnnxNode(string OpType, ImmutableArray<string> Inputs, ImmutableArray<string> Outputs)
{
    /// <summary>For messages and profiles; may be empty, and need not be unique.</summary>
    public string Name { get; init; } = "";

    /// <summary>The operator set; empty for ONNX's own.</summary>
    public string Domain { get; init; } = "";

    /// <summary>In the order they are written; a name stands once.</summary>
    public ImmutableArray<OnnxAttribute> Attributes { get; init; } = [];

    /// <summary>For people.</summary>
    public string DocString { get; init; } = "";
}
