using System.Collections.Immutable;
using Coppice.Trust;

namespace Coppice.Server.Trust;

/// <summary>The metadata that a tree publishes at one moment: what a client that reads it now would come to trust.</summary>
/// <param name="Root">The newest root.</param>
/// <param name="Targets">The top-level targets: who signs which releases.</param>
/// <param name="Roles">Every role that the targets delegate to, by name.</param>
/// <param name="Snapshot">What belongs together.</param>
/// <param name="Timestamp">Names the snapshot.</param>
sealed record RepositoryState(
    MetadataFile<Root> Root, MetadataFile<Targets> Targets, ImmutableDictionary<string, MetadataFile<Targets>> Roles,
    MetadataFile<Snapshot> Snapshot, MetadataFile<Timestamp> Timestamp)
{
    // The tree is this server's own; the bound only keeps a mistaken file from filling the memory.
    const int MostBytes = 256 * 1024 * 1024;

    /// <summary>The role that names plans.</summary>
    public MetadataFile<Targets> Rollouts => Roles[RepositoryLayout.RolloutsRole];

    /// <summary>Names of the delegated roles, in the order in which they are asked.</summary>
    public IEnumerable<string> RoleNames => Targets.Signed.Delegations?.Roles.Select(role => role.Name) ?? [];

    /// <summary>The role that is delegated to for a path: the one a publisher signs; null when none is.</summary>
    public string? RoleFor(string path) => ReleaseIndex.RoleFor(Targets.Signed, path);

    /// <summary>What a client finds under a path; null when no role speaks of it.</summary>
    public TargetInfo? Find(string path) => ReleaseIndex.Find(Targets.Signed, SignedRole, path);

    /// <summary>All releases that clients find, by target path.</summary>
    public Dictionary<string, TargetInfo> Releases() => ReleaseIndex.All(Targets.Signed, SignedRole);

    Targets? SignedRole(string role) => Roles.GetValueOrDefault(role)?.Signed;

    /// <summary>Reads the state from its timestamp down; null when there is no repository yet.</summary>
    /// <exception cref="UntrustedMetadataException">A file is damaged or missing.</exception>
    public static RepositoryState? Read(ITreeFiles files)
    {
        if (ReadFile(files, TopLevelRole.Timestamp, null) is not { } timestampBytes)
            return null;
        var timestamp = MetadataFile.ReadTimestamp(timestampBytes);
        var snapshot = MetadataFile.ReadSnapshot(Require(files, TopLevelRole.Snapshot, timestamp.Signed.Snapshot.Version));
        var targets = ReadTargets(files, snapshot.Signed, TopLevelRole.Targets);
        return new(
            MetadataFile.ReadRoot(Require(files, TopLevelRole.Root, NewestRoot(files))),
            targets,
            (targets.Signed.Delegations?.Roles ?? []).ToImmutableDictionary(
                role => role.Name, role => ReadTargets(files, snapshot.Signed, role.Name), StringComparer.Ordinal),
            snapshot, timestamp);
    }

    /// <summary>The last published version of a role that need not be delegated to any more; null when it never was.</summary>
    public MetadataFile<Targets>? LastOf(ITreeFiles files, string role) =>
        Roles.TryGetValue(role, out var present) ? present : Snapshot.Signed.Of(role) is null ? null : ReadTargets(files, Snapshot.Signed, role);

    /// <summary>All of a file's bytes; null when it is not there.</summary>
    public static byte[]? ReadFile(ITreeFiles files, string path)
    {
        using var stream = files.Open(path);
        if (stream is null)
            return null;
        if (stream.Length > MostBytes)
            throw new InvalidDataException($"'{path}' has {stream.Length} bytes; a file of the repository's metadata has at most {MostBytes}.");
        var bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        return bytes;
    }

    static byte[]? ReadFile(ITreeFiles files, string role, long? version) =>
        ReadFile(files, RepositoryLayout.MetadataFileName(role, version));

    static byte[] Require(ITreeFiles files, string role, long version) => ReadFile(files, role, version)
        ?? throw new UntrustedMetadataException(
            role, Distrust.Missing, $"the tree has no '{RepositoryLayout.MetadataFileName(role, version)}'", "restore the tree from its backup");

    static MetadataFile<Targets> ReadTargets(ITreeFiles files, Snapshot snapshot, string role)
    {
        var named = snapshot.Of(role) ?? throw new UntrustedMetadataException(
            role, Distrust.NotInSnapshot, $"snapshot version {snapshot.Version} does not list it", "this is no repository of Coppice");
        return MetadataFile.ReadTargets(Require(files, role, named.Version), role);
    }

    // Roots follow each other without a gap, and there are few; every other role has left a file for each of its versions.
    static long NewestRoot(ITreeFiles files)
    {
        var newest = 1L;
        while (files.Length(RepositoryLayout.MetadataFileName(TopLevelRole.Root, newest + 1)) is not null)
            newest++;
        return newest;
    }
}
