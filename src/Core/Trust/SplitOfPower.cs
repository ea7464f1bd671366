using System.Collections.Immutable;

namespace Coppice.Trust;

/// <summary>
/// Who may say what in a repository of Coppice, beyond what TUF asks: releases are signed by keys that no server holds,
/// plans by keys that sign nothing else of weight. It is Uptane's split between image repository and director.
/// </summary>
public static class SplitOfPower
{
    static readonly string[] OnlineTopLevel = [TopLevelRole.Snapshot, TopLevelRole.Timestamp];

    /// <summary>Everything that is wrong with a root and top-level targets that belong together; empty when they may be published.</summary>
    public static ImmutableArray<string> Check(Root root, Targets targets)
    {
        var found = ImmutableArray.CreateBuilder<string>();
        if (!root.ConsistentSnapshot)
            found.Add("the root turns consistent snapshots off; leave them on, so that devices never see half of a change");
        if (targets.Files.Count > 0)
            found.Add($"the top-level targets name {targets.Files.Count} file(s); releases are named by the roles they are delegated to");
        if (targets.Delegations is not { Succinct: null } delegations)
        {
            found.Add("the top-level targets delegate to no roles by name; delegate to 'releases' and 'rollouts'");
            return found.ToImmutable();
        }
        foreach (var needed in (string[])[RepositoryLayout.ReleasesRole, RepositoryLayout.RolloutsRole])
        {
            if (delegations.KeysOf(needed) is null)
                found.Add($"nobody may sign '{needed}'; delegate to it");
        }
        foreach (var role in delegations.Roles)
            CheckRole(role, found);

        var online = OnlineKeys(root, targets);
        foreach (var (role, delegator) in Offline(delegations, root, targets))
        {
            var keys = delegator.KeysOf(role)!;
            if (keys.KeyIds.Any(id => delegator.Keys.TryGetValue(id, out var key) && key.IsUsable && online.Contains(key.Identity)))
                found.Add($"a key of '{role}' is also an online key; whoever steals the server would have it: take another");
            // A threshold that cannot be reached would lock everybody out for good.
            var usable = keys.KeyIds.Select(id => delegator.Keys.GetValueOrDefault(id)).Where(key => key is { IsUsable: true }).Select(key => key!.Identity).Distinct().Count();
            if (keys.Threshold > usable)
                found.Add($"'{role}' needs {keys.Threshold} signatures and has {usable} usable keys; lower the threshold or add keys");
        }
        return found.ToImmutable();
    }

    /// <summary>Requires that the role which speaks of a target has the power to: a device asks before it acts on a plan or a release.</summary>
    /// <param name="root">The trusted root.</param>
    /// <param name="targets">The trusted top-level targets.</param>
    /// <param name="path">The target that was found.</param>
    /// <param name="role">The role that it was found in.</param>
    /// <exception cref="UntrustedMetadataException">The role may not speak of it.</exception>
    public static void RequireRightRole(Root root, Targets targets, string path, string role)
    {
        if (path.StartsWith("rollouts/", StringComparison.Ordinal))
        {
            if (role != RepositoryLayout.RolloutsRole)
                throw Refused(path, $"the role '{UntrustedMetadataException.Shown(role)}' speaks of it", "plans are signed by the role 'rollouts' alone");
            return;
        }
        if (!path.StartsWith("releases/", StringComparison.Ordinal))
            return;
        if (!RepositoryLayout.IsReleaseRole(role) || targets.KeysOf(role) is not { } keys)
            throw Refused(path, $"the role '{UntrustedMetadataException.Shown(role)}' speaks of it", "releases are signed by the role 'releases' or by the team that 'targets' delegates the model to");
        var online = OnlineKeys(root, targets);
        foreach (var id in keys.KeyIds)
        {
            if (((IDelegator)targets).Keys.TryGetValue(id, out var key) && key.IsUsable && online.Contains(key.Identity))
                throw Refused(path, $"'{role}' may be signed with an online key ({UntrustedMetadataException.Shown(id, 12)})", "a key that a server holds must not sign releases");
        }
    }

    static void CheckRole(DelegatedRole role, ImmutableArray<string>.Builder found)
    {
        var name = UntrustedMetadataException.Shown(role.Name);
        if (role.Name == RepositoryLayout.RolloutsRole)
        {
            if (role.Paths is not [RepositoryLayout.RolloutsPattern])
                found.Add($"'rollouts' may speak of other paths than '{RepositoryLayout.RolloutsPattern}'; a plan only chooses among releases that others signed");
        }
        else if (!RepositoryLayout.IsReleaseRole(role.Name))
        {
            found.Add($"'{name}' is no role of this repository; delegate to 'releases', 'rollouts' or 'team-NAME'");
        }
        else if (role.Name == RepositoryLayout.ReleasesRole)
        {
            if (role.Paths is not [RepositoryLayout.ReleasesPattern])
                found.Add($"'releases' speaks of other paths than '{RepositoryLayout.ReleasesPattern}'");
        }
        else if (role.Paths.IsEmpty || role.Paths.Any(path => !TeamPattern.TryReadPath(path, out _)))
        {
            found.Add($"'{name}' has a path that is no model and no prefix of models; write 'releases/owner/name/*' or 'releases/owner/prefix*/*'");
        }
        if (!role.Terminating)
            found.Add($"the delegation to '{name}' does not terminate; then a role further down could speak of the same paths");
    }

    static IEnumerable<(string Role, IDelegator Delegator)> Offline(Delegations delegations, Root root, Targets targets)
    {
        yield return (TopLevelRole.Root, root);
        yield return (TopLevelRole.Targets, root);
        foreach (var role in delegations.Roles)
        {
            if (role.Name != RepositoryLayout.RolloutsRole)
                yield return (role.Name, targets);
        }
    }

    static HashSet<Sha256Digest> OnlineKeys(Root root, Targets targets)
    {
        var online = new HashSet<Sha256Digest>();
        foreach (var role in OnlineTopLevel)
            Add(root, root.Roles[role]);
        if (targets.KeysOf(RepositoryLayout.RolloutsRole) is { } rollouts)
            Add(targets, rollouts);
        return online;

        void Add(IDelegator delegator, RoleKeys keys)
        {
            foreach (var id in keys.KeyIds)
            {
                if (delegator.Keys.TryGetValue(id, out var key) && key.IsUsable)
                    online.Add(key.Identity);
            }
        }
    }

    static UntrustedMetadataException Refused(string path, string found, string wanted) => new(path, Distrust.WrongRole, found, wanted);
}
