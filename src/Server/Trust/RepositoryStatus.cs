using System.Collections.Immutable;
using Coppice.Protocol;
using Coppice.Trust;

namespace Coppice.Server.Trust;

/// <summary>The state of a repository at a time.</summary>
/// <param name="Roles">root, targets, the delegated roles in the order in which they are asked, snapshot, timestamp.</param>
/// <param name="Warnings">What somebody should do, one sentence each; empty when all is well.</param>
public sealed record RepositoryStatus(ImmutableArray<RoleStatus> Roles, ImmutableArray<string> Warnings)
{
    /// <summary>The state as the control API tells it.</summary>
    public RepositoryView View() => new(
        [.. Roles.Select(role => new RoleView(role.Role, role.Version, role.Expires, role.Online, role.Threshold, [.. role.Keys.Select(key => new KeyView(key.Id, key.Name))]) { Paths = role.Paths })],
        Warnings);

    internal static RepositoryStatus Of(RepositoryState state, RepositoryLifetimes lifetimes, DateTimeOffset now)
    {
        var (root, targets) = (state.Root.Signed, state.Targets.Signed);
        var roles = ImmutableArray.CreateBuilder<RoleStatus>();
        roles.Add(Of(TopLevelRole.Root, root, root, lifetimes.Root));
        roles.Add(Of(TopLevelRole.Targets, targets, root, lifetimes.Targets));
        foreach (var delegated in targets.Delegations?.Roles ?? [])
        {
            var online = delegated.Name == RepositoryLayout.RolloutsRole;
            var role = Of(delegated.Name, state.Roles[delegated.Name].Signed, targets, online ? lifetimes.Rollouts : lifetimes.Releases, online);
            roles.Add(role with { Paths = delegated.Paths });
        }
        roles.Add(Of(TopLevelRole.Snapshot, state.Snapshot.Signed, root, lifetimes.Snapshot, online: true));
        roles.Add(Of(TopLevelRole.Timestamp, state.Timestamp.Signed, root, lifetimes.Timestamp, online: true));
        return new(roles.ToImmutable(), [.. roles.Select(role => Warning(role, now)).Append(BehindWarning(state, roles)).OfType<string>()]);
    }

    static RoleStatus Of(string role, RoleMetadata metadata, IDelegator delegator, TimeSpan life, bool online = false) =>
        new(role, metadata.Version, metadata.Expires, online, life, delegator.KeysOf(role)!.Threshold, NamedKey.Of(delegator, role));

    // Whether anything was signed after the backup nobody here can know; who knows that nothing was lets it be.
    static string? BehindWarning(RepositoryState state, IEnumerable<RoleStatus> roles)
    {
        var behind = roles.Where(role => role.Version < state.Snapshot.Signed.LeastNext.GetValueOrDefault(role.Role)).Select(role => role.Role).ToArray();
        return behind.Length == 0
            ? null
            : $"The repository was restored from a backup. If {string.Join(" or ", behind.Select(role => $"'{role}'"))} was signed after that backup (a release was published, a key or team changed), devices that have seen it refuse the repository until the role is signed once more: " +
                $"publish a release, or coppice root renew FILE {string.Join(' ', behind.Select(role => $"--role {role}"))}; a root that was signed after it is put in force again: coppice root apply REQUEST.";
    }

    static string? Warning(RoleStatus role, DateTimeOffset now) => ExpiryWarning.Of(role.Role, role.Expires, role.Life, now, role.Online
        ? "the server signs it by itself: let it run, or run 'coppice repository refresh' on a folder"
        : $"have its next version signed by {role.Threshold} of its {role.Keys.Length} key(s): coppice root renew");
}

/// <param name="Role">The role's name.</param>
/// <param name="Version">Its present version.</param>
/// <param name="Expires">When it stops being trusted.</param>
/// <param name="Online">Whether the server signs it by itself.</param>
/// <param name="Life">How long a version of it is trusted.</param>
/// <param name="Threshold">How many of its keys must sign.</param>
/// <param name="Keys">Its keys.</param>
public sealed record RoleStatus(string Role, long Version, DateTimeOffset Expires, bool Online, TimeSpan Life, long Threshold, ImmutableArray<NamedKey> Keys)
{
    /// <summary>Path patterns of a delegated role; empty for others.</summary>
    public ImmutableArray<string> Paths { get; init; } = [];
}
