using System.Collections.Immutable;
using Coppice.Trust;

namespace Coppice.Server.Trust;

// From one state to the next: checked as a client would, then written, the timestamp last.
public sealed partial class RepositoryTree
{
    // What a publish replaces; the rest stays. Online roles come as drafts, offline ones signed.
    sealed record Change(DateTimeOffset Now)
    {
        public MetadataFile<Root>? Root { get; init; }
        public MetadataFile<Targets>? Targets { get; init; }
        public ImmutableDictionary<string, MetadataFile<Targets>> Roles { get; init; } = ImmutableDictionary<string, MetadataFile<Targets>>.Empty;
        public TargetsDraft? Rollouts { get; init; }
        public IReadOnlyList<ReadOnlyMemory<byte>> Manifests { get; init; } = [];
        public ImmutableArray<(string Path, ReadOnlyMemory<byte> Bytes)> Files { get; init; } = [];
        public bool KeepSnapshot { get; init; }

        /// <summary>The least version of snapshot and timestamp.</summary>
        public long Least { get; init; } = 1;
        public IReadOnlyDictionary<string, long> LeastNext { get; init; } = ImmutableDictionary<string, long>.Empty;

        public bool IsOffline => Root is not null || Targets is not null || Roles.Count > 0;

        public static Change Of(IReadOnlyList<KeyValuePair<string, ReadOnlyMemory<byte>>> metadata, DateTimeOffset now)
        {
            var change = new Change(now);
            foreach (var (role, bytes) in metadata)
            {
                change = role switch
                {
                    TopLevelRole.Root => change with { Root = MetadataFile.ReadRoot(bytes) },
                    TopLevelRole.Targets => change with { Targets = MetadataFile.ReadTargets(bytes) },
                    _ when RepositoryLayout.IsReleaseRole(role) => change with { Roles = change.Roles.SetItem(role, MetadataFile.ReadTargets(bytes, role)) },
                    _ => throw new RepositoryConflictException(role, "offline keys do not sign it; give root, targets, releases or a team's role."),
                };
            }
            return change;
        }
    }

    void Publish(RepositoryState? current, Change change)
    {
        var now = change.Now;
        var root = change.Root ?? current?.Root ?? throw Missing(TopLevelRole.Root);
        var targets = change.Targets ?? current?.Targets ?? throw Missing(TopLevelRole.Targets);
        if (change.Root is not null || change.Targets is not null)
        {
            if (SplitOfPower.Check(root.Signed, targets.Signed) is { IsEmpty: false } problems)
                throw new RepositoryConflictException(change.Targets is null ? TopLevelRole.Root : TopLevelRole.Targets, string.Join("; ", problems) + ".");
        }
        var roles = Roles(current, change, targets);
        var snapshot = change.KeepSnapshot
            ? current!.Snapshot
            : MetadataFile.ReadSnapshot(change.LeastNext.Aggregate(roles.Values.Aggregate(new SnapshotDraft(current?.Snapshot.Signed, change.Least).Put(targets), (draft, role) => draft.Put(role)), (draft, role) => draft.SetLeastNext(role.Key, role.Value))
                .Sign(now + _lifetimes.Snapshot, online.For(root.Signed, TopLevelRole.Snapshot)));
        var timestamp = MetadataFile.ReadTimestamp(
            new TimestampDraft(current?.Timestamp.Signed, change.Least).Put(snapshot).Sign(now + _lifetimes.Timestamp, online.For(root.Signed, TopLevelRole.Timestamp)));
        var next = new RepositoryState(root, targets, roles, snapshot, timestamp);
        var added = change.IsOffline
            ? AddedReleases.Check(current, next, role => current?.LastOf(files, role)?.Signed, change.Manifests)
            : [];
        RequireAcceptable(current, next, now);

        foreach (var (path, bytes) in change.Files.AddRange(added))
            Write(path, bytes);
        foreach (var (name, role) in roles)
            WriteIfNew(current?.Roles.GetValueOrDefault(name), role);
        WriteIfNew(current?.Targets, next.Targets);
        WriteIfNew(current?.Root, next.Root);
        WriteIfNew(current?.Snapshot, next.Snapshot);
        Write(RepositoryLayout.MetadataFileName(TopLevelRole.Timestamp, null), timestamp.Bytes);
    }

    // Every role that the next targets delegate to: as it came, as it was, or signed here.
    ImmutableDictionary<string, MetadataFile<Targets>> Roles(RepositoryState? current, Change change, MetadataFile<Targets> targets)
    {
        var names = targets.Signed.Delegations?.Roles.Select(role => role.Name).ToHashSet(StringComparer.Ordinal) ?? [];
        if (change.Roles.Keys.FirstOrDefault(role => !names.Contains(role)) is { } stray)
            throw new RepositoryConflictException(stray, "the targets do not delegate to it.");
        var roles = ImmutableDictionary.CreateBuilder<string, MetadataFile<Targets>>(StringComparer.Ordinal);
        foreach (var name in names)
        {
            if (name == RepositoryLayout.RolloutsRole)
            {
                var present = current?.Roles.GetValueOrDefault(name);
                // The online key may be another from now on.
                var draft = change.Rollouts ?? (present is not null && IsSignedFor(present, targets.Signed) ? null : new TargetsDraft(present?.Signed));
                roles[name] = draft is null
                    ? present!
                    : MetadataFile.ReadTargets(draft.Sign(change.Now + _lifetimes.Rollouts, online.For(targets.Signed, name)), name);
            }
            else
            {
                roles[name] = change.Roles.GetValueOrDefault(name) ?? current?.Roles.GetValueOrDefault(name) ?? throw Missing(name);
            }
        }
        return roles.ToImmutable();
    }

    static RepositoryConflictException Missing(string role) =>
        new(role, "its metadata is neither published nor given; have it signed and give it together with what needs it.");

    // Walks from the present state to the next as a client does that has the present one, and as a new client does.
    static void RequireAcceptable(RepositoryState? current, RepositoryState next, DateTimeOffset now)
    {
        var client = new TrustedMetadataSet((current ?? next).Root.Bytes, now);
        if (current is not null && next.Root != current.Root)
            client.UpdateRoot(next.Root.Bytes);
        client.UpdateTimestamp(next.Timestamp.Bytes);
        if (next.Snapshot == current?.Snapshot)
            client.LoadSnapshot(next.Snapshot.Bytes);
        else
            client.UpdateSnapshot(next.Snapshot.Bytes);
        if (next.Targets == current?.Targets && next.Roles.All(role => current.Roles.GetValueOrDefault(role.Key) == role.Value))
            return;
        client.UpdateTargets(next.Targets.Bytes);
        foreach (var (name, role) in next.Roles)
        {
            // A role that this publish leaves alone may have expired: that is for its own signer to mend, and Status says so.
            if (role == current?.Roles.GetValueOrDefault(name))
                role.RequireSignedFor(next.Targets.Signed);
            else
                client.UpdateTargets(role.Bytes, name, TopLevelRole.Targets);
        }
    }

    void WriteIfNew<TRole>(MetadataFile<TRole>? current, MetadataFile<TRole> next) where TRole : RoleMetadata
    {
        if (next != current)
            Write(RepositoryLayout.MetadataFileName(next.Role, next.Signed.Version), next.Bytes);
    }

    void Write(string path, ReadOnlyMemory<byte> bytes)
    {
        using var file = files.Create(path);
        file.Content.Write(bytes.Span);
        file.Commit();
    }

    static bool IsSignedFor<TRole>(MetadataFile<TRole> file, IDelegator delegator) where TRole : RoleMetadata =>
        delegator.KeysOf(file.Role) is { } keys && file.CountSigners(delegator, keys) >= keys.Threshold;

    static bool IsHalfGone(RoleMetadata metadata, TimeSpan lifetime, DateTimeOffset now) => metadata.Expires - now < lifetime / 2;
}
