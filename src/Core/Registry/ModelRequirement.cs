using System.Collections.Immutable;

namespace Coppice.Registry;

/// <summary>Another model that must serve on the device.</summary>
/// <param name="Model">Its name.</param>
/// <param name="Versions">Which versions of it will do.</param>
public sealed record ModelRequirement(ModelName Model, VersionRange Versions)
{
    /// <summary>Most of a release.</summary>
    public const int Most = 8;

    /// <summary>Reads <c>plant/embedder &gt;=1.2.0 &lt;2.0.0</c>.</summary>
    public static bool TryParse(string text, out ModelRequirement? requirement)
    {
        requirement = text.Split(' ', 2, StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries) is [var name, var versions]
            && ModelName.TryParse(name, out var model) && VersionRange.TryParse(versions, out var range) ? new(model, range) : null;
        return requirement is not null;
    }

    /// <summary>The first of several that a device does not meet, in words; null when it meets all.</summary>
    /// <param name="all">What is required.</param>
    /// <param name="serving">What serves of the device's other models.</param>
    public static string? Missing(IEnumerable<ModelRequirement> all, ImmutableDictionary<ModelName, SemanticVersion> serving)
    {
        foreach (var needs in all)
        {
            if (!serving.TryGetValue(needs.Model, out var other))
                return $"needs {needs.Model} {needs.Versions}, which does not serve here";
            if (!needs.Versions.Contains(other))
                return $"needs {needs.Model} {needs.Versions}, and {other} serves here";
        }

        return null;
    }

    /// <summary>As <see cref="TryParse"/> reads it.</summary>
    public override string ToString() => $"{Model} {Versions}";
}
