using System.Collections.Immutable;

namespace Coppice.Formats;

/// <summary>What a model file says of itself: its tensors, its signature and what it needs of a runtime.</summary>
/// <remarks>Everything that a format does not carry is null or empty.</remarks>
public sealed record ModelFile
{
    /// <summary>What kind of file this is.</summary>
    public required ModelFormat Format { get; init; }

    /// <summary>Where the tensors are, and the file's key-values.</summary>
    public required TensorMap Map { get; init; }

    /// <summary>Every tensor, see <see cref="TensorMap.Tensors"/>.</summary>
    public ImmutableArray<TensorEntry> Tensors => Map.Tensors;

    /// <summary>What a caller must give, in the model's order. Initialisers that are listed as inputs are not among them.</summary>
    public ImmutableArray<ModelValue> Inputs { get; init; } = [];

    /// <summary>What the model answers, in its order.</summary>
    public ImmutableArray<ModelValue> Outputs { get; init; } = [];

    /// <summary>What a runtime must know to run the file.</summary>
    public required RuntimeNeeds Needs { get; init; }

    /// <summary>The tool that wrote the file, with its version where it is given.</summary>
    public string? Producer { get; init; }

    /// <summary>The name that the model gives itself.</summary>
    public string? Name { get; init; }

    /// <summary>The description that the model gives of itself, shortened.</summary>
    public string? Description { get; init; }

    /// <summary>Models inside an archive; their tensors are in <see cref="Map"/> with the entry's name in front.</summary>
    public ImmutableArray<ModelPart> Parts { get; init; } = [];

    /// <summary>Files that must lie beside this one, and the bytes that each must have at least.</summary>
    public ImmutableArray<ExternalFile> ExternalFiles { get; init; } = [];

    /// <summary>What a reader should know: views that are not mapped, compressed entries, dropped key-values.</summary>
    public ImmutableArray<string> Notes { get; init; } = [];

    /// <summary>Elements of all tensors, tensors that share bytes counted once; at most 2^63 - 1.</summary>
    public long Parameters => Distinct().Aggregate(0L, (sum, tensor) => sum > long.MaxValue - tensor.Elements ? long.MaxValue : sum + tensor.Elements);

    /// <summary>Bytes of all tensors, shared ones counted once, external ones too.</summary>
    public long TensorBytes => Distinct().Aggregate(0L, (sum, tensor) => sum > long.MaxValue - tensor.Length ? long.MaxValue : sum + tensor.Length);

    /// <summary>Tensors, elements and bytes by element type, most bytes first; shared bytes counted once.</summary>
    public ImmutableArray<TypeShare> Types =>
        [.. Distinct().GroupBy(tensor => tensor.Meaning)
            .Select(group => new TypeShare(
                group.Key,
                group.Count(),
                group.Aggregate(0L, (sum, tensor) => sum > long.MaxValue - tensor.Elements ? long.MaxValue : sum + tensor.Elements),
                group.Aggregate(0L, (sum, tensor) => sum > long.MaxValue - tensor.Length ? long.MaxValue : sum + tensor.Length)))
            .OrderByDescending(share => share.Bytes).ThenBy(share => share.Type)];

    IEnumerable<TensorEntry> Distinct()
    {
        var before = (File: (string?)null, Offset: -1L, Length: -1L);
        foreach (var tensor in Tensors) // in order of offset, so sharers follow one another
        {
            var range = (tensor.ExternalFile, tensor.Offset, tensor.Length);
            if (range != before || tensor.Length == 0)
                yield return tensor;
            before = range;
        }
    }
}

/// <summary>An input or output of a model.</summary>
/// <param name="Name">As the graph names it.</param>
/// <param name="Type">Element type; Unknown for sequences, maps and other values that are no tensor.</param>
/// <param name="Shape">Dimensions, outermost first; -1 where the model leaves one free. Empty for a scalar or an unknown rank.</param>
public sealed record ModelValue(string Name, ElementType Type, ImmutableArray<long> Shape)
{
    /// <summary>The names of free dimensions (ONNX dim_param), as long as <see cref="Shape"/>, null where there is none; or empty.</summary>
    public ImmutableArray<string?> Symbols { get; init; } = [];

    /// <summary>How codes stand for real numbers; null for a value that is not quantised.</summary>
    public Quantisation? Quantisation { get; init; }

    /// <summary>As <c>x: Float32[batch, 32]</c>.</summary>
    public override string ToString() =>
        $"{Name}: {Type}[{string.Join(", ", Shape.Select((size, i) => size >= 0 ? $"{size}" : i < Symbols.Length && Symbols[i] is { } symbol ? symbol : "?"))}]";
}

/// <summary>What a runtime must have to run a file.</summary>
public sealed record RuntimeNeeds
{
    /// <summary>The runtime that is made for the format: <c>onnxruntime</c>, <c>llama.cpp</c>, <c>tflite</c>, <c>pytorch</c>; null for none.</summary>
    public string? Runtime { get; init; }

    /// <summary>The version of the format: ONNX's IR version, GGUF's version, TFLite's schema version.</summary>
    public long? FormatVersion { get; init; }

    /// <summary>ONNX operator sets, by domain; the default domain is the empty string.</summary>
    public ImmutableArray<OpsetImport> Opsets { get; init; } = [];

    /// <summary>GGUF's <c>general.architecture</c>: the model code that llama.cpp must carry.</summary>
    public string? Architecture { get; init; }

    /// <summary>TFLite's <c>min_runtime_version</c>: the first version whose operators suffice.</summary>
    public string? MinimumRuntime { get; init; }

    /// <summary>Operators with their domain and how often they are used, most used first; subgraphs and functions counted.</summary>
    public ImmutableArray<OperatorUse> Operators { get; init; } = [];

    /// <summary>The version of a domain's operators, or null when the file does not import the domain.</summary>
    public long? Opset(string domain = "")
    {
        foreach (var import in Opsets)
        {
            if (import.Domain == domain)
                return import.Version;
        }
        return null;
    }
}

/// <summary>An ONNX operator set.</summary>
/// <param name="Domain">Empty for ONNX's own; <c>ai.onnx</c> is written so too.</param>
/// <param name="Version">The set's version.</param>
public readonly record struct OpsetImport(string Domain, long Version);

/// <summary>An operator of the graph.</summary>
/// <param name="Domain">Empty for the format's own operators, <c>custom</c> for TFLite's custom ones.</param>
/// <param name="Name">As the format spells it: <c>Conv</c>, <c>CONV_2D</c>.</param>
/// <param name="Count">Nodes that use it.</param>
public readonly record struct OperatorUse(string Domain, string Name, int Count);

/// <summary>A model inside an archive.</summary>
/// <param name="Entry">The entry's name.</param>
/// <param name="Offset">Where its bytes begin in the archive.</param>
/// <param name="Length">Bytes, stored as they are.</param>
/// <param name="File">The model; offsets in its map are those in the archive, names are the model's own.</param>
public sealed record ModelPart(string Entry, long Offset, long Length, ModelFile File);

/// <summary>A file beside the model.</summary>
/// <param name="Path">Relative to the model's folder, with forward slashes, never leaving it.</param>
/// <param name="BytesNeeded">Where its last tensor ends; a shorter file is not the right one.</param>
public readonly record struct ExternalFile(string Path, long BytesNeeded);

/// <summary>The share of a model that one element type takes.</summary>
/// <param name="Type">What the elements are.</param>
/// <param name="Tensors">Tensors of it.</param>
/// <param name="Elements">Their elements.</param>
/// <param name="Bytes">Their bytes.</param>
public readonly record struct TypeShare(ElementType Type, int Tensors, long Elements, long Bytes);
