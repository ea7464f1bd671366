using System.Collections.Immutable;

namespace Coppice.Fleet;

/// <summary>A named set of devices: those that a selector holds for, or those that somebody put in. Devices and selectors know it as the label <c>group.NAME</c>, which is <c>true</c>.</summary>
public static class DeviceGroup
{
    /// <summary>How the label of every group begins; no other label may.</summary>
    public const string Prefix = "group.";

    /// <summary>Longest name, in characters.</summary>
    public const int MaxName = 64;

    /// <summary>Longest description, in characters.</summary>
    public const int MaxDescription = 1024;

    /// <summary>Most groups of one server; each question that a device asks walks over all of them.</summary>
    public const int MaxCount = 200;

    /// <summary>The label by which a device in the group is known.</summary>
    public static string Label(string name) => Prefix + name;

    /// <summary>Whether a label is a group's.</summary>
    public static bool IsLabel(string label)
    {
        ArgumentNullException.ThrowIfNull(label);
        return label.StartsWith(Prefix, StringComparison.Ordinal);
    }

    /// <summary>The group that a selector's name is about, with and without the prefix of labels; null for any other fact or label.</summary>
    public static string? NameIn(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        var label = name.StartsWith(FactSet.LabelPrefix, StringComparison.Ordinal) ? name[FactSet.LabelPrefix.Length..] : name;
        return IsLabel(label) ? label[Prefix.Length..] : null;
    }

    /// <summary>Whether a text is a group's name: 1 to <see cref="MaxName"/> of a-z, 0-9, '-' and '_'.</summary>
    public static bool IsName(string? name) => name?.Length is > 0 and <= MaxName && name.All(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c is '-' or '_');

    /// <summary>Everything that is wrong with a group.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="selector">Which devices are in it; null for those that somebody puts in.</param>
    /// <param name="description">What it is for; may be empty.</param>
    public static IEnumerable<Problem> Check(string name, string? selector, string description)
    {
        ArgumentNullException.ThrowIfNull(description);
        if (!IsName(name))
            yield return new("name", $"is not a group's name; give 1 to {MaxName} of a-z, 0-9, '-' and '_'.");
        if (description.Length > MaxDescription)
            yield return new("description", $"has {description.Length} characters; at most {MaxDescription} are kept.");
        if (selector is null)
            yield break;
        if (string.IsNullOrWhiteSpace(selector))
            yield return new("selector", "is empty, which is every device; a rollout without a selector is for those. Leave it out for a group that devices are put into.");
        else if (!Selector.TryParse(selector, out var condition, out var problems))
        {
            foreach (var problem in problems)
                yield return problem;
        }
        // A group of groups would depend on the order in which they are looked at, or on itself.
        else if (condition.Names.FirstOrDefault(used => NameIn(used) is not null) is { } other)
            yield return new("selector", $"names the group '{other}'; a group's selector is over facts and other labels. Name both groups where they are used: 'group.a and group.b'.");
    }
}

/// <summary>The groups that a selector makes.</summary>
/// <param name="groups">Their names and selectors.</param>
public sealed class GroupSet(ImmutableArray<KeyValuePair<string, Selector>> groups)
{
    /// <summary>No group.</summary>
    public static GroupSet None { get; } = new([]);

    /// <summary>The selector that makes a group; null for a group that devices are put into, and for none.</summary>
    public Selector? RuleOf(string name) => groups.FirstOrDefault(group => group.Key == name).Value;

    /// <summary>The labels of the groups that a device is in by what it is, under <c>group.</c>.</summary>
    /// <param name="facts">Its facts and labels.</param>
    public IEnumerable<KeyValuePair<string, string>> LabelsOf(FactSet facts) =>
        groups.Where(group => group.Value.Matches(facts)).Select(group => KeyValuePair.Create(DeviceGroup.Label(group.Key), "true"));

    /// <summary>The facts with the labels of the groups.</summary>
    public FactSet Over(FactSet facts)
    {
        ArgumentNullException.ThrowIfNull(facts);
        var labels = LabelsOf(facts).ToList();
        return labels.Count == 0 ? facts : facts.With(FactSet.OfLabels(labels));
    }
}
