using System.Collections.Immutable;
using System.Text;
using System.Text.Json;
using Coppice.Protocol;

namespace Coppice.Server.Storage;

/// <summary>Small maps in a column, as JSON.</summary>
static class StoredText
{
    public static string Of(ImmutableDictionary<string, string> values) =>
        JsonSerializer.Serialize(values, ControlContext.Default.ImmutableDictionaryStringString);

    public static ImmutableDictionary<string, string> Texts(string text) => JsonSerializer.Deserialize(text, ControlContext.Default.ImmutableDictionaryStringString)!;

    /// <summary>As <see cref="Texts"/>, for who only runs through them.</summary>
    public static List<KeyValuePair<string, string>> Pairs(string text)
    {
        var pairs = new List<KeyValuePair<string, string>>();
        var json = new Utf8JsonReader(Encoding.UTF8.GetBytes(text));
        while (json.Read())
        {
            if (json.TokenType != JsonTokenType.PropertyName)
                continue;
            var name = json.GetString()!;
            json.Read();
            pairs.Add(new(name, json.GetString()!));
        }

        return pairs;
    }

    public static string? Of(ImmutableSortedDictionary<string, long>? values) =>
        values is null ? null : JsonSerializer.Serialize(values, ControlContext.Default.ImmutableSortedDictionaryStringInt64);

    public static ImmutableSortedDictionary<string, long>? Bytes(string? text) =>
        text is null ? null : JsonSerializer.Deserialize(text, ControlContext.Default.ImmutableSortedDictionaryStringInt64);

    public static string? Of(ImmutableDictionary<string, double>? values) =>
        values is null ? null : JsonSerializer.Serialize(values, ControlContext.Default.ImmutableDictionaryStringDouble);

    public static ImmutableDictionary<string, double>? Figures(string? text) =>
        text is null ? null : JsonSerializer.Deserialize(text, ControlContext.Default.ImmutableDictionaryStringDouble);
}
