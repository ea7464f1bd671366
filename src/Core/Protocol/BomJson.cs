using System.Buffers;
using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using Coppice.Inference;
using Coppice.Registry;
using Coppice.Trust;

namespace Coppice.Protocol;

/// <summary>Bills of materials as CycloneDX 1.6 JSON (ECMA-424): writes Coppice's, and reads of them what a manifest can be held against.</summary>
/// <remarks>The same content gives the same bytes, the serial number included. Specified in docs/formats/attestation.md.</remarks>
public static class BomJson
{
    const string VariantType = "machine-learning-model";
    const int MaxComponents = 100_000;
    const int MaxDepth = 32;

    static readonly JsonWriterOptions Compact = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Writes a bill.</summary>
    public static byte[] Write(ModelBom bom)
    {
        // The serial number is made from the rest, so that a repeat has the same; version 8 is RFC 9562's for such a purpose.
        var digest = Sha256Digest.Of(Write(bom, Guid.Empty)).ToArray();
        digest[6] = (byte)((digest[6] & 0x0F) | 0x80);
        digest[8] = (byte)((digest[8] & 0x3F) | 0x80);
        return Write(bom, new Guid(digest.AsSpan(0, 16), bigEndian: true));
    }

    static byte[] Write(ModelBom bom, Guid serial)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer, Compact))
        {
            writer.WriteStartObject();
            writer.WriteString("$schema"u8, "http://cyclonedx.org/schema/bom-1.6.schema.json");
            writer.WriteString("bomFormat"u8, "CycloneDX");
            writer.WriteString("specVersion"u8, "1.6");
            writer.WriteString("serialNumber"u8, $"urn:uuid:{serial}");
            writer.WriteNumber("version"u8, 1);
            WriteAbout(writer, bom);
            writer.WriteStartArray("components"u8);
            foreach (var variant in bom.Variants)
                WriteVariant(writer, bom, variant);
            foreach (var file in bom.Files)
                WriteFile(writer, "file", FileRef(file.Digest), file.Name, file.Digest);
            foreach (var data in bom.Data.DistinctBy(data => data.Digest))
                WriteFile(writer, "data", DataRef(data.Digest), data.Name, data.Digest);
            foreach (var adapted in Bases(bom))
                WriteFile(writer, "file", FileRef(adapted), "adapter base", adapted);
            writer.WriteEndArray();
            WriteDependencies(writer, bom);
            writer.WriteEndObject();
        }

        return buffer.WrittenSpan.ToArray();
    }

    /// <summary>Bases that are not files of the release itself.</summary>
    static IEnumerable<Sha256Digest> Bases(ModelBom bom) =>
        bom.Variants.Select(variant => variant.AdapterBase).OfType<Sha256Digest>().Distinct().Except(bom.Files.Select(file => file.Digest));

    static string VariantRef(string name) => $"variant:{name}";

    static string FileRef(Sha256Digest digest) => $"file:{digest}";

    static string DataRef(Sha256Digest digest) => $"data:{digest}";

    static void WriteAbout(Utf8JsonWriter writer, ModelBom bom)
    {
        writer.WriteStartObject("metadata"u8);
        writer.WriteString("timestamp"u8, bom.At.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture));
        writer.WriteStartObject("tools"u8);
        writer.WriteStartArray("components"u8);
        writer.WriteStartObject();
        writer.WriteString("type"u8, "application");
        writer.WriteString("name"u8, "coppice");
        writer.WriteString("version"u8, bom.Tool);
        writer.WriteEndObject();
        writer.WriteEndArray();
        writer.WriteEndObject();
        if (bom.By is { Length: > 0 } by)
        {
            writer.WriteStartArray("authors"u8);
            writer.WriteStartObject();
            writer.WriteString("name"u8, by);
            writer.WriteEndObject();
            writer.WriteEndArray();
        }

        writer.WriteStartObject("component"u8);
        writer.WriteString("type"u8, VariantType);
        writer.WriteString("bom-ref"u8, "model");
        writer.WriteString("group"u8, bom.Model.Owner);
        writer.WriteString("name"u8, bom.Model.Name);
        writer.WriteString("version"u8, bom.Version.ToString());
        if (bom.Notes is { Length: > 0 } notes)
            writer.WriteString("description"u8, notes);
        WriteLicence(writer, bom.Licence);
        writer.WriteEndObject();
        writer.WriteEndObject();
    }

    static void WriteLicence(Utf8JsonWriter writer, string? licence)
    {
        if (string.IsNullOrWhiteSpace(licence))
            return;
        writer.WriteStartArray("licenses"u8);
        writer.WriteStartObject();
        if (LicenceText.IsExpression(licence))
        {
            writer.WriteString("expression"u8, licence);
        }
        else
        {
            writer.WriteStartObject("license"u8);
            writer.WriteString("name"u8, licence);
            writer.WriteEndObject();
        }

        writer.WriteEndObject();
        writer.WriteEndArray();
    }

    static void WriteVariant(Utf8JsonWriter writer, ModelBom bom, BomVariant variant)
    {
        writer.WriteStartObject();
        writer.WriteString("type"u8, VariantType);
        writer.WriteString("bom-ref"u8, VariantRef(variant.Name));
        writer.WriteString("name"u8, variant.Name);
        writer.WriteString("version"u8, bom.Version.ToString());
        writer.WriteStartObject("modelCard"u8);
        writer.WriteStartObject("modelParameters"u8);
        if (bom.Task is { Length: > 0 } task)
            writer.WriteString("task"u8, task);
        if (variant.Family is { } family)
            writer.WriteString("architectureFamily"u8, family);
        if (variant.Architecture is { } architecture)
            writer.WriteString("modelArchitecture"u8, architecture);
        if (!bom.Data.IsEmpty)
        {
            writer.WriteStartArray("datasets"u8);
            foreach (var data in bom.Data.DistinctBy(data => data.Digest))
            {
                writer.WriteStartObject();
                writer.WriteString("ref"u8, DataRef(data.Digest));
                writer.WriteEndObject();
            }

            writer.WriteEndArray();
        }

        WriteFormats(writer, "inputs", variant.Signature?.Inputs);
        WriteFormats(writer, "outputs", variant.Signature?.Outputs);
        writer.WriteEndObject();
        WriteMetrics(writer, variant.Metrics);
        writer.WriteEndObject();
        writer.WriteEndObject();
    }

    static void WriteFormats(Utf8JsonWriter writer, string name, ImmutableArray<TensorSpec>? specs)
    {
        // CycloneDX wants each format once; a tensor's name is part of it here, and names are unique.
        var formats = (specs ?? []).Select(spec => $"{spec.Name}: {spec.Type.ToString().ToLowerInvariant()}[{string.Join(", ", spec.Shape.Select(size => size < 0 ? "?" : size.ToString(CultureInfo.InvariantCulture)))}]").Distinct().ToList();
        if (formats.Count == 0)
            return;
        writer.WriteStartArray(name);
        foreach (var format in formats)
        {
            writer.WriteStartObject();
            writer.WriteString("format"u8, format);
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
    }

    static void WriteMetrics(Utf8JsonWriter writer, ImmutableArray<BomMetric> metrics)
    {
        if (metrics.IsEmpty)
            return;
        writer.WriteStartObject("quantitativeAnalysis"u8);
        writer.WriteStartArray("performanceMetrics"u8);
        foreach (var (type, value, slice) in metrics.Distinct())
        {
            writer.WriteStartObject();
            writer.WriteString("type"u8, type);
            writer.WriteString("value"u8, value);
            if (slice is not null)
                writer.WriteString("slice"u8, slice);
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
        writer.WriteEndObject();
    }

    static void WriteFile(Utf8JsonWriter writer, string type, string reference, string name, Sha256Digest digest)
    {
        writer.WriteStartObject();
        writer.WriteString("type"u8, type);
        writer.WriteString("bom-ref"u8, reference);
        writer.WriteString("name"u8, name);
        writer.WriteStartArray("hashes"u8);
        writer.WriteStartObject();
        writer.WriteString("alg"u8, "SHA-256");
        writer.WriteString("content"u8, digest.ToString());
        writer.WriteEndObject();
        writer.WriteEndArray();
        if (type == "data")
        {
            writer.WriteStartArray("data"u8);
            writer.WriteStartObject();
            writer.WriteString("type"u8, "dataset");
            writer.WriteString("name"u8, name);
            writer.WriteEndObject();
            writer.WriteEndArray();
        }

        writer.WriteEndObject();
    }

    static void WriteDependencies(Utf8JsonWriter writer, ModelBom bom)
    {
        writer.WriteStartArray("dependencies"u8);
        Write("model", bom.Variants.Select(variant => VariantRef(variant.Name)));
        foreach (var variant in bom.Variants)
            Write(VariantRef(variant.Name), variant.Files.Select(file => FileRef(file.Digest)).Concat(variant.AdapterBase is { } adapted ? [FileRef(adapted)] : []));
        writer.WriteEndArray();

        void Write(string of, IEnumerable<string> on)
        {
            writer.WriteStartObject();
            writer.WriteString("ref"u8, of);
            writer.WriteStartArray("dependsOn"u8);
            foreach (var reference in on.Distinct())
                writer.WriteStringValue(reference);
            writer.WriteEndArray();
            writer.WriteEndObject();
        }
    }

    /// <summary>Reads a bill as <see cref="Write(ModelBom)"/> makes it. What it says beyond that is not looked at.</summary>
    /// <param name="utf8">At most <see cref="ModelBom.MaxBytes"/>.</param>
    /// <param name="content">What it says, when there is no problem.</param>
    /// <param name="problem">What is wrong; null when nothing is.</param>
    public static bool TryRead(ReadOnlySpan<byte> utf8, [NotNullWhen(true)] out BomContent? content, [NotNullWhen(false)] out string? problem)
    {
        (content, problem) = (null, null);
        if (utf8.Length > ModelBom.MaxBytes)
        {
            problem = $"the bill has {utf8.Length} bytes; at most {ModelBom.MaxBytes} are taken.";
            return false;
        }

        try
        {
            content = new BomReader(JsonElement.Parse(utf8, new() { MaxDepth = MaxDepth, AllowDuplicateProperties = false })).Read();
            return true;
        }
        catch (JsonException e)
        {
            problem = $"the bill is no CycloneDX document of this product: {e.Message}";
            return false;
        }
        catch (InvalidOperationException) // text that is no Unicode
        {
            problem = "the bill holds text that is not Unicode.";
            return false;
        }
    }

    /// <summary>Takes the few things out of a parsed bill; whatever is missing is a <see cref="JsonException"/>.</summary>
    sealed class BomReader(JsonElement bom)
    {
        public BomContent Read()
        {
            if (bom.ValueKind != JsonValueKind.Object || Text(bom, "bomFormat") != "CycloneDX" || Text(bom, "specVersion") is not ("1.6" or "1.7"))
                throw new JsonException("'bomFormat' is not CycloneDX of 'specVersion' 1.6.");
            var about = Object(Object(bom, "metadata"), "component");
            var (files, variants) = (new Dictionary<string, Sha256Digest>(StringComparer.Ordinal), new Dictionary<string, string>(StringComparer.Ordinal));
            foreach (var component in Objects(bom, "components"))
            {
                var reference = Text(component, "bom-ref");
                var isNew = Text(component, "type") switch
                {
                    "file" => files.TryAdd(reference, Sha256(component)),
                    VariantType => variants.TryAdd(reference, Text(component, "name")),
                    _ => true,
                };
                if (!isNew)
                    throw new JsonException("a 'bom-ref' is there twice.");
            }

            // What a variant depends on beyond its own files is its adapter base, which is told apart by its name.
            var bases = Objects(bom, "components").Where(component => Text(component, "name") == "adapter base").Select(component => Text(component, "bom-ref")).ToHashSet(StringComparer.Ordinal);
            var byVariant = ImmutableDictionary.CreateBuilder<string, ImmutableArray<Sha256Digest>>(StringComparer.Ordinal);
            foreach (var dependency in Objects(bom, "dependencies"))
            {
                if (!variants.TryGetValue(Text(dependency, "ref"), out var name))
                    continue;
                var on = Array(dependency, "dependsOn").EnumerateArray().Select(Text).Where(reference => !bases.Contains(reference))
                    .Select(reference => files.TryGetValue(reference, out var digest) ? digest : throw new JsonException("a variant depends on what is no file of the bill.")).ToImmutableArray();
                if (!byVariant.TryAdd(name, on))
                    throw new JsonException("a variant is there twice.");
            }

            return new($"{Text(about, "group")}/{Text(about, "name")}", Text(about, "version"), byVariant.ToImmutable());
        }

        static Sha256Digest Sha256(JsonElement component)
        {
            foreach (var hash in Objects(component, "hashes"))
            {
                if (Text(hash, "alg") == "SHA-256")
                    return Sha256Digest.TryParse(Text(hash, "content"), out var digest) ? digest : throw new JsonException("a SHA-256 has not 64 hexadecimal digits.");
            }

            throw new JsonException("a file has no SHA-256.");
        }

        static JsonElement Member(JsonElement parent, string name, JsonValueKind kind) =>
            parent.TryGetProperty(name, out var value) && value.ValueKind == kind ? value : throw new JsonException($"'{name}' is missing or no {kind}.");

        static JsonElement Object(JsonElement parent, string name) => Member(parent, name, JsonValueKind.Object);

        static JsonElement Array(JsonElement parent, string name) =>
            Member(parent, name, JsonValueKind.Array) is var array && array.GetArrayLength() <= MaxComponents ? array : throw new JsonException($"'{name}' has more than {MaxComponents} entries.");

        static IEnumerable<JsonElement> Objects(JsonElement parent, string name) => Array(parent, name).EnumerateArray()
            .Select(item => item.ValueKind == JsonValueKind.Object ? item : throw new JsonException($"an entry of '{name}' is no object."));

        static string Text(JsonElement parent, string name) => Member(parent, name, JsonValueKind.String).GetString()!;

        static string Text(JsonElement value) => value.ValueKind == JsonValueKind.String ? value.GetString()! : throw new JsonException("a reference is no string.");
    }
}
