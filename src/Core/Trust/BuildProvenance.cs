using System.Buffers;
using System.Collections.Immutable;
using System.Text.Json;

namespace Coppice.Trust;

/// <summary>A step by which a file was made from others: quantised, pruned, merged with an adapter.</summary>
/// <param name="Name">What was done: <c>quantise</c>.</param>
/// <param name="Inputs">Digests of the files it began with, at least one.</param>
/// <param name="Output">Digest of the file it made.</param>
public sealed record Rewrite(string Name, ImmutableArray<Sha256Digest> Inputs, Sha256Digest Output)
{
    /// <summary>Most steps of one release.</summary>
    public const int Most = 256;

    /// <summary>Most parameters, and most inputs, of one step.</summary>
    public const int MostParts = 256;

    /// <summary>The program that did it, with its version; null when nobody says.</summary>
    public string? Tool { get; init; }

    /// <summary>With which parameters, in the order given.</summary>
    public ImmutableArray<KeyValuePair<string, string>> Parameters { get; init; } = [];
}

/// <summary>Something a release was made from or tried on.</summary>
/// <param name="Name">Source, evaluation set, adapter base, data set.</param>
/// <param name="Digest">Its SHA-256.</param>
public readonly record struct Material(string Name, Sha256Digest Digest);

/// <summary>How a release came to be, as its publisher says: SLSA provenance 1.0 of the build type <see cref="BuildType"/>.</summary>
/// <param name="Model">The line of releases.</param>
/// <param name="Version">The release.</param>
/// <param name="By">Who published, as they call themselves.</param>
/// <param name="At">When, to the second.</param>
/// <param name="Tool">The version of the program that published.</param>
public sealed record BuildProvenance(string Model, string Version, string By, DateTimeOffset At, string Tool)
{
    /// <summary>The predicate's type.</summary>
    public const string PredicateType = "https://slsa.dev/provenance/v1";

    /// <summary>What the external parameters mean: docs/formats/attestation.md.</summary>
    public const string BuildType = "urn:coppice:publish:1";

    const string BuilderId = "urn:coppice:cli";

    /// <summary>Digest of what it was all made from; null when the publisher does not say.</summary>
    public Sha256Digest? Source { get; init; }

    /// <summary>The steps from the source to the files, in their order.</summary>
    public ImmutableArray<Rewrite> Rewrites { get; init; } = [];

    /// <summary>All that went in: source, adapter base, data.</summary>
    public ImmutableArray<Material> Materials { get; init; } = [];

    /// <summary>The statement that says this of files.</summary>
    public InTotoStatement About(ImmutableArray<StatementSubject> subjects)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer, InTotoStatement.Compact))
            Write(writer);
        return new(subjects, PredicateType, JsonElement.Parse(buffer.WrittenSpan));
    }

    /// <summary>Reads what a statement says; null when it says something of another type, or of another builder's build type.</summary>
    /// <exception cref="UntrustedMetadataException">It is of this type, and malformed.</exception>
    public static BuildProvenance? Of(InTotoStatement statement, string name = "attestation")
    {
        if (statement.PredicateType != PredicateType || statement.Predicate.ValueKind != JsonValueKind.Object)
            return null;
        return new MetadataReader(name).Guarded(reader => Read(reader, statement));
    }

    static BuildProvenance? Read(MetadataReader reader, InTotoStatement statement)
    {
        var definition = reader.Object(statement.Predicate, "buildDefinition");
        if (reader.Text(definition, "buildType") != BuildType)
            return null;
        var given = reader.Object(definition, "externalParameters");
        var details = reader.Object(statement.Predicate, "runDetails");
        var builder = reader.Object(details, "builder");
        return new(
            reader.Text(given, "model"), reader.Text(given, "version"), reader.Text(given, "by"),
            reader.Time(reader.Object(details, "metadata"), "finishedOn"), reader.Text(reader.Object(builder, "version"), "coppice"))
        {
            Source = given.TryGetProperty("source", out _) ? InTotoStatement.Digest(reader, reader.Object(given, "source")) : null,
            Rewrites = ReadRewrites(reader, given),
            Materials = [.. Items(reader, definition, "resolvedDependencies").Select(item =>
                new Material(reader.Text(item, "name"), RequiredDigest(reader, reader.Object(item, "digest"))))],
        };
    }

    /// <summary>Reads steps from a document <c>{"rewrites": […]}</c>, as a build job writes it for its publisher.</summary>
    /// <exception cref="UntrustedMetadataException">It is malformed.</exception>
    public static ImmutableArray<Rewrite> ReadRewrites(ReadOnlySpan<byte> utf8, string name)
    {
        var reader = new MetadataReader(name);
        var json = reader.Parse(utf8);
        return json.ValueKind == JsonValueKind.Object
            ? reader.Guarded(guarded => ReadRewrites(guarded, json))
            : throw reader.Malformed("the file is no object", "give {\"rewrites\": [{\"name\", \"tool\", \"parameters\", \"inputs\", \"output\"}]}");
    }

    static ImmutableArray<Rewrite> ReadRewrites(MetadataReader reader, JsonElement parent)
    {
        var rewrites = ImmutableArray.CreateBuilder<Rewrite>();
        foreach (var item in Items(reader, parent, "rewrites"))
        {
            if (rewrites.Count == Rewrite.Most)
                throw reader.Malformed($"there are more than {Rewrite.Most} rewrites", "tell them in fewer steps");
            var inputs = Items(reader, item, "inputs").Select(input => RequiredDigest(reader, input)).ToImmutableArray();
            var parameters = ImmutableArray.CreateBuilder<KeyValuePair<string, string>>();
            if (item.TryGetProperty("parameters", out _))
            {
                foreach (var member in reader.Object(item, "parameters").EnumerateObject())
                    parameters.Add(new(reader.Name(member), reader.Text(member.Value)));
            }

            if (inputs.Length is 0 or > Rewrite.MostParts || parameters.Count > Rewrite.MostParts)
                throw reader.Malformed($"a rewrite has {inputs.Length} inputs and {parameters.Count} parameters", $"give at least one input, and at most {Rewrite.MostParts} of each");
            rewrites.Add(new(reader.Text(item, "name"), inputs, RequiredDigest(reader, reader.Object(item, "output")))
            {
                Tool = item.TryGetProperty("tool", out var tool) ? reader.Text(tool) : null,
                Parameters = parameters.ToImmutable(),
            });
        }

        return rewrites.ToImmutable();
    }

    static List<JsonElement> Items(MetadataReader reader, JsonElement parent, string name)
    {
        if (!parent.TryGetProperty(name, out _))
            return [];
        var items = reader.Array(parent, name).EnumerateArray().ToList();
        return items.All(item => item.ValueKind == JsonValueKind.Object) ? items : throw reader.Malformed($"an entry of '{name}' is no object", "give objects");
    }

    static Sha256Digest RequiredDigest(MetadataReader reader, JsonElement digests) =>
        InTotoStatement.Digest(reader, digests) ?? throw reader.Malformed("a digest without sha256", "give {\"sha256\": \"64 hexadecimal digits\"}");

    void Write(Utf8JsonWriter writer)
    {
        writer.WriteStartObject();
        writer.WriteStartObject("buildDefinition"u8);
        writer.WriteString("buildType"u8, BuildType);
        writer.WriteStartObject("externalParameters"u8);
        writer.WriteString("model"u8, Model);
        writer.WriteString("version"u8, Version);
        writer.WriteString("by"u8, By);
        if (Source is { } source)
        {
            writer.WritePropertyName("source"u8);
            WriteDigest(writer, source);
        }

        writer.WriteStartArray("rewrites"u8);
        foreach (var rewrite in Rewrites)
            Write(writer, rewrite);
        writer.WriteEndArray();
        writer.WriteEndObject();
        writer.WriteStartArray("resolvedDependencies"u8);
        foreach (var (name, digest) in Materials)
        {
            writer.WriteStartObject();
            writer.WriteString("name"u8, name);
            writer.WritePropertyName("digest"u8);
            WriteDigest(writer, digest);
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
        writer.WriteEndObject();
        writer.WriteStartObject("runDetails"u8);
        writer.WriteStartObject("builder"u8);
        writer.WriteString("id"u8, BuilderId);
        writer.WriteStartObject("version"u8);
        writer.WriteString("coppice"u8, Tool);
        writer.WriteEndObject();
        writer.WriteEndObject();
        writer.WriteStartObject("metadata"u8);
        writer.WriteString("finishedOn"u8, MetadataTime.Write(At));
        writer.WriteEndObject();
        writer.WriteEndObject();
        writer.WriteEndObject();
    }

    static void Write(Utf8JsonWriter writer, Rewrite rewrite)
    {
        writer.WriteStartObject();
        writer.WriteString("name"u8, rewrite.Name);
        if (rewrite.Tool is { } tool)
            writer.WriteString("tool"u8, tool);
        writer.WriteStartObject("parameters"u8);
        foreach (var (name, value) in rewrite.Parameters)
            writer.WriteString(name, value);
        writer.WriteEndObject();
        writer.WriteStartArray("inputs"u8);
        foreach (var input in rewrite.Inputs)
            WriteDigest(writer, input);
        writer.WriteEndArray();
        writer.WritePropertyName("output"u8);
        WriteDigest(writer, rewrite.Output);
        writer.WriteEndObject();
    }

    static void WriteDigest(Utf8JsonWriter writer, Sha256Digest digest)
    {
        writer.WriteStartObject();
        writer.WriteString("sha256"u8, digest.ToString());
        writer.WriteEndObject();
    }
}
