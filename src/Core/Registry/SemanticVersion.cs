using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace Coppice.Registry;

/// <summary>A version as semver.org 2.0.0 writes and orders it: <c>1.4.0-rc.1+build.7</c>.</summary>
/// <remarks>Equality and order ignore build metadata, as the specification says; the text keeps it.</remarks>
public sealed class SemanticVersion : IComparable<SemanticVersion>, IEquatable<SemanticVersion>
{
    /// <summary>Longest text taken, in characters.</summary>
    public const int MaxLength = 128;

    readonly string[] prerelease;
    readonly string text;

    SemanticVersion(long major, long minor, long patch, string[] prerelease, string text) =>
        (Major, Minor, Patch, this.prerelease, this.text) = (major, minor, patch, prerelease, text);

    /// <summary>Changes that break callers.</summary>
    public long Major { get; }

    /// <summary>Changes that add.</summary>
    public long Minor { get; }

    /// <summary>Changes that mend.</summary>
    public long Patch { get; }

    /// <summary>Whether it comes before the release of the same numbers.</summary>
    public bool IsPrerelease => prerelease.Length > 0;

    /// <summary>Reads a version; leading zeros, missing parts and other characters are refused.</summary>
    public static bool TryParse([NotNullWhen(true)] string? text, [NotNullWhen(true)] out SemanticVersion? version)
    {
        version = null;
        if (text is null || text.Length is 0 or > MaxLength)
            return false;

        var rest = text.AsSpan();
        if (rest.IndexOf('+') is >= 0 and var plus)
        {
            if (!Identifiers(rest[(plus + 1)..], leadingZeros: true, out _))
                return false;
            rest = rest[..plus];
        }

        string[] prerelease = [];
        if (rest.IndexOf('-') is >= 0 and var dash)
        {
            if (!Identifiers(rest[(dash + 1)..], leadingZeros: false, out prerelease))
                return false;
            rest = rest[..dash];
        }

        Span<Range> parts = stackalloc Range[4];
        if (rest.Split(parts, '.') != 3
            || !Number(rest[parts[0]], out var major) || !Number(rest[parts[1]], out var minor) || !Number(rest[parts[2]], out var patch))
            return false;
        version = new(major, minor, patch, prerelease, text);
        return true;
    }

    /// <summary>Reads a version that is known to be one.</summary>
    /// <exception cref="FormatException">It is not.</exception>
    public static SemanticVersion Parse(string text) =>
        TryParse(text, out var version) ? version : throw new FormatException($"'{text}' is not a semantic version; write it as 1.4.0 or 1.4.0-rc.1.");

    static bool Number(ReadOnlySpan<char> text, out long number)
    {
        number = 0;
        return text.Length is > 0 and <= 18 && (text.Length == 1 || text[0] != '0')
            && long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out number);
    }

    static bool Identifiers(ReadOnlySpan<char> text, bool leadingZeros, out string[] identifiers)
    {
        identifiers = text.ToString().Split('.');
        foreach (var identifier in identifiers)
        {
            if (identifier.Length == 0)
                return false;
            var digits = true;
            foreach (var c in identifier)
            {
                if (!char.IsAsciiLetterOrDigit(c) && c != '-')
                    return false;
                digits &= char.IsAsciiDigit(c);
            }

            if (digits && !leadingZeros && identifier.Length > 1 && identifier[0] == '0')
                return false;
        }

        return true;
    }

    /// <inheritdoc/>
    public int CompareTo(SemanticVersion? other)
    {
        if (other is null)
            return 1;
        var numbers = (Major, Minor, Patch).CompareTo((other.Major, other.Minor, other.Patch));
        if (numbers != 0)
            return numbers;
        if (prerelease.Length == 0 || other.prerelease.Length == 0)
            return other.prerelease.Length.CompareTo(prerelease.Length); // a release comes after its pre-releases
        for (var i = 0; i < Math.Min(prerelease.Length, other.prerelease.Length); i++)
        {
            var order = CompareIdentifiers(prerelease[i], other.prerelease[i]);
            if (order != 0)
                return order;
        }

        return prerelease.Length.CompareTo(other.prerelease.Length);
    }

    static int CompareIdentifiers(string a, string b)
    {
        var (aNumeric, bNumeric) = (a.All(char.IsAsciiDigit), b.All(char.IsAsciiDigit));
        if (aNumeric && bNumeric)
            return a.Length != b.Length ? a.Length.CompareTo(b.Length) : string.CompareOrdinal(a, b); // no leading zeros, so length orders
        return aNumeric != bNumeric ? (aNumeric ? -1 : 1) : string.CompareOrdinal(a, b);
    }

    /// <inheritdoc/>
    public bool Equals(SemanticVersion? other) => other is not null && CompareTo(other) == 0;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as SemanticVersion);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Major, Minor, Patch, string.Join('.', prerelease));

    /// <inheritdoc/>
    public override string ToString() => text;

    /// <summary>Same precedence.</summary>
    public static bool operator ==(SemanticVersion? a, SemanticVersion? b) => a is null ? b is null : a.Equals(b);

    /// <summary>Other precedence.</summary>
    public static bool operator !=(SemanticVersion? a, SemanticVersion? b) => !(a == b);

    /// <summary>Lower precedence.</summary>
    public static bool operator <(SemanticVersion a, SemanticVersion b) => a.CompareTo(b) < 0;

    /// <summary>Lower or the same precedence.</summary>
    public static bool operator <=(SemanticVersion a, SemanticVersion b) => a.CompareTo(b) <= 0;

    /// <summary>Higher precedence.</summary>
    public static bool operator >(SemanticVersion a, SemanticVersion b) => a.CompareTo(b) > 0;

    /// <summary>Higher or the same precedence.</summary>
    public static bool operator >=(SemanticVersion a, SemanticVersion b) => a.CompareTo(b) >= 0;
}
