using System.Buffers;
using System.Collections.Immutable;
using System.Security.Cryptography;
using Coppice.Delivery;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Trust;

namespace Coppice.Server.Trust;

/// <summary>The signed, static tree that devices read, and the only code that writes it. Layout: docs/formats/repository.md.</summary>
/// <remarks>
/// A publish writes the files that are new, then the snapshot, then the timestamp; only the timestamp is ever replaced.
/// Until it is, readers see the state before; what a dead writer left is not named by anything. Before anything is
/// written, the new state is held against the rules that a client follows. Writers wait for each other.
/// </remarks>
/// <param name="files">The disk.</param>
/// <param name="online">The key for timestamp, snapshot and rollouts.</param>
/// <param name="lifetimes">How long metadata is trusted; left out, the defaults.</param>
public sealed class RepositoryTree(ITreeFiles files, SigningKey online, RepositoryLifetimes? lifetimes = null)
{
    static readonly TimeSpan OfflineWarning = TimeSpan.FromDays(30);
    static readonly TimeSpan LeftoverAge = TimeSpan.FromDays(1);

    readonly RepositoryLifetimes _lifetimes = lifetimes ?? new RepositoryLifetimes();

    /// <summary>A tree in a folder of this machine.</summary>
    public static RepositoryTree OpenFolder(string folder, SigningKey online, RepositoryLifetimes? lifetimes = null) =>
        new(new TreeFolder(folder), online, lifetimes);

    /// <summary>Whether <see cref="Initialise"/> has been done.</summary>
    public bool IsInitialised => files.Length(RepositoryLayout.MetadataFileName(TopLevelRole.Timestamp, null)) is not null;

    /// <summary>Makes the repository: root, targets with both delegations, and empty releases and rollouts.</summary>
    /// <returns>The root file: what devices are given to trust the repository by.</returns>
    /// <exception cref="RepositoryConflictException">There is a repository already.</exception>
    public ReadOnlyMemory<byte> Initialise(RepositoryKeys keys, DateTimeOffset now)
    {
        using var writing = files.LockForWriting();
        if (IsInitialised)
            throw new RepositoryConflictException(TopLevelRole.Root, "the tree holds a repository already; take an empty folder, or change this one.");

        PublicKey[] onlineKeys = [keys.Online.Public];
        var releaseKeys = keys.Releases.Select(key => key.Public).ToArray();
        var root = MetadataFile.ReadRoot(new RootDraft(null)
            .SetRole(TopLevelRole.Root, keys.RootThreshold, [.. keys.Root.Select(key => key.Public)])
            .SetRole(TopLevelRole.Targets, 1, keys.Targets.Public)
            .SetRole(TopLevelRole.Snapshot, 1, onlineKeys)
            .SetRole(TopLevelRole.Timestamp, 1, onlineKeys)
            .Sign(now + _lifetimes.Root, [.. keys.Root]));
        var targets = MetadataFile.ReadTargets(new TargetsDraft(null)
            .Delegate(RepositoryLayout.ReleasesRole, [RepositoryLayout.ReleasesPattern], terminating: true, 1, releaseKeys)
            .Delegate(RepositoryLayout.RolloutsRole, [RepositoryLayout.RolloutsPattern], terminating: true, 1, onlineKeys)
            .Sign(now + _lifetimes.Targets, keys.Targets));
        var releases = MetadataFile.ReadTargets(
            new TargetsDraft(null).Sign(now + _lifetimes.Releases, keys.Releases[0]), RepositoryLayout.ReleasesRole);

        Publish(null, new Change(now) { Root = root, Targets = targets, Releases = releases, Rollouts = new TargetsDraft(null) });
        return root.Bytes;
    }

    /// <summary>The releases metadata of now, from which a publisher prepares the next (<see cref="ReleaseSigning"/>).</summary>
    public ReadOnlyMemory<byte> CurrentReleases() => Current().Releases.Bytes;

    /// <summary>The newest root, from which a key ceremony prepares the next.</summary>
    public ReadOnlyMemory<byte> CurrentRoot() => Current().Root.Bytes;

    /// <summary>The top-level targets of now.</summary>
    public ReadOnlyMemory<byte> CurrentTargets() => Current().Targets.Bytes;

    /// <summary>Publishes a release that its publisher has signed.</summary>
    /// <inheritdoc cref="AddReleases"/>
    /// <param name="manifest">The manifest of the one release that the metadata adds.</param>
    /// <param name="releasesMetadata">The next releases metadata, signed by the publisher.</param>
    /// <param name="now">The time of publishing.</param>
    public long AddRelease(ReadOnlyMemory<byte> manifest, ReadOnlyMemory<byte> releasesMetadata, DateTimeOffset now) =>
        AddReleases([manifest], releasesMetadata, now);

    /// <summary>Publishes releases that their publisher has signed, in one new snapshot.</summary>
    /// <param name="manifests">The manifests of all releases that the metadata adds, in any order.</param>
    /// <param name="releasesMetadata">The next releases metadata, signed by the publisher.</param>
    /// <param name="now">The time of publishing.</param>
    /// <returns>The version of the releases metadata that is published now. Repeating a publish is harmless.</returns>
    /// <exception cref="RepositoryConflictException">Somebody published in between (fetch, prepare and sign again), or the
    /// metadata changes or drops what is published.</exception>
    /// <exception cref="UntrustedMetadataException">The metadata is not signed by a release key, malformed or expired.</exception>
    /// <exception cref="ArgumentException">The manifests given are not those that the metadata adds.</exception>
    public long AddReleases(IReadOnlyList<ReadOnlyMemory<byte>> manifests, ReadOnlyMemory<byte> releasesMetadata, DateTimeOffset now)
    {
        var next = MetadataFile.ReadTargets(releasesMetadata, RepositoryLayout.ReleasesRole);
        using var writing = files.LockForWriting();
        var current = Current();
        if (next.Bytes.Span.SequenceEqual(current.Releases.Bytes.Span))
            return next.Signed.Version;
        next.RequireSignedFor(current.Targets.Signed);
        var added = AddedReleases.Check(current.Releases.Signed, next.Signed, manifests);
        Publish(current, new Change(now) { Releases = next, Files = added });
        return next.Signed.Version;
    }

    /// <summary>Publishes a plan, over an older one at the same path.</summary>
    /// <param name="targetPath">From <see cref="RepositoryLayout.PlanTarget"/>.</param>
    /// <param name="plan">The plan's bytes.</param>
    /// <param name="now">The time of publishing.</param>
    public void SetPlan(string targetPath, ReadOnlyMemory<byte> plan, DateTimeOffset now) => SetPlans([new(targetPath, plan)], now);

    /// <summary>Publishes plans in one new snapshot. Plans that say what is published already change nothing.</summary>
    /// <param name="plans">Target paths and bytes; empty bytes take the plan away.</param>
    /// <param name="now">The time of publishing.</param>
    public void SetPlans(IReadOnlyList<KeyValuePair<string, ReadOnlyMemory<byte>>> plans, DateTimeOffset now)
    {
        using var writing = files.LockForWriting();
        var current = Current();
        var draft = new TargetsDraft(current.Rollouts.Signed);
        var written = ImmutableArray.CreateBuilder<(string, ReadOnlyMemory<byte>)>();
        var changed = false;
        foreach (var (path, plan) in plans)
        {
            if (!RepositoryLayout.IsPlanTarget(path))
                throw new ArgumentException($"'{path}' is no path of a plan; name it 'rollouts/owner/name/plan.json'.", nameof(plans));
            if (plan.IsEmpty)
            {
                changed |= draft.Remove(path);
                continue;
            }
            var target = new TargetInfo(path, plan.Span);
            if (current.Rollouts.Signed.Files.TryGetValue(path, out var published) && target.SaysTheSameAs(published))
                continue;
            draft.Put(target);
            written.Add((TargetFile(target), plan));
            changed = true;
        }
        if (changed)
            Publish(current, new Change(now) { Rollouts = draft, Files = written.ToImmutable() });
    }

    /// <summary>Publishes the next root: other keys, another threshold, a later expiry. Signed by the old and the new root keys.</summary>
    /// <exception cref="UntrustedMetadataException">It does not follow the present root, or the online key does not fit it.</exception>
    public void AddRoot(ReadOnlyMemory<byte> root, DateTimeOffset now)
    {
        using var writing = files.LockForWriting();
        var current = Current();
        if (!root.Span.SequenceEqual(current.Root.Bytes.Span))
            Publish(current, new Change(now) { Root = MetadataFile.ReadRoot(root) });
    }

    /// <summary>Publishes the next top-level targets: other delegations or a later expiry. Signed by the targets key.</summary>
    /// <param name="targets">The next version.</param>
    /// <param name="now">The time of publishing.</param>
    /// <param name="releases">The next releases metadata, where the delegation to it changes its keys; otherwise left out.</param>
    /// <exception cref="UntrustedMetadataException">It is not signed by the targets key, or what it delegates to no longer fits.</exception>
    /// <exception cref="RepositoryConflictException">It does not follow the present version.</exception>
    public void AddTargets(ReadOnlyMemory<byte> targets, DateTimeOffset now, ReadOnlyMemory<byte> releases = default)
    {
        using var writing = files.LockForWriting();
        var current = Current();
        var next = MetadataFile.ReadTargets(targets);
        if (next.Bytes.Span.SequenceEqual(current.Targets.Bytes.Span))
            return;
        if (next.Signed.Version != current.Targets.Signed.Version + 1)
            throw new RepositoryConflictException(
                TopLevelRole.Targets, $"version {next.Signed.Version} does not follow {current.Targets.Signed.Version}; make the next version from the present one.");
        var nextReleases = releases.IsEmpty ? null : MetadataFile.ReadTargets(releases, RepositoryLayout.ReleasesRole);
        if (nextReleases is not null)
            AddedReleases.Check(current.Releases.Signed, nextReleases.Signed, []);
        Publish(current, new Change(now)
        {
            Targets = next,
            Releases = nextReleases,
            // The online key may be another from now on.
            Rollouts = IsSignedFor(current.Rollouts, next.Signed) ? null : new TargetsDraft(current.Rollouts.Signed),
        });
    }

    /// <summary>Signs timestamp, snapshot and rollouts again when less than half of their lifetime is left. Call it every hour or so.</summary>
    /// <returns>Whether anything was signed.</returns>
    public bool RefreshExpiry(DateTimeOffset now)
    {
        using var writing = files.LockForWriting();
        files.RemoveLeftovers(now - LeftoverAge);
        var current = Current();
        var rollouts = IsHalfGone(current.Rollouts.Signed, _lifetimes.Rollouts, now);
        // A root that a dead writer left without its timestamp may ask for other keys.
        var signed = IsSignedFor(current.Snapshot, current.Root.Signed) && IsSignedFor(current.Timestamp, current.Root.Signed);
        var snapshot = rollouts || !signed || IsHalfGone(current.Snapshot.Signed, _lifetimes.Snapshot, now);
        if (!snapshot && !IsHalfGone(current.Timestamp.Signed, _lifetimes.Timestamp, now))
            return false;
        Publish(current, new Change(now)
        {
            Rollouts = rollouts ? new TargetsDraft(current.Rollouts.Signed) : null,
            KeepSnapshot = !snapshot,
        });
        return true;
    }

    /// <summary>Versions and expiries, and what somebody should do about them.</summary>
    public RepositoryStatus Status(DateTimeOffset now)
    {
        var current = Current();
        ImmutableArray<RoleStatus> roles =
        [
            Of(TopLevelRole.Root, current.Root.Signed, online: false),
            Of(TopLevelRole.Targets, current.Targets.Signed, online: false),
            Of(RepositoryLayout.ReleasesRole, current.Releases.Signed, online: false),
            Of(RepositoryLayout.RolloutsRole, current.Rollouts.Signed, online: true),
            Of(TopLevelRole.Snapshot, current.Snapshot.Signed, online: true),
            Of(TopLevelRole.Timestamp, current.Timestamp.Signed, online: true),
        ];
        var warnings = ImmutableArray.CreateBuilder<string>();
        foreach (var role in roles)
        {
            var who = role.Online ? "let the server run, it signs it by itself" : "sign its next version with its offline key";
            if (role.Expires <= now)
                warnings.Add($"'{role.Role}' expired at {role.Expires:u}, and devices refuse it; {who}.");
            else if (!role.Online && role.Expires - now < OfflineWarning)
                warnings.Add($"'{role.Role}' expires at {role.Expires:u}; {who}.");
        }
        return new RepositoryStatus(roles, warnings.ToImmutable());

        static RoleStatus Of(string role, RoleMetadata metadata, bool online) => new(role, metadata.Version, metadata.Expires, online);
    }

    /// <summary>Stores a blob under its digest.</summary>
    /// <param name="content">Its bytes; read to the end, unless the blob is here already.</param>
    /// <param name="digest">The SHA-256 it must have.</param>
    /// <param name="length">The length it must have; no byte beyond it is stored.</param>
    /// <param name="cancel">Ends the call; nothing is stored.</param>
    /// <returns>False when the blob was here already.</returns>
    /// <exception cref="InvalidDataException">The bytes have another digest or length; nothing is stored.</exception>
    public async Task<bool> PutBlobAsync(Stream content, Sha256Digest digest, long length, CancellationToken cancel)
    {
        var path = RepositoryLayout.BlobFile(digest);
        if (files.Length(path) == length)
            return false;
        using var file = files.Create(path);
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var buffer = ArrayPool<byte>.Shared.Rent(256 * 1024);
        try
        {
            long written = 0;
            while (await content.ReadAsync(buffer, cancel) is var read and > 0)
            {
                written += read;
                if (written > length)
                    throw new InvalidDataException($"The blob has more than the {length} bytes announced; send exactly those.");
                hash.AppendData(buffer.AsSpan(0, read));
                await file.Content.WriteAsync(buffer.AsMemory(0, read), cancel);
            }
            if (written != length)
                throw new InvalidDataException($"The blob ended after {written} of {length} bytes; send it again.");
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
        var found = new Sha256Digest(hash.GetHashAndReset());
        if (found != digest)
            throw new InvalidDataException($"The blob's SHA-256 is {found}, not {digest}; send the file that was announced.");
        file.Commit();
        return true;
    }

    /// <summary>Opens a blob to be read, with its length; null when it is not here.</summary>
    public Stream? OpenBlob(Sha256Digest digest) => files.Open(RepositoryLayout.BlobFile(digest));

    /// <summary>Bytes in a blob; null when it is not here.</summary>
    public long? BlobLength(Sha256Digest digest) => files.Length(RepositoryLayout.BlobFile(digest));

    /// <summary>Which patches make a blob, as devices read it, without those whose file is gone; null when there are none.</summary>
    public PatchIndex? PatchesTo(Sha256Digest to)
    {
        var path = RepositoryLayout.PatchIndexFile(to);
        if (files.Length(path) is not (> 0 and <= PatchIndex.MaxBytes) || RepositoryState.ReadFile(files, path) is not { } bytes)
            return null;
        return DocumentJson.TryRead(bytes, out PatchIndex? index, out _) // a damaged one is written anew with the next patch
            ? index with { Patches = [.. index.Patches.Where(entry => files.Length(entry.File(to)) == entry.Length)] }
            : null;
    }

    /// <summary>Bytes in a patch that devices find; null when there is none.</summary>
    /// <param name="from">The blobs it is applied to, in their order; none for one that stands alone.</param>
    /// <param name="to">The blob it makes.</param>
    public long? PatchLength(ReadOnlySpan<Sha256Digest> from, Sha256Digest to)
    {
        var file = RepositoryLayout.PatchFile(from, to);
        return PatchesTo(to)?.Patches.FirstOrDefault(entry => entry.File(to) == file)?.Length;
    }

    /// <summary>Stores a patch, if it turns out small enough, and lets devices find it. It is not signed: devices compare what it makes with the signed digest.</summary>
    /// <param name="from">The blobs it is applied to, in their order; none for one that stands alone.</param>
    /// <param name="to">The blob it makes.</param>
    /// <param name="below">Nothing is stored when it has this many bytes or more.</param>
    /// <param name="make">Writes it.</param>
    /// <returns>Its bytes; null when it was not stored.</returns>
    /// <exception cref="FileNotFoundException">One of the blobs is not here.</exception>
    public long? PutPatch(ImmutableArray<Sha256Digest> from, Sha256Digest to, long below, Action<Stream> make)
    {
        var entry = new PatchEntry([.. from.Select(Name)], 1);
        var target = Name(to);
        var path = entry.File(to);
        if (files.Length(path) is null) // else a writer died before it was listed
        {
            using var file = files.Create(path);
            make(file.Content);
            if (file.Content.Length >= below)
                return null;
            file.Commit();
        }

        entry = entry with { Length = files.Length(path) ?? throw new FileNotFoundException($"{path} is gone.") };
        using var writing = files.LockForWriting();
        var others = (PatchesTo(to)?.Patches ?? []).Where(other => other.File(to) != path);
        WriteIndex(new(PatchIndex.CurrentSchema, target, [.. others.Append(entry).OrderBy(patch => patch.Length).Take(PatchIndex.MaxPatches)]));
        return entry.Length;

        BlobName Name(Sha256Digest digest) => new(digest, BlobLength(digest) ?? throw new FileNotFoundException($"The repository has no blob {digest}."));
    }

    /// <summary>Takes patches away: first from the index, so that nobody begins with them, then from the disk.</summary>
    /// <returns>How many.</returns>
    public int RemovePatches(Sha256Digest to, Func<PatchEntry, bool> which)
    {
        using var writing = files.LockForWriting();
        if (PatchesTo(to) is not { } index || index.Patches.Where(which).ToList() is not { Count: > 0 } gone)
            return 0;
        WriteIndex(index with { Patches = index.Patches.RemoveRange(gone) });
        foreach (var entry in gone)
            files.Delete(entry.File(to));
        return gone.Count;
    }

    /// <summary>The blobs that have patches.</summary>
    public IEnumerable<Sha256Digest> Patched()
    {
        foreach (var name in files.List(RepositoryLayout.PatchIndexFolder))
        {
            if (Sha256Digest.TryParse(Path.GetFileNameWithoutExtension(name), out var digest))
                yield return digest;
        }
    }

    void WriteIndex(PatchIndex index)
    {
        if (index.Patches.IsEmpty)
            files.Delete(RepositoryLayout.PatchIndexFile(index.To.Digest));
        else
            Write(RepositoryLayout.PatchIndexFile(index.To.Digest), DocumentJson.Write(index));
    }

    /// <summary>A published target: a manifest or a plan, as <see cref="AddReleases"/> or <see cref="SetPlans"/> put it; null when there is none.</summary>
    public ReadOnlyMemory<byte>? ReadTarget(string targetPath)
    {
        var current = Current();
        if (!current.Releases.Signed.Files.TryGetValue(targetPath, out var target)
            && !current.Rollouts.Signed.Files.TryGetValue(targetPath, out target))
            return null;
        if (RepositoryState.ReadFile(files, TargetFile(target)) is not { } bytes)
            return null;
        return bytes;
    }

    RepositoryState Current() => RepositoryState.Read(files)
        ?? throw new InvalidOperationException("The tree holds no repository yet; initialise it with its keys first.");

    // What a publish replaces; the rest stays. Online roles come as drafts, offline ones signed.
    sealed record Change(DateTimeOffset Now)
    {
        public MetadataFile<Root>? Root { get; init; }
        public MetadataFile<Targets>? Targets { get; init; }
        public MetadataFile<Targets>? Releases { get; init; }
        public TargetsDraft? Rollouts { get; init; }
        public ImmutableArray<(string Path, ReadOnlyMemory<byte> Bytes)> Files { get; init; } = [];
        public bool KeepSnapshot { get; init; }
    }

    void Publish(RepositoryState? current, Change change)
    {
        var now = change.Now;
        var targets = change.Targets ?? current!.Targets;
        var releases = change.Releases ?? current!.Releases;
        var rollouts = change.Rollouts is { } draft
            ? MetadataFile.ReadTargets(draft.Sign(now + _lifetimes.Rollouts, online), RepositoryLayout.RolloutsRole)
            : current!.Rollouts;
        var snapshot = change.KeepSnapshot
            ? current!.Snapshot
            : MetadataFile.ReadSnapshot(new SnapshotDraft(current?.Snapshot.Signed).Put(targets).Put(releases).Put(rollouts)
                .Sign(now + _lifetimes.Snapshot, online));
        var timestamp = MetadataFile.ReadTimestamp(
            new TimestampDraft(current?.Timestamp.Signed).Put(snapshot).Sign(now + _lifetimes.Timestamp, online));
        var next = new RepositoryState(change.Root ?? current!.Root, targets, releases, rollouts, snapshot, timestamp);
        RequireAcceptable(current, next, now);

        foreach (var (path, bytes) in change.Files)
            Write(path, bytes);
        WriteIfNew(current?.Targets, next.Targets);
        WriteIfNew(current?.Releases, next.Releases);
        WriteIfNew(current?.Rollouts, next.Rollouts);
        WriteIfNew(current?.Root, next.Root);
        WriteIfNew(current?.Snapshot, next.Snapshot);
        Write(RepositoryLayout.MetadataFileName(TopLevelRole.Timestamp, null), timestamp.Bytes);
    }

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
        if (next.Targets == current?.Targets && next.Releases == current.Releases && next.Rollouts == current.Rollouts)
            return;
        client.UpdateTargets(next.Targets.Bytes);
        foreach (var (role, before) in new[] { (next.Releases, current?.Releases), (next.Rollouts, current?.Rollouts) })
        {
            // A role that this publish leaves alone may have expired: that is for its own signer to mend, and Status says so.
            if (role == before)
                role.RequireSignedFor(next.Targets.Signed);
            else
                client.UpdateTargets(role.Bytes, role.Role, TopLevelRole.Targets);
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

    internal static string TargetFile(TargetInfo target) => "targets/" + target.StoredPath(consistentSnapshot: true);
}
