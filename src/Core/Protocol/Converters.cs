using System.Text.Json;
using System.Text.Json.Serialization;
using Coppice.Registry;
using Coppice.Trust;

namespace Coppice.Protocol;

/// <summary>A value that is one string in JSON; text that is none of them is a <see cref="JsonException"/> that says what is wanted.</summary>
public abstract class TextConverter<T> : JsonConverter<T>
{
    /// <summary>Reads the text.</summary>
    protected abstract bool TryParse(string text, out T? value);

    /// <summary>What is wanted, for the error: "a model name such as plant/bearing".</summary>
    protected abstract string Wanted { get; }

    /// <summary>Writes the text.</summary>
    protected virtual string Format(T value) => value!.ToString()!;

    /// <inheritdoc/>
    public override T? Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        var text = reader.TokenType == JsonTokenType.String ? reader.GetString()! : throw new JsonException($"found {reader.TokenType}; write {Wanted} as text.");
        return TryParse(text, out var value) ? value : throw new JsonException($"'{text}' is not {Wanted}.");
    }

    /// <inheritdoc/>
    public override void Write(Utf8JsonWriter writer, T value, JsonSerializerOptions options) => writer.WriteStringValue(Format(value));
}

/// <summary>A semantic version.</summary>
public sealed class SemanticVersionConverter : TextConverter<SemanticVersion>
{
    /// <inheritdoc/>
    protected override string Wanted => "a semantic version such as 1.4.0";

    /// <inheritdoc/>
    protected override bool TryParse(string text, out SemanticVersion? value) => SemanticVersion.TryParse(text, out value);
}

/// <summary>A range of versions.</summary>
public sealed class VersionRangeConverter : TextConverter<VersionRange>
{
    /// <inheritdoc/>
    protected override string Wanted => "a version range such as '>=1.2.0 <2.0.0'";

    /// <inheritdoc/>
    protected override bool TryParse(string text, out VersionRange? value) => VersionRange.TryParse(text, out value);
}

/// <summary>A model name.</summary>
public sealed class ModelNameConverter : TextConverter<ModelName>
{
    /// <inheritdoc/>
    protected override string Wanted => "a model name such as plant/bearing";

    /// <inheritdoc/>
    protected override bool TryParse(string text, out ModelName? value) => ModelName.TryParse(text, out value);
}

/// <summary>A SHA-256 digest.</summary>
public sealed class Sha256DigestConverter : TextConverter<Sha256Digest>
{
    /// <inheritdoc/>
    protected override string Wanted => "a SHA-256 digest of 64 hexadecimal digits";

    /// <inheritdoc/>
    protected override bool TryParse(string text, out Sha256Digest value) => Sha256Digest.TryParse(text, out value);
}

/// <summary>A span of time as <see cref="Duration"/> writes it.</summary>
public class DurationConverter : TextConverter<TimeSpan>
{
    /// <inheritdoc/>
    protected override string Wanted => "a duration such as 250ms, 90s or 24h";

    /// <inheritdoc/>
    protected override bool TryParse(string text, out TimeSpan value) => Duration.TryParse(text, out value);

    /// <inheritdoc/>
    protected override string Format(TimeSpan value) => Duration.Format(value);
}

/// <summary>A span of time that may be negative, as what is left until something begins; <c>-2m</c>. Nothing that is signed has such.</summary>
public sealed class SignedDurationConverter : DurationConverter
{
    /// <inheritdoc/>
    protected override bool TryParse(string text, out TimeSpan value)
    {
        var read = Duration.TryParse(text.StartsWith('-') ? text[1..] : text, out value);
        if (text.StartsWith('-'))
            value = -value;
        return read;
    }
}

/// <summary>Members in camel case, never as numbers: <c>running</c>, <c>takenBack</c>.</summary>
public sealed class NamedEnum<T>() : JsonStringEnumConverter<T>(JsonNamingPolicy.CamelCase, allowIntegerValues: false)
    where T : struct, Enum;
