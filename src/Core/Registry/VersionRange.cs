using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;

namespace Coppice.Registry;

/// <summary>Versions between bounds, as <c>&gt;=1.2.0 &lt;2.0.0</c>: every comparison must hold.</summary>
public sealed class VersionRange
{
    readonly ImmutableArray<(string Operator, SemanticVersion Version)> bounds;
    readonly string text;

    VersionRange(ImmutableArray<(string, SemanticVersion)> bounds, string text) => (this.bounds, this.text) = (bounds, text);

    /// <summary>Reads comparisons of <c>=</c>, <c>&gt;</c>, <c>&gt;=</c>, <c>&lt;</c>, <c>&lt;=</c> parted by spaces; a bare version means at least that.</summary>
    public static bool TryParse([NotNullWhen(true)] string? text, [NotNullWhen(true)] out VersionRange? range)
    {
        range = null;
        var bounds = ImmutableArray.CreateBuilder<(string, SemanticVersion)>();
        foreach (var part in (text ?? "").Split(' ', StringSplitOptions.RemoveEmptyEntries))
        {
            var at = part.AsSpan().IndexOfAnyExcept('<', '>', '=');
            var comparison = at > 0 ? part[..at] : ">=";
            if (at < 0 || comparison is not ("=" or "<" or "<=" or ">" or ">=") || !SemanticVersion.TryParse(part[at..], out var version))
                return false;
            bounds.Add((comparison, version));
        }

        range = bounds.Count > 0 ? new(bounds.ToImmutable(), text!) : null;
        return range is not null;
    }

    /// <summary>Whether every comparison holds.</summary>
    public bool Contains(SemanticVersion version)
    {
        foreach (var (comparison, bound) in bounds)
        {
            var order = version.CompareTo(bound);
            var holds = comparison switch { "=" => order == 0, "<" => order < 0, "<=" => order <= 0, ">" => order > 0, _ => order >= 0 };
            if (!holds)
                return false;
        }

        return true;
    }

    /// <inheritdoc/>
    public override string ToString() => text;
}
