namespace Coppice.Trust;

/// <summary>Which role signs which release, and what devices find: the same answer on the device, the server and in a ceremony.</summary>
public static class ReleaseIndex
{
    /// <summary>The role that is delegated to for a path; null when none is.</summary>
    public static string? RoleFor(Targets targets, string path) => targets.Delegations?.For(path).FirstOrDefault().Role;

    /// <summary>What a client finds under a path; null when no role speaks of it.</summary>
    /// <param name="targets">The top-level targets.</param>
    /// <param name="roles">The metadata of a delegated role; null when it is not there.</param>
    /// <param name="path">The target path.</param>
    public static TargetInfo? Find(Targets targets, Func<string, Targets?> roles, string path)
    {
        foreach (var (role, terminating) in targets.Delegations?.For(path) ?? [])
        {
            if (roles(role)?.Files.GetValueOrDefault(path) is { } found)
                return found;
            if (terminating)
                return null;
        }
        return null;
    }

    /// <summary>All releases that clients find, by target path.</summary>
    /// <inheritdoc cref="Find"/>
    public static Dictionary<string, TargetInfo> All(Targets targets, Func<string, Targets?> roles)
    {
        var releases = new Dictionary<string, TargetInfo>(StringComparer.Ordinal);
        foreach (var role in targets.Delegations?.Roles ?? [])
        {
            if (!RepositoryLayout.IsReleaseRole(role.Name))
                continue;
            foreach (var path in roles(role.Name)?.Files.Keys ?? [])
            {
                if (Find(targets, roles, path) is { } found)
                    releases[path] = found;
            }
        }
        return releases;
    }
}
