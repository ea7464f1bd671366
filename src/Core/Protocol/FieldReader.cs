using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;

namespace Coppice.Protocol;

/// <summary>Reads an object field by field, and remembers everything that is wrong.</summary>
sealed class FieldReader
{
    /// <summary>Longest list in such a document.</summary>
    const int MaxItems = 1000;

    readonly JsonElement value;
    readonly string path;
    readonly List<Problem> problems;
    readonly List<string> known = [];

    public FieldReader(JsonElement root)
        : this(root, "", [])
    {
    }

    FieldReader(JsonElement value, string path, List<Problem> problems)
    {
        (this.value, this.path, this.problems) = (value, path, problems);
        if (path.Length == 0 && value.ValueKind != JsonValueKind.Object)
            problems.Add(new("", $"the document is {Kind(value)}; write an object with model, release and phases."));
    }

    public IReadOnlyList<Problem> Problems => problems;

    public bool Has(string name)
    {
        known.Add(name);
        return Find(name) is not null;
    }

    public void Wrong(string name, string what) => problems.Add(new(At(name), what));

    /// <summary>This whole value, where it is one text in place of an object.</summary>
    public string? Whole()
    {
        if (value.ValueKind != JsonValueKind.String)
            return null;
        return value.GetString();
    }

    public string? Text(string name) => Text(name, required: false, "text", text => text);

    public T? Text<T>(string name, bool required, string wanted, Func<string, T?> parse)
        where T : class
    {
        if (!Given(name, required, wanted, out var given))
            return null;
        if (given.ValueKind != JsonValueKind.String)
            Wrong(name, $"is {Kind(given)}; write {wanted}{(given.ValueKind == JsonValueKind.Number ? ", in quotes" : "")}.");
        else if (parse(given.GetString()!) is { } parsed)
            return parsed;
        else
            Wrong(name, $"'{given.GetString()}' is not {wanted}.");
        return null;
    }

    public double? Number(string name) => Read<double>(name, "a number", given => given.ValueKind == JsonValueKind.Number && given.TryGetDouble(out var number) ? number : (double?)null);

    /// <summary>A number, or a percentage as text.</summary>
    public double? Share(string name) => Read<double>(name, "a number, or a percentage such as 5 %", given => given.ValueKind switch
    {
        JsonValueKind.Number when given.TryGetDouble(out var number) => number,
        JsonValueKind.String when given.GetString()!.Trim() is [.. var digits, '%'] && double.TryParse(digits, NumberStyles.Float, CultureInfo.InvariantCulture, out var percent) => percent / 100,
        _ => (double?)null,
    });

    public int? Whole(string name) => Read<int>(name, "a whole number", given => given.ValueKind == JsonValueKind.Number && given.TryGetInt32(out var number) ? number : (int?)null);

    public bool? Flag(string name) => Read<bool>(name, "true or false", given => given.ValueKind is JsonValueKind.True or JsonValueKind.False ? given.GetBoolean() : (bool?)null);

    public TimeSpan? Span(string name) => Read<TimeSpan>(name, "a duration such as 30m, 24h or 7d", given => given.ValueKind == JsonValueKind.String && Duration.TryParse(given.GetString(), out var span) ? span : (TimeSpan?)null);

    public TimeOnly? Time(string name)
    {
        if (!Has(name))
            Wrong(name, "is missing; write a time of day such as 22:00.");
        return Read<TimeOnly>(name, "a time of day such as 22:00", given => given.ValueKind == JsonValueKind.String ? MaintenanceWindowText.Time(given.GetString()!) : (TimeOnly?)null);
    }

    public DateTimeOffset? Moment(string name) => Read<DateTimeOffset>(name, "a moment with its offset, such as 2026-12-01T08:00:00Z", given =>
        given.ValueKind == JsonValueKind.String && given.GetString() is { Length: > 10 } text && (text.EndsWith('Z') || text[10..].AsSpan().IndexOfAny('+', '-') > 0)
        && DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.None, out var moment) ? moment : (DateTimeOffset?)null);

    public T? Choice<T>(string name, params T[] among)
        where T : struct, Enum
    {
        var allowed = among.Length > 0 ? among : Enum.GetValues<T>();
        return Read<T>(name, string.Join(", ", allowed.Select(JsonName)), given =>
            given.ValueKind == JsonValueKind.String && allowed.Where(choice => JsonName(choice) == given.GetString()).ToArray() is [var chosen] ? chosen : (T?)null);
    }

    public T? Object<T>(string name, Func<FieldReader, T> read)
        where T : class
    {
        if (!Given(name, required: false, "an object", out var given))
            return null;
        if (given.ValueKind != JsonValueKind.Object)
        {
            Wrong(name, $"is {Kind(given)}; write an object.");
            return null;
        }

        return Inside(given, At(name), read);
    }

    public ImmutableArray<T> List<T>(string name, bool required, Func<FieldReader, T> read)
    {
        if (!Given(name, required, "a list", out var given))
            return [];
        if (given.ValueKind != JsonValueKind.Array || given.GetArrayLength() > MaxItems)
        {
            Wrong(name, given.ValueKind == JsonValueKind.Array ? $"has {given.GetArrayLength()} items; write at most {MaxItems}." : $"is {Kind(given)}; write a list.");
            return [];
        }

        var items = ImmutableArray.CreateBuilder<T>();
        var index = 0;
        foreach (var item in given.EnumerateArray())
            items.Add(Inside(item, $"{At(name)}[{index++}]", read));
        return items.ToImmutable();
    }

    public ImmutableArray<T> Values<T>(string name, Func<string, T?> parse, string wanted)
        where T : struct => [.. List(name, required: false, item =>
        {
            if (item.Whole() is { } text && parse(text) is { } parsed)
                return (T?)parsed;
            item.Wrong("", $"'{item.value}' is not {wanted}.");
            return null;
        }).Where(parsed => parsed is not null).Select(parsed => parsed!.Value)];

    /// <summary>Says which fields are not known; after all that are have been read.</summary>
    public void End()
    {
        if (value.ValueKind != JsonValueKind.Object)
            return;
        foreach (var field in value.EnumerateObject())
        {
            if (!known.Contains(field.Name))
                Wrong(field.Name, $"is not known here; known are {string.Join(", ", known.Distinct())}.");
        }
    }

    T Inside<T>(JsonElement given, string at, Func<FieldReader, T> read)
    {
        var inside = new FieldReader(given, at, problems);
        var before = problems.Count;
        var result = read(inside);
        if (given.ValueKind is not (JsonValueKind.Object or JsonValueKind.String) || (given.ValueKind == JsonValueKind.String && inside.known.Count > 0))
        {
            problems.RemoveRange(before, problems.Count - before);
            problems.Add(new(at, $"is {Kind(given)}; write an object."));
        }
        else
        {
            inside.End();
        }

        return result;
    }

    T? Read<T>(string name, string wanted, Func<JsonElement, T?> read)
        where T : struct
    {
        if (!Given(name, required: false, wanted, out var given))
            return null;
        var result = read(given);
        if (result is null)
            Wrong(name, $"{(given.ValueKind == JsonValueKind.String ? $"'{given.GetString()}'" : Kind(given))} is not {wanted}.");
        return result;
    }

    bool Given(string name, bool required, string wanted, out JsonElement given)
    {
        known.Add(name);
        if (Find(name) is { } found)
        {
            given = found;
            return true;
        }

        given = default;
        if (required)
            Wrong(name, $"is missing; write {wanted}.");
        return false;
    }

    JsonElement? Find(string name) => value.ValueKind == JsonValueKind.Object && value.TryGetProperty(name, out var found) && found.ValueKind != JsonValueKind.Null ? found : null;

    string At(string name) => name.Length == 0 ? path : path.Length == 0 ? name : $"{path}.{name}";

    static string JsonName<T>(T choice)
        where T : struct, Enum => JsonNamingPolicy.CamelCase.ConvertName(choice.ToString());

    static string Kind(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Object => "an object",
        JsonValueKind.Array => "a list",
        JsonValueKind.String => "text",
        JsonValueKind.Number => value.GetRawText(),
        JsonValueKind.True or JsonValueKind.False => value.GetRawText(),
        _ => "nothing",
    };
}
