using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;

namespace Coppice.Trust;

/// <summary>Which models a team may sign: one, <c>plant/bearing</c>, or all with a prefix, <c>vision/*</c> or <c>vision/ocr-*</c>.</summary>
public sealed record TeamPattern
{
    TeamPattern(string owner, string name, bool isPrefix) => (Owner, Name, IsPrefix) = (owner, name, isPrefix);

    /// <summary>The models' owner, exactly.</summary>
    public string Owner { get; }

    /// <summary>The model's name, or how it begins; empty for all of the owner's.</summary>
    public string Name { get; }

    /// <summary>Whether names only begin so.</summary>
    public bool IsPrefix { get; }

    /// <summary>The path pattern of the delegation: <c>releases/vision/*/*</c>.</summary>
    public string Path => $"releases/{this}/*";

    /// <summary>Reads a pattern as people write it.</summary>
    public static bool TryParse(string text, [NotNullWhen(true)] out TeamPattern? pattern)
    {
        pattern = null;
        if (text.Split('/') is not [var owner, var name] || !IsPart(owner))
            return false;
        var isPrefix = name.EndsWith('*');
        var stem = isPrefix ? name[..^1] : name;
        if (isPrefix ? stem.Length > 0 && !IsPart(stem) : !IsPart(stem))
            return false;
        pattern = new(owner, stem, isPrefix);
        return true;
    }

    /// <summary>Reads the path pattern of a delegation.</summary>
    public static bool TryReadPath(string path, [NotNullWhen(true)] out TeamPattern? pattern)
    {
        pattern = null;
        return path.StartsWith("releases/", StringComparison.Ordinal) && path.EndsWith("/*", StringComparison.Ordinal)
            && path.Length > "releases//*".Length && TryParse(path["releases/".Length..^2], out pattern);
    }

    /// <summary>Whether everything that the other covers is covered here too, and more.</summary>
    public bool IsWiderThan(TeamPattern other) =>
        this != other && Owner == other.Owner && IsPrefix && other.Name.StartsWith(Name, StringComparison.Ordinal);

    /// <summary>Where a team's delegation stands among the others, so that the narrower pattern is asked first.</summary>
    /// <param name="patterns">What the team may sign.</param>
    /// <param name="others">The delegations in their order; <c>releases</c> and <c>rollouts</c> come after every team.</param>
    /// <param name="place">0 to the number of others.</param>
    /// <param name="clash">Why there is no such place.</param>
    public static bool TryPlace(
        IReadOnlyCollection<TeamPattern> patterns, IReadOnlyList<(string Role, ImmutableArray<TeamPattern> Patterns)> others, out int place, [NotNullWhen(false)] out string? clash)
    {
        (place, clash) = (0, null);
        var (first, last) = (0, others.Count);
        for (var i = 0; i < others.Count; i++)
        {
            var (role, theirs) = others[i];
            if (RepositoryLayout.TeamOf(role) is null)
            {
                last = Math.Min(last, i);
                continue;
            }
            if (theirs.Intersect(patterns).FirstOrDefault() is { } same)
            {
                clash = $"'{same}' is delegated to '{role}' already; take it away there first";
                return false;
            }
            if (theirs.Any(their => patterns.Any(their.IsWiderThan)))
                last = Math.Min(last, i);
            if (theirs.Any(their => patterns.Any(own => own.IsWiderThan(their))))
                first = i + 1;
        }
        if (first > last)
        {
            clash = "some of its patterns are narrower and others wider than another team's, so neither can be asked first; make two teams of it";
            return false;
        }
        place = last;
        return true;
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Owner}/{Name}{(IsPrefix ? "*" : "")}";

    // As in a model's name; a star anywhere but at the end would make it hard to see who signs what.
    static bool IsPart(string part) =>
        part.Length <= 128 && part.Length > 0 && part[0] != '.' && part.All(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c is '.' or '_' or '-');
}
