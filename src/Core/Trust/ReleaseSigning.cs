namespace Coppice.Trust;

/// <summary>Two parties made the same next version, or a change would take back what was published.</summary>
/// <param name="role">The role that was to change.</param>
/// <param name="problem">What was found, what is wanted, and what to do.</param>
public sealed class RepositoryConflictException(string role, string problem) : Exception($"'{role}': {problem}")
{
    /// <summary>The role that was to change.</summary>
    public string Role { get; } = role;
}

/// <summary>What a publisher does, who holds a release key and nothing of the server: prepares the next releases metadata.</summary>
public static class ReleaseSigning
{
    /// <summary>How long signed releases metadata is trusted when nothing else is said.</summary>
    public static readonly TimeSpan DefaultLifetime = TimeSpan.FromDays(365);

    /// <summary>Adds a release to the releases metadata and signs it.</summary>
    /// <param name="currentReleases">The releases metadata that the repository has now, checked by the caller's TUF client.</param>
    /// <param name="targetPath">From <see cref="RepositoryLayout.ReleaseTarget"/>.</param>
    /// <param name="manifest">The release's manifest, byte for byte.</param>
    /// <param name="key">A key of the releases role.</param>
    /// <param name="now">The time of signing.</param>
    /// <param name="lifetime">How long it is trusted; a year when left out.</param>
    /// <returns>The next version of the releases metadata. Where the role's threshold is above one, the others add
    /// their signatures with <see cref="MetadataSigning.AddSignature"/>.</returns>
    /// <exception cref="RepositoryConflictException">The release is published already, with this manifest or another.</exception>
    /// <exception cref="UntrustedMetadataException">The present metadata is malformed.</exception>
    public static byte[] Prepare(
        ReadOnlyMemory<byte> currentReleases, string targetPath, ReadOnlySpan<byte> manifest, SigningKey key, DateTimeOffset now,
        TimeSpan? lifetime = null) =>
        Prepare(currentReleases, [new TargetInfo(targetPath, manifest)], key, now, lifetime);

    /// <summary>Adds several releases in one version of the releases metadata and signs it.</summary>
    /// <inheritdoc cref="Prepare(ReadOnlyMemory{byte}, string, ReadOnlySpan{byte}, SigningKey, DateTimeOffset, TimeSpan?)"/>
    /// <param name="currentReleases">The releases metadata that the repository has now, checked by the caller's TUF client.</param>
    /// <param name="releases">Path and content of the manifests to add.</param>
    /// <param name="key">A key of the releases role.</param>
    /// <param name="now">The time of signing.</param>
    /// <param name="lifetime">How long it is trusted; a year when left out.</param>
    public static byte[] Prepare(
        ReadOnlyMemory<byte> currentReleases, IReadOnlyList<TargetInfo> releases, SigningKey key, DateTimeOffset now,
        TimeSpan? lifetime = null) =>
        Prepare(MetadataFile.ReadTargets(currentReleases, RepositoryLayout.ReleasesRole), releases, now, lifetime, key);

    /// <summary>Adds several releases in one version of a role's metadata and signs it with none, one or several keys.</summary>
    /// <inheritdoc cref="Prepare(ReadOnlyMemory{byte}, string, ReadOnlySpan{byte}, SigningKey, DateTimeOffset, TimeSpan?)"/>
    /// <param name="present">The present metadata of the role that is delegated to for these paths: <c>releases</c>, or a team's.</param>
    /// <param name="releases">Path and content of the manifests to add.</param>
    /// <param name="now">The time of signing.</param>
    /// <param name="lifetime">How long it is trusted; a year when left out.</param>
    /// <param name="keys">Keys of the role.</param>
    public static byte[] Prepare(
        MetadataFile<Targets> present, IReadOnlyList<TargetInfo> releases, DateTimeOffset now, TimeSpan? lifetime, params ReadOnlySpan<SigningKey> keys) =>
        Prepare(present, releases, now, lifetime, 1, keys);

    /// <inheritdoc cref="Prepare(MetadataFile{Targets}, IReadOnlyList{TargetInfo}, DateTimeOffset, TimeSpan?, ReadOnlySpan{SigningKey})"/>
    /// <param name="present">The present metadata of the role.</param>
    /// <param name="releases">Path and content of the manifests to add.</param>
    /// <param name="now">The time of signing.</param>
    /// <param name="lifetime">How long it is trusted; a year when left out.</param>
    /// <param name="least">The least version that it may have, from <see cref="Snapshot.LeastNext"/>.</param>
    /// <param name="keys">Keys of the role.</param>
    public static byte[] Prepare(
        MetadataFile<Targets> present, IReadOnlyList<TargetInfo> releases, DateTimeOffset now, TimeSpan? lifetime, long least, params ReadOnlySpan<SigningKey> keys)
    {
        var current = present.Signed;
        var draft = new TargetsDraft(current, least);
        foreach (var release in releases)
        {
            if (!RepositoryLayout.IsReleaseTarget(release.Path))
                throw new ArgumentException($"'{release.Path}' is no path of a release; name it 'releases/owner/name/version.json'.", nameof(releases));
            if (current.Files.TryGetValue(release.Path, out var published))
                throw new RepositoryConflictException(
                    present.Role,
                    release.SaysTheSameAs(published)
                        ? $"'{release.Path}' is published already with the same manifest; there is nothing to do."
                        : $"'{release.Path}' is published already with another manifest; a release never changes, give it a new version.");
            draft.Put(release);
        }
        return draft.Sign(now + (lifetime ?? DefaultLifetime), keys);
    }
}
