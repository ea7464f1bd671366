using System.Collections.Immutable;
using Coppice.Trust;

namespace Coppice.Server.Trust;

/// <summary>The state of a repository at a time.</summary>
/// <param name="Roles">root, targets, the delegated roles in the order in which they are asked, snapshot, timestamp.</param>
/// <param name="Warnings">What somebody should do, one sentence each; empty when all is well.</param>
public sealed record RepositoryStatus(ImmutableArray<RoleStatus> Roles, ImmutableArray<string> Warnings)
{
    /// <summary>Part of its life that is left when a role is warned about.</summary>
    const double WarningShare = 0.25;

    internal static RepositoryStatus Of(RepositoryState state, RepositoryLifetimes lifetimes, DateTimeOffset now)
    {
        var (root, targets) = (state.Root.Signed, state.Targets.Signed);
        var roles = ImmutableArray.CreateBuilder<RoleStatus>();
        roles.Add(Of(TopLevelRole.Root, root, root, lifetimes.Root));
        roles.Add(Of(TopLevelRole.Targets, targets, root, lifetimes.Targets));
        foreach (var role in state.RoleNames)
        {
            var online = role == RepositoryLayout.RolloutsRole;
            var status = Of(role, state.Roles[role].Signed, targets, online ? lifetimes.Rollouts : lifetimes.Releases, online);
            roles.Add(status with { Paths = targets.Delegations!.Roles.Single(delegated => delegated.Name == role).Paths });
        }
        roles.Add(Of(TopLevelRole.Snapshot, state.Snapshot.Signed, root, lifetimes.Snapshot, online: true));
        roles.Add(Of(TopLevelRole.Timestamp, state.Timestamp.Signed, root, lifetimes.Timestamp, online: true));
        return new(roles.ToImmutable(), [.. roles.Select(role => Warning(role, now)).OfType<string>()]);
    }

    static RoleStatus Of(string role, RoleMetadata metadata, IDelegator delegator, TimeSpan life, bool online = false)
    {
        var keys = delegator.KeysOf(role)!;
        return new(role, metadata.Version, metadata.Expires, online, life, keys.Threshold,
            [.. keys.KeyIds.Select(id => new RoleKey(id, delegator.Keys.GetValueOrDefault(id)?.Name))]);
    }

    static string? Warning(RoleStatus role, DateTimeOffset now)
    {
        var who = role.Online
            ? "the server signs it by itself: let it run, or run 'coppice repository refresh' on a folder"
            : $"have its next version signed by {role.Threshold} of its {role.Keys.Length} key(s): coppice root renew";
        var left = role.Expires - now;
        if (left <= TimeSpan.Zero)
            return $"'{role.Role}' expired at {role.Expires:u}, and devices refuse it; {who}.";
        return left < role.Life * WarningShare ? $"'{role.Role}' expires in {Words(left)}, at {role.Expires:u}; {who}." : null;
    }

    static string Words(TimeSpan left) => left.TotalDays >= 2 ? $"{(int)left.TotalDays} days" : left.TotalHours >= 2 ? $"{(int)left.TotalHours} hours" : $"{(int)left.TotalMinutes} minutes";
}

/// <param name="Role">The role's name.</param>
/// <param name="Version">Its present version.</param>
/// <param name="Expires">When it stops being trusted.</param>
/// <param name="Online">Whether the server signs it by itself.</param>
/// <param name="Life">How long a version of it is trusted.</param>
/// <param name="Threshold">How many of its keys must sign.</param>
/// <param name="Keys">Its keys.</param>
public sealed record RoleStatus(string Role, long Version, DateTimeOffset Expires, bool Online, TimeSpan Life, long Threshold, ImmutableArray<RoleKey> Keys)
{
    /// <summary>Path patterns of a delegated role; empty for others.</summary>
    public ImmutableArray<string> Paths { get; init; } = [];
}

/// <param name="Id">The key's id, which proves it.</param>
/// <param name="Name">What people call it; null when nobody said.</param>
public sealed record RoleKey(string Id, string? Name);
