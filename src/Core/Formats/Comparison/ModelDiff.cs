using System.Collections.Immutable;

namespace Coppice.Formats.Comparison;

/// <summary>What became of a tensor.</summary>
public enum TensorChange
{
    /// <summary>Name, type, shape and bytes are the same; it may have moved in the file.</summary>
    Same,
    /// <summary>The same name and shape with other bytes or another type.</summary>
    Changed,
    /// <summary>The same name with another shape.</summary>
    Reshaped,
    /// <summary>Another name for the same bytes, or for the closest ones of the same type and shape.</summary>
    Renamed,
    /// <summary>Only in the new model.</summary>
    Added,
    /// <summary>Only in the old model.</summary>
    Removed,
}

/// <summary>A tensor of either model and its partner in the other.</summary>
/// <param name="Kind">What became of it.</param>
/// <param name="Old">Null when it was added.</param>
/// <param name="New">Null when it was removed.</param>
/// <param name="Change">How far its elements moved; null when nothing moved or there is nothing to measure by.</param>
public sealed record TensorDiff(TensorChange Kind, TensorEntry? Old, TensorEntry? New, ValueChange? Change)
{
    /// <summary>The name in the new model, or in the old one when it is gone.</summary>
    public string Name => (New ?? Old)!.Name;
}

/// <summary>A fact of a model that is not the same in both: a key-value, an input, an operator set.</summary>
/// <param name="What">Which fact: <c>opset ai.onnx.ml</c>, <c>input x</c>, <c>metadata general.name</c>.</param>
/// <param name="Old">Null when the old model does not have it.</param>
/// <param name="New">Null when the new model does not have it.</param>
public readonly record struct FactDiff(string What, string? Old, string? New);

/// <summary>What differs between two model files, tensor by tensor.</summary>
/// <param name="Old">The model before.</param>
/// <param name="New">The model after; its format may be another one.</param>
/// <param name="SameFile">The files are the same, byte for byte.</param>
/// <param name="Tensors">Every tensor of both, in the new model's order; those that went come last.</param>
/// <param name="Facts">Signature, needs and key-values that differ.</param>
public sealed record ModelDiff(ModelFile Old, ModelFile New, bool SameFile, ImmutableArray<TensorDiff> Tensors, ImmutableArray<FactDiff> Facts)
{
    /// <summary>Tensors of a kind.</summary>
    public int Count(TensorChange kind) => Tensors.Count(tensor => tensor.Kind == kind);

    /// <summary>Compares two models. Reads both files two or three times; holds a few megabytes besides the tensor lists.</summary>
    /// <exception cref="MalformedFileException">An external file is too short for its tensors.</exception>
    public static ModelDiff Between(ModelContent before, ModelContent after)
    {
        ArgumentNullException.ThrowIfNull(before);
        ArgumentNullException.ThrowIfNull(after);
        var comparer = new TensorComparer();
        var pairs = new TensorMatching(before, after, comparer).Pairs();
        return new(
            before.File, after.File, comparer.AreSame(before.Bytes, after.Bytes),
            [.. pairs.Select(pair => Compare(before, pair.Old, after, pair.New, comparer))], [.. FactDiffs(before.File, after.File)]);
    }

    static TensorDiff Compare(ModelContent before, TensorEntry? old, ModelContent after, TensorEntry? entry, TensorComparer comparer)
    {
        if (old is null || entry is null)
            return new(old is null ? TensorChange.Added : TensorChange.Removed, old, entry, null);
        var kind = old.Name != entry.Name ? TensorChange.Renamed
            : !old.Shape.AsSpan().SequenceEqual(entry.Shape.AsSpan()) ? TensorChange.Reshaped
            : TensorChange.Changed;
        if (before.Open(old) is not { } oldBytes || after.Open(entry) is not { } newBytes)
            return new(kind, old, entry, null);
        if (old.Meaning == entry.Meaning && old.Type == entry.Type && comparer.AreSame(oldBytes, newBytes))
            return new(kind == TensorChange.Changed ? TensorChange.Same : kind, old, entry, null);
        return new(kind, old, entry, comparer.Measure(old, oldBytes, entry, newBytes));
    }

    static IEnumerable<FactDiff> FactDiffs(ModelFile old, ModelFile entry)
    {
        var before = FactsOf(old);
        var after = FactsOf(entry);
        foreach (var (what, value) in before)
        {
            var found = after.GetValueOrDefault(what);
            if (found != value)
                yield return new(what, value, found);
        }
        foreach (var (what, value) in after)
        {
            if (!before.ContainsKey(what))
                yield return new(what, null, value);
        }
    }

    static Dictionary<string, string> FactsOf(ModelFile model)
    {
        var facts = new Dictionary<string, string> { ["format"] = $"{model.Format}" };
        Add("format version", $"{model.Needs.FormatVersion}");
        Add("producer", model.Producer);
        Add("name", model.Name);
        Add("architecture", model.Needs.Architecture);
        Add("minimum runtime", model.Needs.MinimumRuntime);
        foreach (var import in model.Needs.Opsets)
            Add($"opset {(import.Domain.Length == 0 ? "ai.onnx" : import.Domain)}", $"{import.Version}");
        foreach (var input in model.Inputs)
            Add($"input {input.Name}", Describe(input));
        foreach (var output in model.Outputs)
            Add($"output {output.Name}", Describe(output));
        foreach (var use in model.Needs.Operators)
            Add($"operator {(use.Domain.Length == 0 ? "" : $"{use.Domain}.")}{use.Name}", $"{use.Count}");
        foreach (var (key, value) in model.Map.Metadata)
            Add($"metadata {key}", value);
        return facts;

        void Add(string what, string? value)
        {
            if (!string.IsNullOrEmpty(value))
                facts.TryAdd(what, value);
        }
    }

    static string Describe(ModelValue value) =>
        value.Quantisation is { } scale ? $"{value} (scale {scale.Scale}, zero {scale.ZeroPoint})" : $"{value}";
}
