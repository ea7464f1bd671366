using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;

namespace Coppice.Fleet;

/// <summary>A condition on facts and labels: <c>site = "oslo" and ram >= 2GB and not label.frozen</c>.</summary>
/// <remarks>
/// Grammar: or, and, not, parentheses; <c>name op value</c> with = != &lt; &lt;= &gt; &gt;=; <c>name in (a, b)</c>; a bare name holds
/// when the fact is there and is neither false, 0 nor empty. A bare name such as <c>site</c> finds the fact, else the label.
/// Values are words, "quoted text", or numbers with an optional B, KB, MB, GB, TB (1000) or KiB, MiB, GiB, TiB (1024).
/// Numbers and versions are ordered as such; other text by code point. A comparison with a fact that is not there is false, also with !=.
/// </remarks>
public sealed class Selector
{
    /// <summary>Longest text taken, in characters.</summary>
    public const int MaxLength = 2048;

    readonly Condition condition;
    readonly string text;

    internal Selector(Condition condition, string text) => (this.condition, this.text) = (condition, text);

    /// <summary>Holds for every device; its text is empty.</summary>
    public static Selector All { get; } = new(new Condition.Always(), "");

    /// <summary>Whether it is the empty condition.</summary>
    public bool IsAll => condition is Condition.Always;

    /// <summary>Reads a condition; empty text selects all devices.</summary>
    public static bool TryParse(string? text, [NotNullWhen(true)] out Selector? selector, out ImmutableArray<Problem> problems)
    {
        if (string.IsNullOrWhiteSpace(text))
        {
            (selector, problems) = (All, []);
            return true;
        }

        if (text.Length > MaxLength)
        {
            (selector, problems) = (null, [new("selector", $"has {text.Length} characters; at most {MaxLength} are taken. Use a group or a label instead.")]);
            return false;
        }

        if (SelectorParser.Parse(text, out var problem) is { } condition)
        {
            (selector, problems) = (new(condition, text), []);
            return true;
        }

        (selector, problems) = (null, [problem]);
        return false;
    }

    /// <summary>Holds where both do; of any length.</summary>
    public static Selector Both(Selector a, Selector b) =>
        a.IsAll ? b : b.IsAll ? a : new(new Condition.And(a.condition, b.condition), $"({a}) and ({b})");

    /// <summary>Holds where one of them does; of any length.</summary>
    public static Selector Either(Selector a, Selector b) =>
        a.IsAll || b.IsAll ? All : a.text == b.text ? a : new(new Condition.Or(a.condition, b.condition), $"({a}) or ({b})");

    /// <summary>Whether a text was made by <see cref="Both"/> with the second confined to the first: then it holds nowhere that the first does not.</summary>
    /// <remarks>By its form, not by what it means: whether one condition implies another is not decided here, and no is the safe answer.</remarks>
    public static bool IsWithin(string text, Selector bounds)
    {
        if (bounds.IsAll || text == bounds.text)
            return true;
        var start = $"({bounds}) and (";
        // What is left must be a condition by itself, lest a parenthesis in it closes the one before: 'a) or (b'.
        return text.StartsWith(start, StringComparison.Ordinal) && text.EndsWith(')') && text.Length > start.Length
            && TryParse(text[start.Length..^1], out var rest, out _) && !rest.IsAll;
    }

    /// <summary>The facts and labels that it reads, as they were written; with repetitions.</summary>
    public IEnumerable<string> Names => condition.Names;

    /// <summary>Sets of marks: of each of them, every device that the condition holds for has at least one. None when nothing can be said; a device that has them need not fit.</summary>
    /// <param name="groups">The groups that a selector makes.</param>
    public IEnumerable<ImmutableArray<DeviceMark>> Needs(GroupSet groups) => condition.Needs(groups);

    /// <summary>Whether the condition holds for these facts.</summary>
    public bool Matches(FactSet facts) => condition.Holds(facts);

    /// <summary>The condition as it was written.</summary>
    public override string ToString() => text;
}
