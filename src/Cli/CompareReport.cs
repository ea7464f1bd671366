using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using Coppice.Formats;
using Coppice.Formats.Comparison;

namespace Coppice.Cli;

/// <summary>What <c>coppice compare</c> says, to people and to scripts.</summary>
static class CompareReport
{
    const int RowsShown = 40;

    public static void WriteJson(TextWriter output, string old, string entry, ModelDiff diff)
    {
        var document = new CompareDocument(
            Side(old, diff.Old), Side(entry, diff.New), diff.SameFile,
            Enum.GetValues<TensorChange>().ToDictionary(InspectReport.CamelCase, diff.Count),
            [.. Differing(diff).Select(tensor => new DiffRow(
                InspectReport.CamelCase(tensor.Kind), tensor.Name, tensor.Old?.Name, tensor.Old?.Meaning, tensor.New?.Meaning,
                tensor.Old?.Shape, tensor.New?.Shape, tensor.Old?.Length, tensor.New?.Length, Change(tensor.Change)))],
            diff.Facts);
        output.WriteLine(JsonSerializer.Serialize(document, CompareJson.Default.CompareDocument));
    }

    static SideRow Side(string path, ModelFile file) =>
        new(path, InspectReport.CamelCase(file.Format), file.Map.Length, file.Tensors.Length, file.Parameters, file.TensorBytes);

    static ChangeRow? Change(ValueChange? change) => change is null ? null
        : new(InspectReport.CamelCase(change.Unit), change.Compared, change.Changed, change.ChangedShare, change.MaxAbsolute, change.RelativeL2);

    static IEnumerable<TensorDiff> Differing(ModelDiff diff) => diff.Tensors.Where(tensor => tensor.Kind != TensorChange.Same);

    public static void WriteTables(TextWriter output, string old, string entry, ModelDiff diff)
    {
        var console = Tables.On(output);
        var sides = Tables.New(console, "", "old", "new");
        Tables.Row(sides, "file", old, entry);
        Tables.Row(sides, "format", $"{diff.Old.Format}", $"{diff.New.Format}");
        Tables.Row(sides, "size", Tables.Bytes(diff.Old.Map.Length), Tables.Bytes(diff.New.Map.Length));
        Tables.Row(sides, "tensors", $"{diff.Old.Tensors.Length}", $"{diff.New.Tensors.Length}");
        Tables.Row(sides, "parameters", Number(diff.Old.Parameters), Number(diff.New.Parameters));
        console.Write(sides);

        output.WriteLine(diff.SameFile ? "The files are the same, byte for byte."
            : string.Join(", ", Enum.GetValues<TensorChange>().Select(kind => $"{diff.Count(kind)} {InspectReport.CamelCase(kind)}")));

        if (diff.Facts.Length > 0)
        {
            var facts = Tables.New(console, "fact", "old", "new");
            foreach (var fact in diff.Facts.Take(RowsShown))
                Tables.Row(facts, fact.What, Short(fact.Old), Short(fact.New));
            console.Write(facts);
        }

        var differing = Differing(diff).ToList();
        if (differing.Count == 0)
            return;
        var tensors = Tables.New(console, differing.Count > RowsShown ? $"first {RowsShown} of {differing.Count} tensors" : "tensor", "what", "shape", "changed", "max abs", "rel L2");
        foreach (var tensor in differing.Take(RowsShown))
        {
            Tables.Row(
                tensors, tensor.Kind == TensorChange.Renamed ? $"{tensor.Old!.Name} → {tensor.New!.Name}" : tensor.Name, InspectReport.CamelCase(tensor.Kind), Shape(tensor),
                tensor.Change is { } change ? string.Create(CultureInfo.InvariantCulture, $"{change.ChangedShare:P1}") : "",
                Measure(tensor.Change?.MaxAbsolute), Measure(tensor.Change?.RelativeL2));
        }
        console.Write(tensors);
    }

    static string Shape(TensorDiff tensor)
    {
        var (old, entry) = (Shape(tensor.Old), Shape(tensor.New));
        return old is not null && entry is not null && old != entry ? $"{old} → {entry}" : entry ?? old!;
    }

    static string? Shape(TensorEntry? tensor) => tensor is null ? null : $"{tensor.Meaning}[{string.Join(", ", tensor.Shape)}]";

    static string Measure(double? value) => value is { } number ? number.ToString("G3", CultureInfo.InvariantCulture) : "";

    static string Short(string? text) => text is null ? "–" : text.Length > 60 ? $"{text.AsSpan(0, 60)}…" : text;

    static string Number(long value) => value.ToString("N0", CultureInfo.InvariantCulture);
}

/// <summary>Tensors that are the same are counted, not listed.</summary>
sealed record CompareDocument(
    SideRow Old, SideRow New, bool SameFile, IReadOnlyDictionary<string, int> Counts, IReadOnlyList<DiffRow> Tensors, IReadOnlyList<FactDiff> Facts);

sealed record SideRow(string File, string Format, long Bytes, int Tensors, long Parameters, long TensorBytes);

sealed record DiffRow(
    string Kind, string Name, string? OldName, ElementType? OldType, ElementType? NewType,
    IReadOnlyList<long>? OldShape, IReadOnlyList<long>? NewShape, long? OldBytes, long? NewBytes, ChangeRow? Change);

sealed record ChangeRow(string Unit, long Compared, long Changed, double ChangedShare, double? MaxAbsolute, double? RelativeL2);

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, UseStringEnumConverter = true, WriteIndented = true,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(CompareDocument))]
sealed partial class CompareJson : JsonSerializerContext;
