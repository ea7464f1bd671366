using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using Coppice.Formats;
using Spectre.Console;

namespace Coppice.Cli;

/// <summary>What <c>coppice inspect</c> says, to people and to scripts.</summary>
static class InspectReport
{
    const int RowsShown = 12;

    public static void WriteJson(TextWriter output, ModelOnDisk model)
    {
        var file = model.File;
        var document = new InspectDocument(
            model.Path, CamelCase(file.Format), file.Map.Length, file.Name, file.Producer, file.Description,
            new(file.Needs.Runtime, file.Needs.FormatVersion, file.Needs.Opsets, file.Needs.Architecture, file.Needs.MinimumRuntime, file.Needs.Operators),
            [.. file.Inputs.Select(Value)], [.. file.Outputs.Select(Value)], file.Parameters, file.TensorBytes, file.Types,
            [.. file.Tensors.Select(tensor => new TensorRow(
                tensor.Name, tensor.Type, tensor.CodedType, tensor.Shape, tensor.Offset, tensor.Length, tensor.ExternalFile, tensor.Quantisation))],
            file.Map.Metadata,
            [.. file.ExternalFiles.Select(external => new ExternalRow(external.Path, external.BytesNeeded, model.Has(external)))],
            [.. file.Parts.Select(part => new PartRow(
                part.Entry, CamelCase(part.File.Format), part.Offset, part.Length, [.. part.File.Inputs.Select(Value)], [.. part.File.Outputs.Select(Value)]))],
            file.Notes);
        output.WriteLine(JsonSerializer.Serialize(document, InspectJson.Default.InspectDocument));
    }

    public static string CamelCase<T>(T name) where T : struct, Enum => JsonNamingPolicy.CamelCase.ConvertName($"{name}");

    static ValueRow Value(ModelValue value) =>
        new(value.Name, value.Type, value.Shape, value.Symbols.IsDefaultOrEmpty ? null : value.Symbols, value.Quantisation);

    public static void WriteTables(TextWriter output, ModelOnDisk model)
    {
        var console = Tables.On(output);
        var file = model.File;

        var facts = Tables.New(console, "", "");
        facts.HideHeaders();
        AddFact("file", model.Path);
        AddFact("format", Described(file));
        AddFact("size", Tables.Bytes(file.Map.Length));
        AddFact("name", file.Name);
        AddFact("producer", file.Producer);
        AddFact("description", file.Description);
        AddFact("runtime", file.Needs.Runtime);
        AddFact("architecture", file.Needs.Architecture);
        AddFact("minimum runtime", file.Needs.MinimumRuntime);
        AddFact("opsets", string.Join(", ", file.Needs.Opsets.Select(import => $"{(import.Domain.Length == 0 ? "ai.onnx" : import.Domain)} {import.Version}")));
        AddFact("parameters", file.Tensors.Length == 0 ? null : $"{file.Parameters.ToString("N0", CultureInfo.InvariantCulture)} in {file.Tensors.Length} tensors, {Tables.Bytes(file.TensorBytes)}");
        AddFact("operators", Limited(file.Needs.Operators.Select(use => $"{(use.Domain.Length == 0 ? "" : $"{use.Domain}.")}{use.Name} ×{use.Count}")));
        foreach (var input in file.Inputs)
            AddFact("input", $"{input}");
        foreach (var result in file.Outputs)
            AddFact("output", $"{result}");
        foreach (var part in file.Parts)
            AddFact("part", $"{part.Entry}: {Described(part.File)}, {Tables.Bytes(part.Length)}");
        foreach (var external in file.ExternalFiles)
            AddFact("external file", $"{external.Path}: {Tables.Bytes(external.BytesNeeded)}{(model.Has(external) ? "" : ", missing or too short")}");
        foreach (var note in file.Notes)
            AddFact("note", note);
        console.Write(facts);

        if (file.Types.Length > 0)
        {
            var types = Tables.New(console, "type", "tensors", "elements", "bytes");
            foreach (var share in file.Types)
                Tables.Row(types, $"{share.Type}", Number(share.Tensors), Number(share.Elements), Number(share.Bytes));
            console.Write(types);

            var largest = Tables.New(console, file.Tensors.Length > RowsShown ? $"largest {RowsShown} of {file.Tensors.Length} tensors" : "tensor", "type", "shape", "bytes");
            foreach (var tensor in file.Tensors.OrderByDescending(tensor => tensor.Length).Take(RowsShown))
                Tables.Row(largest, tensor.Name, $"{tensor.Meaning}", $"[{string.Join(", ", tensor.Shape)}]", Number(tensor.Length));
            console.Write(largest);
        }
        if (file.Map.Metadata.Length > 0)
        {
            var metadata = Tables.New(console, "key", "value");
            foreach (var (key, value) in file.Map.Metadata.Take(RowsShown * 2))
                Tables.Row(metadata, key, value.Length > 100 ? $"{value.AsSpan(0, 100)}…" : value);
            console.Write(metadata);
        }

        void AddFact(string what, string? value)
        {
            if (!string.IsNullOrEmpty(value))
                Tables.Row(facts, what, value);
        }
    }

    static string Limited(IEnumerable<string> items)
    {
        var all = items.ToList();
        return string.Join(", ", all.Take(RowsShown)) + (all.Count > RowsShown ? $", {all.Count - RowsShown} more" : "");
    }

    static string Described(ModelFile file) => file.Needs.FormatVersion is { } version ? $"{file.Format}, version {version}" : $"{file.Format}";

    static string Number(long value) => value.ToString("N0", CultureInfo.InvariantCulture);
}

/// <summary>Tables that are ruled on a terminal and plain in a pipe.</summary>
static class Tables
{
    public static IAnsiConsole On(TextWriter output) => AnsiConsole.Create(new() { Out = new AnsiConsoleOutput(output) });

    public static Table New(IAnsiConsole console, params ReadOnlySpan<string> columns)
    {
        var table = new Table { Border = console.Profile.Out.IsTerminal ? TableBorder.Rounded : TableBorder.None };
        foreach (var column in columns)
            table.AddColumn(new TableColumn(new Text(column)));
        return table;
    }

    public static void Row(Table table, params string[] cells) => table.AddRow(cells.Select(cell => new Text(Printable(cell))));

    /// <summary>Names come from the file, which may hope to send escape sequences to a terminal.</summary>
    static string Printable(string text) => string.Create(text.Length, text, static (into, from) =>
    {
        for (var i = 0; i < into.Length; i++)
            into[i] = char.IsControl(from[i]) ? '\uFFFD' : from[i];
    });

    public static string Bytes(long bytes)
    {
        string[] units = ["bytes", "kB", "MB", "GB", "TB"];
        var (value, unit) = ((double)bytes, 0);
        for (; value >= 1000 && unit < units.Length - 1; unit++)
            value /= 1000;
        return unit == 0 ? $"{bytes} bytes" : string.Create(CultureInfo.InvariantCulture, $"{value:0.##} {units[unit]}");
    }
}

sealed record InspectDocument(
    string File, string Format, long Bytes, string? Name, string? Producer, string? Description, NeedsRow Needs,
    IReadOnlyList<ValueRow> Inputs, IReadOnlyList<ValueRow> Outputs, long Parameters, long TensorBytes, IReadOnlyList<TypeShare> Types,
    IReadOnlyList<TensorRow> Tensors, IReadOnlyList<KeyValuePair<string, string>> Metadata, IReadOnlyList<ExternalRow> ExternalFiles,
    IReadOnlyList<PartRow> Parts, IReadOnlyList<string> Notes);

sealed record NeedsRow(
    string? Runtime, long? FormatVersion, IReadOnlyList<OpsetImport> Opsets, string? Architecture, string? MinimumRuntime, IReadOnlyList<OperatorUse> Operators);

sealed record ValueRow(string Name, ElementType Type, IReadOnlyList<long> Shape, IReadOnlyList<string?>? Symbols, Quantisation? Quantisation);

sealed record TensorRow(
    string Name, ElementType Type, ElementType? CodedType, IReadOnlyList<long> Shape, long Offset, long Length, string? ExternalFile, Quantisation? Quantisation);

sealed record ExternalRow(string Path, long BytesNeeded, bool Present);

sealed record PartRow(string Entry, string Format, long Offset, long Length, IReadOnlyList<ValueRow> Inputs, IReadOnlyList<ValueRow> Outputs);

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, UseStringEnumConverter = true, WriteIndented = true,
    NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals, // a damaged scale may be NaN
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(InspectDocument))]
sealed partial class InspectJson : JsonSerializerContext;
