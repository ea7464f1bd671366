using System.Collections.Immutable;

namespace Coppice.Graph;

/// <summary>A whole ONNX model: the graph, the operator sets it is written in, and what people say about it.</summary>
/// <param name="Graph">What is computed.</param>
/// <param name="OpsetImports">The operator sets by domain; one for each domain that a node names.</param>
/// <remarks>
/// The types of this folder are plain values: a rewrite takes a model and gives another, and in between a graph may be wrong.
/// <see cref="OnnxRules"/> says what is wrong with it; <see cref="OnnxWriter"/> refuses to write it then.
/// Names are those of onnx.proto. Records compare their <see cref="ImmutableArray{T}"/>s by reference.
/// </remarks>
public sealed record OnnxModel(OnnxGraph Graph, ImmutableArray<OpsetImport> OpsetImports)
{
    /// <summary>The version of onnx.proto that a reader must know; 10 goes with operator sets up to 22.</summary>
    public long IrVersion { get; init; } = 10;

    /// <summary>The program that made the model; empty when it is not said.</summary>
    public string ProducerName { get; init; } = "";

    /// <summary>The version of that program.</summary>
    public string ProducerVersion { get; init; } = "";

    /// <summary>A reverse domain name that the model's own name is unique in.</summary>
    public string Domain { get; init; } = "";

    /// <summary>The model's own version, a plain counter in ONNX.</summary>
    public long ModelVersion { get; init; }

    /// <summary>For people.</summary>
    public string DocString { get; init; } = "";

    /// <summary>Key-values in the order they are written; a key stands once.</summary>
    public ImmutableArray<KeyValuePair<string, string>> MetadataProps { get; init; } = [];
}

/// <summary>An operator set that a model is written in.</summary>
/// <param name="Domain">Empty for ONNX's own operators.</param>
/// <param name="Version">From 1.</param>
public sealed record OpsetImport(string Domain, long Version);
