using System.Globalization;

namespace Coppice.Fleet;

/// <summary>What a device is (facts) and what the operator calls it (labels, under <c>label.</c>): names and values that selectors read.</summary>
public sealed class FactSet
{
    /// <summary>Most facts and labels one device may have.</summary>
    public const int MaxCount = 256;

    /// <summary>Longest name or value, in characters.</summary>
    public const int MaxText = 256;

    /// <summary>The fact that names, parted by commas, the facts that a device does not tell.</summary>
    public const string Withheld = "withheld";

    /// <summary>How a label's name begins among facts.</summary>
    public const string LabelPrefix = "label.";

    readonly Dictionary<string, string> values; // made for every device of a page and read once: what is dearer to make and cheaper to read would not pay

    /// <param name="values">Names as <c>os</c>, <c>ram</c>, <c>runtime.onnxruntime</c>, <c>label.site</c>; values as text, sizes in bytes, flags as true or false.</param>
    public FactSet(IEnumerable<KeyValuePair<string, string>> values)
    {
        ArgumentNullException.ThrowIfNull(values);
        this.values = new(StringComparer.Ordinal);
        foreach (var (name, value) in values)
            this.values[name] = value;
    }

    /// <summary>The value of <see cref="Withheld"/>; long lists end with "…".</summary>
    public static string NamesOf(IEnumerable<string> names)
    {
        var text = string.Join(',', names);
        return text.Length <= MaxText ? text : string.Concat(text.AsSpan(0, text.LastIndexOf(',', MaxText - 2)), ",…");
    }

    /// <summary>Labels as facts know them: under <see cref="LabelPrefix"/>.</summary>
    public static IEnumerable<KeyValuePair<string, string>> OfLabels(IEnumerable<KeyValuePair<string, string>> labels) =>
        labels.Select(label => KeyValuePair.Create(LabelPrefix + label.Key, label.Value));

    /// <summary>No facts at all.</summary>
    public static FactSet Empty { get; } = new([]);

    /// <summary>All of them, in no order.</summary>
    public IReadOnlyDictionary<string, string> Values => values;

    /// <summary>The value of a fact, else of the label of that name, else null.</summary>
    public string? Find(string name) =>
        values.TryGetValue(name, out var value) || values.TryGetValue(LabelPrefix + name, out value) ? value : null;

    /// <summary>A fact that counts something.</summary>
    public long? Number(string name) =>
        Find(name) is { } text && long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number) ? number : null;

    /// <summary>These facts with others put over them.</summary>
    public FactSet With(IEnumerable<KeyValuePair<string, string>> others)
    {
        var merged = new Dictionary<string, string>(values, StringComparer.Ordinal);
        foreach (var (name, value) in others)
            merged[name] = value;
        return new(merged);
    }
}
