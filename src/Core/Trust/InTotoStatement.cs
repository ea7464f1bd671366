using System.Buffers;
using System.Collections.Immutable;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Coppice.Trust;

/// <summary>A file that a statement is about.</summary>
/// <param name="Name">As the statement calls it.</param>
/// <param name="Digest">Its SHA-256; null when the statement gives others only.</param>
public readonly record struct StatementSubject(string Name, Sha256Digest? Digest);

/// <summary>An in-toto statement: something is said (the predicate) about files (the subjects). What it says is of a named type.</summary>
/// <param name="Subjects">At least one.</param>
/// <param name="PredicateType">A URI: <c>https://slsa.dev/provenance/v1</c>.</param>
/// <param name="Predicate">The predicate's JSON; <c>{}</c> when there is none.</param>
public sealed record InTotoStatement(ImmutableArray<StatementSubject> Subjects, string PredicateType, JsonElement Predicate)
{
    /// <summary>The payload type of an envelope that holds a statement.</summary>
    public const string PayloadType = "application/vnd.in-toto+json";

    /// <summary>Most subjects of one statement.</summary>
    public const int MaxSubjects = 100_000;

    const string V1 = "https://in-toto.io/Statement/v1";
    const string V01 = "https://in-toto.io/Statement/v0.1";

    internal static readonly JsonWriterOptions Compact = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Reads a statement of version 1 or 0.1 out of an envelope.</summary>
    /// <exception cref="UntrustedMetadataException">The envelope holds something else, or the statement is malformed.</exception>
    public static InTotoStatement Read(DsseEnvelope envelope, string name = "attestation") =>
        envelope.PayloadType == PayloadType
            ? Read(envelope.Payload.Span, name)
            : throw new UntrustedMetadataException(name, Distrust.WrongType, $"its payload is '{envelope.PayloadType}'", $"'{PayloadType}' is wanted");

    /// <summary>Reads a statement of version 1 or 0.1.</summary>
    /// <exception cref="UntrustedMetadataException">It is malformed.</exception>
    public static InTotoStatement Read(ReadOnlySpan<byte> utf8, string name = "attestation")
    {
        var reader = new MetadataReader(name);
        var json = reader.Parse(utf8);
        return reader.Guarded(guarded => Read(guarded, json, name));
    }

    static InTotoStatement Read(MetadataReader reader, JsonElement json, string name)
    {
        if (json.ValueKind != JsonValueKind.Object)
            throw reader.Malformed("the statement is no object", "give an in-toto statement");
        if (reader.Text(json, "_type") is var type and not (V1 or V01))
            throw new UntrustedMetadataException(name, Distrust.WrongType, $"its _type is '{UntrustedMetadataException.Shown(type)}'", $"'{V1}' is wanted");
        var list = reader.Array(json, "subject");
        if (list.GetArrayLength() is var count && count is 0 or > MaxSubjects)
            throw reader.Malformed($"it has {count} subjects", $"give 1 to {MaxSubjects}");
        var subjects = ImmutableArray.CreateBuilder<StatementSubject>(count);
        foreach (var item in list.EnumerateArray())
        {
            if (item.ValueKind != JsonValueKind.Object)
                throw reader.Malformed("a subject is no object", "give its 'name' and 'digest'");
            subjects.Add(new(
                item.TryGetProperty("name", out var named) ? reader.Text(named) : "",
                Digest(reader, reader.Object(item, "digest"))));
        }

        var predicate = json.TryGetProperty("predicate", out var said) && said.ValueKind != JsonValueKind.Null ? said : JsonElement.Parse("{}"u8);
        return new(subjects.ToImmutable(), reader.Text(json, "predicateType"), predicate);
    }

    /// <summary>The statement as compact JSON, version 1: what goes into the envelope.</summary>
    public byte[] Write()
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer, Compact))
        {
            writer.WriteStartObject();
            writer.WriteString("_type"u8, V1);
            writer.WriteStartArray("subject"u8);
            foreach (var (name, digest) in Subjects)
            {
                writer.WriteStartObject();
                writer.WriteString("name"u8, name);
                writer.WriteStartObject("digest"u8);
                if (digest is { } sha256)
                    writer.WriteString("sha256"u8, sha256.ToString());
                writer.WriteEndObject();
                writer.WriteEndObject();
            }

            writer.WriteEndArray();
            writer.WriteString("predicateType"u8, PredicateType);
            writer.WritePropertyName("predicate"u8);
            Predicate.WriteTo(writer);
            writer.WriteEndObject();
        }

        return buffer.WrittenSpan.ToArray();
    }

    internal static Sha256Digest? Digest(MetadataReader reader, JsonElement digests)
    {
        if (!digests.TryGetProperty("sha256", out var sha256))
            return null;
        var hex = reader.Text(sha256);
        return Sha256Digest.TryParse(hex, out var digest)
            ? digest
            : throw reader.Malformed($"a sha256 is '{UntrustedMetadataException.Shown(hex)}'", "give 64 hexadecimal digits");
    }
}
