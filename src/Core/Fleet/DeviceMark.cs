using System.Collections.Immutable;

namespace Coppice.Fleet;

/// <summary>A fact or label with its exact value: what devices can be looked up by, where a selector would have to be asked about each.</summary>
/// <param name="Name">Of a fact, or of a label behind <c>label.</c>.</param>
/// <param name="Value">Its text.</param>
public readonly record struct DeviceMark(string Name, string Value)
{
    // What an agent measures by itself: most of it is alike on much of a fleet, or another each time.
    static readonly ImmutableArray<string> Measured = ["accelerators", "agent", "app", "arch", "cpus", "disk.free", "os", "ram", "ram.free", "ram.total", FactSet.Withheld];

    const string RuntimePrefix = "runtime.";

    /// <summary>Whether a fact is one that every agent measures. Devices are not looked up by those.</summary>
    public static bool IsMeasured(string fact)
    {
        ArgumentNullException.ThrowIfNull(fact);
        return Measured.Contains(fact) || fact.StartsWith(RuntimePrefix, StringComparison.Ordinal);
    }

    /// <summary>What a device can be looked up by.</summary>
    /// <param name="facts">Those that it reports.</param>
    /// <param name="labels">Those that it was given, and of groups those that it was put into, without a prefix.</param>
    public static IEnumerable<DeviceMark> Of(IEnumerable<KeyValuePair<string, string>> facts, IEnumerable<KeyValuePair<string, string>> labels) =>
        facts.Where(fact => !IsMeasured(fact.Key)).Concat(FactSet.OfLabels(labels))
            .Where(one => IsKept(one.Value)).Select(one => new DeviceMark(one.Key, one.Value));

    /// <summary>The marks of which a device has one when <see cref="FactSet.Find"/> finds the text under the name; none when that cannot be said.</summary>
    internal static ImmutableArray<DeviceMark> Finding(string name, string text) =>
        !IsKept(text) ? []
        : name.StartsWith(FactSet.LabelPrefix, StringComparison.Ordinal) ? [new(name, text)] // no fact has such a name, nor one of a group
        : DeviceGroup.IsLabel(name) ? [new(FactSet.LabelPrefix + name, text)]
        : IsMeasured(name) ? []
        : [new(name, text), new(FactSet.LabelPrefix + name, text)];

    // PostgreSQL keeps no text with NUL.
    static bool IsKept(string value) => !value.Contains('\0', StringComparison.Ordinal);
}
