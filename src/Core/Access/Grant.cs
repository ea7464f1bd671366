using System.Diagnostics.CodeAnalysis;
using Coppice.Fleet;

namespace Coppice.Access;

/// <summary>A role on some models and some devices.</summary>
/// <param name="Role">What its holder is to them.</param>
/// <param name="Models">Which models.</param>
/// <param name="Devices">Which devices; <see cref="Selector.All"/> for all.</param>
public sealed record Grant(Role Role, ModelPattern Models, Selector Devices)
{
    /// <summary>A role on everything.</summary>
    public static Grant Everywhere(Role role) => new(role, ModelPattern.All, Selector.All);

    /// <summary>Reads a grant as it is kept and sent.</summary>
    /// <param name="where">The field it came in, for the problems.</param>
    /// <param name="role">The role.</param>
    /// <param name="models">A <see cref="ModelPattern"/>.</param>
    /// <param name="devices">A <see cref="Selector"/>; empty for all devices.</param>
    /// <param name="grant">The grant, when there is no problem.</param>
    /// <param name="problems">Everything that is wrong with it is added here.</param>
    public static bool TryRead(string where, Role role, string models, string devices, [NotNullWhen(true)] out Grant? grant, ICollection<Problem> problems)
    {
        var before = problems.Count;
        if (!ModelPattern.TryParse(models, out var pattern))
            problems.Add(new(where + ".models", $"'{models}' is no set of models; give *, vision/*, vision/cam* or vision/camera."));
        if (!Selector.TryParse(devices, out var selector, out var wrong))
        {
            foreach (var problem in wrong)
                problems.Add(problem with { Where = $"{where}.devices: {problem.Where}" });
        }

        grant = problems.Count == before ? new(role, pattern!, selector!) : null;
        return grant is not null;
    }

    /// <summary>Takes a grant as a person writes it apart: <c>ROLE [on MODELS] [where SELECTOR]</c>.</summary>
    /// <returns>False when the role is none; whether the rest can be read is for <see cref="TryRead"/> to say.</returns>
    public static bool TrySplit(string text, out Role role, out string models, out string devices)
    {
        (models, devices) = ("*", "");
        var rest = text.Trim();
        if (rest.IndexOf(" where ", StringComparison.Ordinal) is >= 0 and var where)
            (rest, devices) = (rest[..where].TrimEnd(), rest[(where + 7)..].Trim());
        if (rest.IndexOf(" on ", StringComparison.Ordinal) is >= 0 and var on)
            (rest, models) = (rest[..on].TrimEnd(), rest[(on + 4)..].Trim());
        role = default;
        var found = Array.FindIndex(Enum.GetNames<Role>(), name => name.Equals(rest, StringComparison.OrdinalIgnoreCase));
        if (found >= 0)
            role = Enum.GetValues<Role>()[found];
        return found >= 0;
    }

    /// <summary>As a person reads it: <c>operator on vision/* where site = oslo</c>.</summary>
    public override string ToString() => $"{Role.ToString().ToLowerInvariant()} on {Models}{(Devices.IsAll ? "" : $" where {Devices}")}";
}
