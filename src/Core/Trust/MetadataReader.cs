using System.Globalization;
using System.Text.Json;

namespace Coppice.Trust;

/// <summary>Reads the fields of one metadata file strictly; whatever does not fit becomes <see cref="UntrustedMetadataException"/>.</summary>
/// <param name="role">The role whose file this is, for the message.</param>
readonly struct MetadataReader(string role)
{
    const int MostDepth = 32;

    static readonly JsonDocumentOptions Strict = new() { MaxDepth = MostDepth, AllowDuplicateProperties = false };

    public string Role => role;

    public UntrustedMetadataException Malformed(string found, string wanted) =>
        new(role, Distrust.Malformed, found, wanted);

    public JsonElement Parse(ReadOnlySpan<byte> bytes)
    {
        try
        {
            return JsonElement.Parse(bytes, Strict);
        }
        catch (JsonException problem)
        {
            throw Malformed(
                $"line {problem.LineNumber}, byte {problem.BytePositionInLine} is not strict JSON",
                $"give JSON at most {MostDepth} levels deep with no name twice in an object");
        }
        catch (InvalidOperationException) // a name with half a surrogate, when it is held against the others of its object
        {
            throw Malformed("a name is not Unicode text", "escape no half surrogates");
        }
    }

    /// <summary>Reads from a document that has no canonical form, and may therefore hold names with half surrogates anywhere.</summary>
    public T Guarded<T>(Func<MetadataReader, T> read)
    {
        try
        {
            return read(this);
        }
        catch (InvalidOperationException) // JsonElement's word for text that is not Unicode
        {
            throw Malformed("a name or string that is not Unicode text", "escape no half surrogates");
        }
    }

    public byte[] Canonical(JsonElement value)
    {
        try
        {
            return CanonicalJson.Encode(value);
        }
        catch (FormatException problem)
        {
            throw Malformed(problem.Message.TrimEnd('.'), "sign only what canonical JSON can say");
        }
    }

    public JsonElement Object(JsonElement parent, string name) => Member(parent, name, JsonValueKind.Object, "an object");

    public JsonElement Array(JsonElement parent, string name) => Member(parent, name, JsonValueKind.Array, "an array");

    public string Text(JsonElement parent, string name) => Text(Member(parent, name, JsonValueKind.String, "a string"));

    public string Text(JsonElement value)
    {
        if (value.ValueKind != JsonValueKind.String)
            throw Malformed($"{Kind(value)} in the place of a string", "give a string");
        try
        {
            return value.GetString()!;
        }
        catch (InvalidOperationException)
        {
            throw Malformed("a string that is not Unicode text", "escape no half surrogates");
        }
    }

    public string Name(JsonProperty member)
    {
        try
        {
            return member.Name;
        }
        catch (InvalidOperationException)
        {
            throw Malformed("a name that is not Unicode text", "escape no half surrogates");
        }
    }

    public bool Flag(JsonElement parent, string name, bool otherwise)
    {
        if (!parent.TryGetProperty(name, out var value))
            return otherwise;
        return value.ValueKind switch
        {
            JsonValueKind.True => true,
            JsonValueKind.False => false,
            _ => throw Malformed($"'{name}' is {Kind(value)}", "give true or false"),
        };
    }

    public bool Flag(JsonElement parent, string name) => parent.TryGetProperty(name, out _)
        ? Flag(parent, name, false)
        : throw Malformed($"there is no '{name}'", "give true or false");

    /// <summary>An integer from <paramref name="least"/> to 2^53, beyond which JSON readers disagree.</summary>
    public long Integer(JsonElement parent, string name, long least)
    {
        const long Most = 1L << 53;
        if (!parent.TryGetProperty(name, out var value))
            throw Malformed($"there is no '{name}'", $"give an integer from {least}");
        if (value.ValueKind != JsonValueKind.Number || !value.TryGetInt64(out var number) || number < least || number > Most)
            throw Malformed($"'{name}' is {Shown(value)}", $"give an integer from {least} to {Most}");
        return number;
    }

    public static JsonElement? Optional(JsonElement parent, string name) => parent.TryGetProperty(name, out var value) ? value : null;

    /// <summary>A time as TUF writes it, <c>2030-01-01T00:00:00Z</c>, to the second and in UTC.</summary>
    public DateTimeOffset Time(JsonElement parent, string name)
    {
        var text = Text(parent, name);
        return DateTimeOffset.TryParseExact(
            text, MetadataTime.Format, CultureInfo.InvariantCulture,
            DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal, out var time)
            ? time
            : throw Malformed($"'{name}' is '{UntrustedMetadataException.Shown(text)}'", "give a time as 2030-01-01T00:00:00Z");
    }

    static string Kind(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Object => "an object",
        JsonValueKind.Array => "an array",
        JsonValueKind.String => "a string",
        JsonValueKind.Number => "a number",
        var other => other.ToString().ToLowerInvariant(),
    };

    static string Shown(JsonElement value) => value.ValueKind == JsonValueKind.Number
        ? UntrustedMetadataException.Shown(value.GetRawText())
        : Kind(value);

    JsonElement Member(JsonElement parent, string name, JsonValueKind kind, string wanted)
    {
        if (!parent.TryGetProperty(name, out var value))
            throw Malformed($"there is no '{name}'", $"give {wanted}");
        if (value.ValueKind != kind)
            throw Malformed($"'{name}' is {Kind(value)}", $"give {wanted}");
        return value;
    }
}

/// <summary>Times as TUF writes them.</summary>
static class MetadataTime
{
    public const string Format = "yyyy-MM-dd'T'HH:mm:ss'Z'";

    public static string Write(DateTimeOffset time) => time.UtcDateTime.ToString(Format, CultureInfo.InvariantCulture);
}
