using System.Collections.Immutable;

namespace Coppice.Server.Trust;

/// <summary>The state of a repository at a time.</summary>
/// <param name="Roles">root, targets, releases, rollouts, snapshot, timestamp, in this order.</param>
/// <param name="Warnings">What somebody should do, one sentence each; empty when all is well.</param>
public sealed record RepositoryStatus(ImmutableArray<RoleStatus> Roles, ImmutableArray<string> Warnings);

/// <param name="Role">The role's name.</param>
/// <param name="Version">Its present version.</param>
/// <param name="Expires">When it stops being trusted.</param>
/// <param name="Online">Whether the server signs it by itself.</param>
public sealed record RoleStatus(string Role, long Version, DateTimeOffset Expires, bool Online);
