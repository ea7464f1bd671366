using System.Diagnostics.CodeAnalysis;
using Coppice.Registry;

namespace Coppice.Access;

/// <summary>A set of models: <c>*</c> for all, <c>vision/*</c> for an owner's, <c>vision/cam*</c> by a prefix, <c>vision/camera</c> for one.</summary>
public sealed record ModelPattern
{
    readonly string prefix; // of owner/name; the whole name unless there is a star

    ModelPattern(string text) => (Text, prefix, IsPrefix) = (text, text.TrimEnd('*'), text.EndsWith('*'));

    /// <summary>All models.</summary>
    public static ModelPattern All { get; } = new("*");

    /// <summary>As it was written.</summary>
    public string Text { get; }

    /// <summary>Whether it holds more than one model can be.</summary>
    public bool IsPrefix { get; }

    /// <summary>Whether it holds every model.</summary>
    public bool IsAll => prefix.Length == 0;

    /// <summary>Reads a pattern. A star stands at the end, once; nothing but <c>*</c> reaches over several owners.</summary>
    public static bool TryParse([NotNullWhen(true)] string? text, [NotNullWhen(true)] out ModelPattern? pattern)
    {
        pattern = text switch
        {
            "*" => All,
            // With the star replaced by a letter, the rest must be a name.
            [.. var start, '*'] when start.Contains('/', StringComparison.Ordinal) && ModelName.TryParse(start + "x", out _) => new(text),
            _ when ModelName.TryParse(text, out _) => new(text!),
            _ => null,
        };
        return pattern is not null;
    }

    /// <summary>Whether a model is in the set.</summary>
    public bool Holds(ModelName model) => IsPrefix ? model.ToString().StartsWith(prefix, StringComparison.Ordinal) : model.ToString() == prefix;

    /// <summary>Whether every model of another set is in this one.</summary>
    public bool Holds(ModelPattern other) => IsPrefix ? other.prefix.StartsWith(prefix, StringComparison.Ordinal) : !other.IsPrefix && other.prefix == prefix;

    /// <inheritdoc/>
    public override string ToString() => Text;
}
