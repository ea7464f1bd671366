using System.Diagnostics.CodeAnalysis;

namespace Coppice.Trust;

/// <summary>The metadata of one repository that a client trusts, and the rules by which it takes newer metadata (section 5).</summary>
/// <remarks>
/// Pure: bytes and a time go in, trust or <see cref="UntrustedMetadataException"/> comes out; a refusal changes nothing.
/// The order is the specification's: root, timestamp, snapshot, targets, delegated targets. A set serves one update;
/// the next starts from a new set with the stored files. Not for use from several threads.
/// </remarks>
public sealed class TrustedMetadataSet
{
    readonly DateTimeOffset _now;
    readonly TimeSpan _offlineGrace;
    readonly Dictionary<string, MetadataFile<Targets>> _targets = new(StringComparer.Ordinal);
    // A delegated role is trusted through each delegator by itself: its keys may differ from path to path.
    readonly HashSet<(string Role, string Delegator)> _verified = [];
    bool _snapshotIsFinal;

    /// <summary>Starts from a root that is trusted already: shipped with the program, or stored by an earlier update.</summary>
    /// <param name="trustedRoot">The root file. It must be signed by its own keys; its expiry does not matter yet (5.2).</param>
    /// <param name="now">The fixed start of the update (5.1); every expiry is held against it.</param>
    /// <param name="offlineGrace">How long timestamp and snapshot are taken after they expired: for sites that hear of the repository by
    /// bundles. It forgives age and nothing else: no version goes back, and no other role outlives its expiry. Zero is the specification's own rule.</param>
    /// <exception cref="UntrustedMetadataException">The root is malformed or not signed by its own threshold.</exception>
    public TrustedMetadataSet(ReadOnlyMemory<byte> trustedRoot, DateTimeOffset now, TimeSpan offlineGrace = default)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offlineGrace.Ticks, nameof(offlineGrace));
        (_now, _offlineGrace) = (now, offlineGrace);
        Root = MetadataFile.ReadRoot(trustedRoot);
        Root.RequireSignedFor(Root.Signed);
    }

    /// <summary>The trusted root.</summary>
    public MetadataFile<Root> Root { get; private set; }

    /// <summary>The trusted timestamp; null before the first.</summary>
    public MetadataFile<Timestamp>? Timestamp { get; private set; }

    /// <summary>The trusted snapshot; null before the first.</summary>
    public MetadataFile<Snapshot>? Snapshot { get; private set; }

    /// <summary>The trusted top-level targets; null before they are loaded.</summary>
    public MetadataFile<Targets>? Targets => _targets.GetValueOrDefault(TopLevelRole.Targets);

    /// <summary>Whether the snapshot in the set is the one that the timestamp names, unexpired.</summary>
    public bool HasFinalSnapshot => _snapshotIsFinal;

    /// <summary>When the first of the files in the set stops being trusted.</summary>
    public DateTimeOffset EarliestExpiry => _targets.Values.Select(file => file.Signed.Expires)
        .Concat(new RoleMetadata?[] { Root.Signed, Timestamp?.Signed, Snapshot?.Signed }.OfType<RoleMetadata>().Select(role => role.Expires))
        .Min();

    /// <summary>Takes the next root (5.3.4 to 5.3.7).</summary>
    /// <returns>Whether keys of timestamp or snapshot were taken away, so that what they signed must be forgotten (5.3.11).</returns>
    public bool UpdateRoot(ReadOnlyMemory<byte> bytes)
    {
        if (Timestamp is not null)
            throw new InvalidOperationException("The root is updated before the timestamp.");
        var next = MetadataFile.ReadRoot(bytes);
        next.RequireSignedFor(Root.Signed); // 5.3.4 (1)
        next.RequireSignedFor(next.Signed); // 5.3.4 (2)
        if (next.Signed.Version != Root.Signed.Version + 1) // 5.3.5
            throw new UntrustedMetadataException(
                TopLevelRole.Root, next.Signed.Version <= Root.Signed.Version ? Distrust.Rollback : Distrust.WrongVersion,
                $"it is version {next.Signed.Version}", $"version {Root.Signed.Version + 1} follows the trusted one");

        var rotated = Revokes(Root.Signed, next.Signed);
        Root = next; // 5.3.7; its expiry is checked when no newer one is there (5.3.6)
        return rotated;
    }

    /// <summary>Whether a newer root takes keys of timestamp or snapshot away (5.3.11).</summary>
    public static bool Revokes(Root older, Root newer)
    {
        foreach (var role in (string[])[TopLevelRole.Timestamp, TopLevelRole.Snapshot])
        {
            if (older.Roles[role].KeyIds.Except(newer.Roles[role].KeyIds, StringComparer.Ordinal).Any())
                return true;
        }
        return false;
    }

    /// <summary>Takes up a timestamp that an earlier update stored, as the floor for the next one. It may have expired.</summary>
    /// <exception cref="UntrustedMetadataException">It is damaged, or the root's present keys did not sign it; then forget it.</exception>
    public void LoadTimestamp(ReadOnlyMemory<byte> stored)
    {
        var timestamp = MetadataFile.ReadTimestamp(stored);
        timestamp.RequireSignedFor(Root.Signed);
        Timestamp = timestamp;
    }

    /// <summary>Takes a timestamp from the repository (5.4.2 to 5.4.4).</summary>
    /// <returns>False when it has the version that is trusted already: it is dropped, and nothing else can have changed.</returns>
    public bool UpdateTimestamp(ReadOnlyMemory<byte> bytes)
    {
        if (Snapshot is not null)
            throw new InvalidOperationException("The timestamp is updated before the snapshot.");
        RequireFresh(TopLevelRole.Root, Root.Signed); // 5.3.10

        var next = MetadataFile.ReadTimestamp(bytes);
        next.RequireSignedFor(Root.Signed); // 5.4.2
        if (Timestamp?.Signed is { } trusted)
        {
            if (next.Signed.Version < trusted.Version) // 5.4.3.1
                throw Rollback(TopLevelRole.Timestamp, "it is version", next.Signed.Version, trusted.Version);
            if (next.Signed.Version == trusted.Version)
            {
                RequireFresh(TopLevelRole.Timestamp, trusted);
                return false;
            }
            if (next.Signed.Snapshot.Version < trusted.Snapshot.Version) // 5.4.3.2
                throw Rollback(TopLevelRole.Timestamp, "it names snapshot version", next.Signed.Snapshot.Version, trusted.Snapshot.Version);
        }
        RequireFresh(TopLevelRole.Timestamp, next.Signed); // 5.4.4
        Timestamp = next;
        return true;
    }

    /// <summary>Takes up a snapshot that an earlier update stored: as the final one, or as the floor for the next one.</summary>
    /// <returns>Whether it is the one that the timestamp names, so that none need be fetched.</returns>
    /// <exception cref="UntrustedMetadataException">It is damaged, or the root's present keys did not sign it; then forget it.</exception>
    public bool LoadSnapshot(ReadOnlyMemory<byte> stored)
    {
        var named = RequireTimestamp();
        var snapshot = MetadataFile.ReadSnapshot(stored);
        snapshot.RequireSignedFor(Root.Signed);
        Snapshot = snapshot;
        // The digests are not asked for: it was held against them when it came, and the timestamp may be newer than it.
        _snapshotIsFinal = snapshot.Signed.Version == named.Version && !snapshot.Signed.HasExpired(_now - _offlineGrace);
        return _snapshotIsFinal;
    }

    /// <summary>Takes a snapshot from the repository (5.5.2 to 5.5.6).</summary>
    public void UpdateSnapshot(ReadOnlyMemory<byte> bytes)
    {
        if (Targets is not null)
            throw new InvalidOperationException("The snapshot is updated before the targets.");
        var named = RequireTimestamp();
        RequireMatch(TopLevelRole.Snapshot, named, bytes.Span); // 5.5.2
        var next = MetadataFile.ReadSnapshot(bytes);
        next.RequireSignedFor(Root.Signed); // 5.5.3
        RequireVersion(TopLevelRole.Snapshot, next.Signed, named); // 5.5.4
        if (Snapshot?.Signed is { } trusted) // 5.5.5
        {
            foreach (var (name, file) in trusted.Files)
            {
                if (!next.Signed.Files.TryGetValue(name, out var nextFile))
                    throw new UntrustedMetadataException(
                        TopLevelRole.Snapshot, Distrust.NotInSnapshot, $"version {next.Signed.Version} no longer lists '{UntrustedMetadataException.Shown(name)}'",
                        "a file once listed stays listed");
                if (nextFile.Version < file.Version)
                    throw Rollback(TopLevelRole.Snapshot, $"it names '{UntrustedMetadataException.Shown(name)}' version", nextFile.Version, file.Version);
            }
        }
        RequireFresh(TopLevelRole.Snapshot, next.Signed); // 5.5.6
        Snapshot = next;
        _snapshotIsFinal = true;
    }

    /// <summary>Takes the metadata of a targets role, stored or from the repository (5.6.2 to 5.6.5).</summary>
    /// <param name="bytes">The file.</param>
    /// <param name="role"><c>targets</c>, or a delegated role.</param>
    /// <param name="delegator">Who delegates to it: <c>root</c> for <c>targets</c>, else a targets role in the set.</param>
    public MetadataFile<Targets> UpdateTargets(
        ReadOnlyMemory<byte> bytes, string role = TopLevelRole.Targets, string delegator = TopLevelRole.Root)
    {
        var named = NamedInSnapshot(role);
        RequireMatch(role, named, bytes.Span); // 5.6.2
        var next = MetadataFile.ReadTargets(bytes, role);
        next.RequireSignedFor(Delegator(delegator)); // 5.6.3
        RequireVersion(role, next.Signed, named); // 5.6.4
        RequireFresh(role, next.Signed); // 5.6.5
        _targets[role] = next;
        _verified.Add((role, delegator));
        return next;
    }

    /// <summary>A targets role of the set, if it is there, held against this delegator's keys even when another's let it in.</summary>
    /// <exception cref="UntrustedMetadataException">It is there, but this delegator's keys did not sign it.</exception>
    public bool TryGetTargets(string role, string delegator, [NotNullWhen(true)] out MetadataFile<Targets>? targets)
    {
        if (!_targets.TryGetValue(role, out targets))
            return false;
        if (!_verified.Contains((role, delegator)))
        {
            targets.RequireSignedFor(Delegator(delegator));
            _verified.Add((role, delegator));
        }
        return true;
    }

    /// <summary>What the snapshot says of a targets role: which version to fetch, and how long it is.</summary>
    /// <exception cref="UntrustedMetadataException">The snapshot does not list it, or is not final.</exception>
    public MetaFile NamedInSnapshot(string role)
    {
        if (Snapshot is null || !_snapshotIsFinal)
            throw new InvalidOperationException("Targets are loaded after the snapshot.");
        return Snapshot.Signed.Of(role) ?? throw new UntrustedMetadataException(
            role, Distrust.NotInSnapshot, $"snapshot version {Snapshot.Signed.Version} does not list it", "a role is used only with the snapshot");
    }

    IDelegator Delegator(string name) => name == TopLevelRole.Root
        ? Root.Signed
        : _targets.TryGetValue(name, out var targets)
            ? targets.Signed
            : throw new InvalidOperationException($"The delegator '{name}' is loaded before the roles it delegates to.");

    MetaFile RequireTimestamp()
    {
        var timestamp = Timestamp?.Signed ?? throw new InvalidOperationException("The snapshot is loaded after the timestamp.");
        RequireFresh(TopLevelRole.Root, Root.Signed);
        RequireFresh(TopLevelRole.Timestamp, timestamp);
        return timestamp.Snapshot;
    }

    void RequireFresh(string role, RoleMetadata metadata)
    {
        if (metadata.HasExpired(role is TopLevelRole.Timestamp or TopLevelRole.Snapshot ? _now - _offlineGrace : _now))
            throw new UntrustedMetadataException(
                role, Distrust.Expired, $"version {metadata.Version} expired at {MetadataTime.Write(metadata.Expires)}",
                $"it is {MetadataTime.Write(_now)}; the repository must sign it again, or this clock is wrong");
    }

    static void RequireMatch(string role, MetaFile named, ReadOnlySpan<byte> bytes)
    {
        if (named.Length is { } length && bytes.Length != length)
            throw new UntrustedMetadataException(role, Distrust.WrongLength, $"it has {bytes.Length} bytes", $"the role above says {length}");
        if (named.Hashes is { } hashes && !hashes.Match(bytes))
            throw new UntrustedMetadataException(
                role, Distrust.WrongHash, $"its SHA-256 is {Sha256Digest.Of(bytes)}",
                $"the role above says {hashes.Prefix ?? "digests of algorithms not known here"}");
    }

    static void RequireVersion(string role, RoleMetadata metadata, MetaFile named)
    {
        if (metadata.Version != named.Version)
            throw new UntrustedMetadataException(
                role, Distrust.WrongVersion, $"it is version {metadata.Version}", $"the role above says {named.Version}");
    }

    static UntrustedMetadataException Rollback(string role, string what, long found, long trusted) =>
        new(role, Distrust.Rollback, $"{what} {found}", $"{trusted} or later is wanted, which was trusted before");
}
