using System.Collections.Immutable;

namespace Coppice.Graph;

/// <summary>A constant that belongs to a node: one of the kinds nested in this type.</summary>
/// <param name="Name">As the operator names it: <c>axis</c>, <c>strides</c>.</param>
public abstract record OnnxAttribute(string Name)
{
    /// <summary>A 32-bit float.</summary>
    public sealed record Float(string Name, float Value) : OnnxAttribute(Name);

    /// <summary>A 64-bit integer.</summary>
    public sealed record Int(string Name, long Value) : OnnxAttribute(Name);

    /// <summary>Text, written as UTF-8.</summary>
    public sealed record Text(string Name, string Value) : OnnxAttribute(Name);

    /// <summary>A constant tensor.</summary>
    public sealed record Tensor(string Name, OnnxTensor Value) : OnnxAttribute(Name);

    /// <summary>A graph that the node runs: a branch of If, the body of Loop. It sees the names of the graph around it.</summary>
    public sealed record Subgraph(string Name, OnnxGraph Value) : OnnxAttribute(Name);

    /// <summary>Any number of 32-bit floats.</summary>
    public sealed record Floats(string Name, ImmutableArray<float> Values) : OnnxAttribute(Name);

    /// <summary>Any number of 64-bit integers.</summary>
    public sealed record Ints(string Name, ImmutableArray<long> Values) : OnnxAttribute(Name);

    /// <summary>Any number of texts.</summary>
    public sealed record Texts(string Name, ImmutableArray<string> Values) : OnnxAttribute(Name);
}
