using System.Collections.Immutable;

namespace Coppice.Protocol;

/// <summary>Who signs what in the repository, until when, and what somebody should do: <c>GET /v1/repository</c>.</summary>
/// <param name="Roles">root, targets, the delegated roles in the order in which devices ask them, snapshot, timestamp.</param>
/// <param name="Warnings">One sentence each; empty when all is well.</param>
public sealed record RepositoryView(ImmutableArray<RoleView> Roles, ImmutableArray<string> Warnings);

/// <summary>A role of the repository.</summary>
/// <param name="Role">Its name.</param>
/// <param name="Version">Its present version.</param>
/// <param name="Expires">When devices stop to trust it.</param>
/// <param name="Online">Whether the server signs it by itself.</param>
/// <param name="Threshold">How many of its keys must sign.</param>
/// <param name="Keys">Its keys.</param>
public sealed record RoleView(string Role, long Version, DateTimeOffset Expires, bool Online, long Threshold, ImmutableArray<KeyView> Keys)
{
    /// <summary>Path patterns that a delegated role may sign; empty for others.</summary>
    public ImmutableArray<string> Paths { get; init => field = value.IsDefault ? [] : value; } = [];
}

/// <summary>A key of a role.</summary>
/// <param name="Id">The key id, which proves it.</param>
/// <param name="Name">What people call it; null when nobody said.</param>
public sealed record KeyView(string Id, string? Name = null);

/// <summary>What offline keys signed is handed in: <c>POST /v1/repository/metadata</c>. The signatures decide, not the caller.</summary>
/// <param name="Files">The next root, targets, roles that sign releases, or several that only fit together.</param>
public sealed record ApplyMetadata(ImmutableArray<RoleMetadataFile> Files)
{
    /// <summary>Most bytes of the request.</summary>
    public const int MaxBytes = 32 << 20;
}

/// <summary>A metadata file.</summary>
/// <param name="Role">Whose: <c>root</c>, <c>targets</c>, <c>releases</c>, <c>team-vision</c>.</param>
/// <param name="Bytes">The file, byte for byte; base64 in JSON.</param>
public sealed record RoleMetadataFile(string Role, byte[] Bytes);

/// <summary>The repository after offline metadata was handed in.</summary>
/// <param name="Changed">False when all of it was published already.</param>
/// <param name="Repository">As it is now.</param>
public sealed record AppliedMetadata(bool Changed, RepositoryView Repository);
