using System.Diagnostics.CodeAnalysis;

namespace Coppice.Registry;

/// <summary>A named line of releases: <c>plant/bearing</c>, an owner and a name.</summary>
/// <remarks>Each part is 1 to 64 of a-z, 0-9, '-', '_', '.', starting with a letter or digit: it is a folder, a URL segment and a TUF path as it stands.</remarks>
public sealed record ModelName
{
    ModelName(string owner, string name) => (Owner, Name) = (owner, name);

    /// <summary>Who keeps the model: <c>plant</c>.</summary>
    public string Owner { get; }

    /// <summary>The model among its owner's: <c>bearing</c>.</summary>
    public string Name { get; }

    /// <summary>Reads <c>owner/name</c>.</summary>
    public static bool TryParse([NotNullWhen(true)] string? text, [NotNullWhen(true)] out ModelName? name)
    {
        name = text?.Split('/') is [var owner, var rest] && IsPart(owner) && IsPart(rest) ? new(owner, rest) : null;
        return name is not null;
    }

    /// <summary>Reads a name that is known to be one.</summary>
    /// <exception cref="FormatException">It is not.</exception>
    public static ModelName Parse(string text) => TryParse(text, out var name)
        ? name
        : throw new FormatException($"'{text}' is not a model name; write owner/name in lower case, as plant/bearing.");

    static bool IsPart(string part) =>
        part.Length is > 0 and <= 64 && (char.IsAsciiLetterLower(part[0]) || char.IsAsciiDigit(part[0]))
        && part.All(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c is '-' or '_' or '.');

    /// <inheritdoc/>
    public override string ToString() => $"{Owner}/{Name}";
}
