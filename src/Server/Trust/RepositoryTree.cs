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
/// <param name="online">The keys for timestamp, snapshot and rollouts; none for who only reads and stores blobs.</param>
/// <param name="lifetimes">How long metadata is trusted; left out, the defaults.</param>
public sealed partial class RepositoryTree(ITreeFiles files, OnlineKeys online, RepositoryLifetimes? lifetimes = null)
{
    static readonly TimeSpan LeftoverAge = TimeSpan.FromDays(1);

    readonly RepositoryLifetimes _lifetimes = lifetimes ?? new RepositoryLifetimes();

    /// <summary>A tree that one key signs for.</summary>
    public RepositoryTree(ITreeFiles files, SigningKey online, RepositoryLifetimes? lifetimes = null) : this(files, OnlineKeys.Of(online), lifetimes)
    {
    }

    /// <summary>A tree in a folder of this machine.</summary>
    public static RepositoryTree OpenFolder(string folder, SigningKey online, RepositoryLifetimes? lifetimes = null) =>
        OpenFolder(folder, OnlineKeys.Of(online), lifetimes);

    /// <summary>A tree in a folder of this machine.</summary>
    public static RepositoryTree OpenFolder(string folder, OnlineKeys online, RepositoryLifetimes? lifetimes = null) =>
        new(new TreeFolder(folder), online, lifetimes);

    /// <summary>Whether the repository has been made.</summary>
    public bool IsInitialised => files.Length(RepositoryLayout.MetadataFileName(TopLevelRole.Timestamp, null)) is not null;

    /// <summary>Makes the repository: root, targets with both delegations, and empty releases and rollouts.</summary>
    /// <returns>The root file: what devices are given to trust the repository by.</returns>
    /// <exception cref="RepositoryConflictException">There is a repository already.</exception>
    public ReadOnlyMemory<byte> Initialise(RepositoryKeys keys, DateTimeOffset now)
    {
        PublicKey[] onlineKeys = [keys.Online.Public];
        var releaseKeys = keys.Releases.Select(key => key.Public).ToArray();
        var root = new RootDraft(null)
            .SetRole(TopLevelRole.Root, keys.RootThreshold, [.. keys.Root.Select(key => key.Public)])
            .SetRole(TopLevelRole.Targets, 1, keys.Targets.Public)
            .SetRole(TopLevelRole.Snapshot, 1, onlineKeys)
            .SetRole(TopLevelRole.Timestamp, 1, onlineKeys)
            .Sign(now + _lifetimes.Root, [.. keys.Root]);
        var targets = new TargetsDraft(null)
            .Delegate(RepositoryLayout.ReleasesRole, [RepositoryLayout.ReleasesPattern], terminating: true, 1, releaseKeys)
            .Delegate(RepositoryLayout.RolloutsRole, [RepositoryLayout.RolloutsPattern], terminating: true, 1, onlineKeys)
            .Sign(now + _lifetimes.Targets, keys.Targets);
        var releases = new TargetsDraft(null).Sign(now + _lifetimes.Releases, keys.Releases[0]);
        Initialise([new(TopLevelRole.Root, root), new(TopLevelRole.Targets, targets), new(RepositoryLayout.ReleasesRole, releases)], now);
        return root;
    }

    /// <summary>Makes the repository from what offline keys signed: root, targets, and every role that signs releases.</summary>
    /// <param name="metadata">Role and metadata file; version 1 of each.</param>
    /// <param name="now">The time of publishing.</param>
    /// <exception cref="RepositoryConflictException">There is a repository already, or a role is missing.</exception>
    /// <exception cref="UntrustedMetadataException">A file is malformed, expired or not signed as it must be.</exception>
    public void Initialise(IReadOnlyList<KeyValuePair<string, ReadOnlyMemory<byte>>> metadata, DateTimeOffset now)
    {
        using var writing = files.LockForWriting();
        if (IsInitialised)
            throw new RepositoryConflictException(TopLevelRole.Root, "the tree holds a repository already; take an empty folder, or change this one.");
        Publish(null, Change.Of(metadata, now));
        writing.Complete();
    }

    /// <summary>The metadata of the role <c>releases</c>, from which a publisher prepares the next (<see cref="ReleaseSigning"/>).</summary>
    public ReadOnlyMemory<byte> CurrentReleases() => CurrentRole(RepositoryLayout.ReleasesRole).Bytes;

    /// <summary>The newest root, from which a key ceremony prepares the next.</summary>
    public ReadOnlyMemory<byte> CurrentRoot() => Current().Root.Bytes;

    /// <summary>The top-level targets of now.</summary>
    public ReadOnlyMemory<byte> CurrentTargets() => Current().Targets.Bytes;

    /// <summary>The present metadata of a role that the targets delegate to.</summary>
    /// <exception cref="RepositoryConflictException">They do not.</exception>
    public MetadataFile<Targets> CurrentRole(string role) => Current().Roles.TryGetValue(role, out var file)
        ? file
        : throw new RepositoryConflictException(role, "the targets do not delegate to it.");

    /// <summary>Root, targets and every role that signs releases, as published: what a key ceremony starts from.</summary>
    public ImmutableArray<KeyValuePair<string, ReadOnlyMemory<byte>>> CurrentOffline()
    {
        var current = Current();
        return
        [
            new(TopLevelRole.Root, current.Root.Bytes), new(TopLevelRole.Targets, current.Targets.Bytes),
            .. current.RoleNames.Where(RepositoryLayout.IsReleaseRole).Select(role => new KeyValuePair<string, ReadOnlyMemory<byte>>(role, current.Roles[role].Bytes)),
        ];
    }

    /// <summary>The last published metadata of a role, also of a team that is delegated to no more; null when there never was any.</summary>
    public MetadataFile<Targets>? LastOf(string role) => Current().LastOf(files, role);

    /// <summary>The role whose keys sign a target: <c>releases</c>, a team's, or <c>rollouts</c>; null when none is delegated to.</summary>
    public string? RoleFor(string targetPath) => Current().RoleFor(targetPath);

    /// <summary>Every release that devices find, by target path, whichever role signed it.</summary>
    public IReadOnlyDictionary<string, TargetInfo> PublishedReleases() => Current().Releases();

    /// <summary>Publishes a release that its publisher has signed.</summary>
    /// <inheritdoc cref="AddReleases"/>
    /// <param name="manifest">The manifest of the one release that the metadata adds.</param>
    /// <param name="metadata">The next metadata of the role, signed by the publisher.</param>
    /// <param name="now">The time of publishing.</param>
    /// <param name="role">The role, from <see cref="RoleFor"/>.</param>
    public long AddRelease(ReadOnlyMemory<byte> manifest, ReadOnlyMemory<byte> metadata, DateTimeOffset now, string role = RepositoryLayout.ReleasesRole) =>
        AddReleases([manifest], metadata, now, role);

    /// <summary>Publishes releases that their publisher has signed, in one new snapshot.</summary>
    /// <param name="manifests">The manifests of all releases that the metadata adds, in any order.</param>
    /// <param name="metadata">The next metadata of the role, signed by the publisher.</param>
    /// <param name="now">The time of publishing.</param>
    /// <param name="role">The role, from <see cref="RoleFor"/>.</param>
    /// <returns>The version of the role that is published now. Repeating a publish is harmless.</returns>
    /// <exception cref="RepositoryConflictException">Somebody published in between (fetch, prepare and sign again), the
    /// metadata changes or drops what is published, or a release is delegated to another role.</exception>
    /// <exception cref="UntrustedMetadataException">The metadata is not signed by the role's keys, malformed or expired.</exception>
    /// <exception cref="ArgumentException">The manifests given are not those that the metadata adds.</exception>
    public long AddReleases(
        IReadOnlyList<ReadOnlyMemory<byte>> manifests, ReadOnlyMemory<byte> metadata, DateTimeOffset now, string role = RepositoryLayout.ReleasesRole)
    {
        if (!RepositoryLayout.IsReleaseRole(role))
            throw new RepositoryConflictException(role, "it signs no releases.");
        var change = Change.Of([new(role, metadata)], now) with { Manifests = manifests };
        using var writing = files.LockForWriting();
        var current = Current();
        if (current.Roles.TryGetValue(role, out var present) && metadata.Span.SequenceEqual(present.Bytes.Span))
            return present.Signed.Version;
        Publish(current, change);
        writing.Complete();
        return change.Roles[role].Signed.Version;
    }

    /// <summary>Publishes what offline keys signed: the next root, targets, roles that sign releases, or several that only fit together.</summary>
    /// <param name="metadata">Role and metadata file. What is published already changes nothing.</param>
    /// <param name="manifests">The manifests of all releases that it adds.</param>
    /// <param name="now">The time of publishing.</param>
    /// <returns>Whether anything was published.</returns>
    /// <exception cref="RepositoryConflictException">It does not follow the present versions, drops or changes a release, or gives a role a power it must not have.</exception>
    /// <exception cref="UntrustedMetadataException">A file is malformed, expired or not signed as it must be, or an online key is missing.</exception>
    /// <exception cref="ArgumentException">The manifests given are not those that are added.</exception>
    public bool Apply(IReadOnlyList<KeyValuePair<string, ReadOnlyMemory<byte>>> metadata, IReadOnlyList<ReadOnlyMemory<byte>> manifests, DateTimeOffset now)
    {
        using var writing = files.LockForWriting();
        var current = Current();
        var news = metadata.Where(given => !given.Value.Span.SequenceEqual(PublishedBytes(current, given.Key).Span)).ToArray();
        if (news.Length == 0)
            return false;
        Publish(current, Change.Of(news, now) with { Manifests = manifests });
        writing.Complete();
        return true;
    }

    static ReadOnlyMemory<byte> PublishedBytes(RepositoryState current, string role) => role switch
    {
        TopLevelRole.Root => current.Root.Bytes,
        TopLevelRole.Targets => current.Targets.Bytes,
        _ => current.Roles.GetValueOrDefault(role)?.Bytes ?? default,
    };

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
        PutPlans(Current(), plans, now);
        writing.Complete();
    }

    /// <summary>Publishes a plan in place of the one that its maker has seen: who was overtaken by another server learns of it, and publishes nothing.</summary>
    /// <param name="targetPath">From <see cref="RepositoryLayout.PlanTarget"/>.</param>
    /// <param name="plan">The plan's bytes.</param>
    /// <param name="seen">The plan that was there when this one was made; null for none.</param>
    /// <param name="now">The time of publishing.</param>
    /// <returns>False when another plan is there than was seen.</returns>
    public bool TrySetPlan(string targetPath, ReadOnlyMemory<byte> plan, ReadOnlyMemory<byte>? seen, DateTimeOffset now)
    {
        using var writing = files.LockForWriting();
        var current = Current();
        var there = current.Rollouts.Signed.Files.GetValueOrDefault(targetPath);
        if (there is null != seen is null || (there is not null && !new TargetInfo(targetPath, seen!.Value.Span).SaysTheSameAs(there)))
            return false;
        PutPlans(current, [new(targetPath, plan)], now);
        writing.Complete();
        return true;
    }

    void PutPlans(RepositoryState current, IReadOnlyList<KeyValuePair<string, ReadOnlyMemory<byte>>> plans, DateTimeOffset now)
    {
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
    /// <exception cref="UntrustedMetadataException">It does not follow the present root, or no online key fits it.</exception>
    public void AddRoot(ReadOnlyMemory<byte> root, DateTimeOffset now) => Apply([new(TopLevelRole.Root, root)], [], now);

    /// <summary>Publishes the next top-level targets: other delegations or a later expiry. Signed by the targets keys.</summary>
    /// <inheritdoc cref="Apply"/>
    public void AddTargets(ReadOnlyMemory<byte> targets, DateTimeOffset now) => Apply([new(TopLevelRole.Targets, targets)], [], now);

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
        writing.Complete();
        return true;
    }

    /// <summary>Signs timestamp, snapshot and rollouts under versions beyond any that clients can have seen of a state that was lost, once.</summary>
    /// <param name="version">The least version of all three.</param>
    /// <param name="leastNext">For roles that offline keys sign, the least version of their next metadata: told in the snapshot to who prepares it.</param>
    /// <param name="now">The time of publishing.</param>
    /// <returns>Whether anything was signed.</returns>
    public bool GoPast(long version, IReadOnlyDictionary<string, long> leastNext, DateTimeOffset now)
    {
        using var writing = files.LockForWriting();
        var current = Current();
        if (current.Timestamp.Signed.Version >= version)
            return false;
        Publish(current, new Change(now) { Rollouts = new TargetsDraft(current.Rollouts.Signed, version), Least = version, LeastNext = leastNext });
        writing.Complete();
        return true;
    }

    /// <summary>The least version of the next metadata of roles that offline keys sign, as the snapshot says; see <see cref="Snapshot.LeastNext"/>.</summary>
    public ImmutableDictionary<string, long> LeastNext => Current().Snapshot.Signed.LeastNext;

    /// <summary>Versions, expiries and keys of every role, and what somebody should do about them.</summary>
    public RepositoryStatus Status(DateTimeOffset now) => RepositoryStatus.Of(Current(), _lifetimes, now);

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

    /// <summary>The static grants of content keys.</summary>
    public Sealing.GrantFiles Grants => new(files);

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
    /// <param name="from">What it is applied to, in its order; none for one that stands alone. Of sealed files, the plaintext.</param>
    /// <param name="to">What it makes.</param>
    /// <param name="below">Nothing is stored when it has this many bytes or more.</param>
    /// <param name="make">Writes it.</param>
    /// <returns>Its bytes; null when it was not stored.</returns>
    public long? PutPatch(ImmutableArray<BlobName> from, BlobName to, long below, Action<Stream> make)
    {
        var entry = new PatchEntry(from, 1);
        var path = entry.File(to.Digest);
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
        var others = (PatchesTo(to.Digest)?.Patches ?? []).Where(other => other.File(to.Digest) != path);
        WriteIndex(new(PatchIndex.CurrentSchema, to, [.. others.Append(entry).OrderBy(patch => patch.Length).Take(PatchIndex.MaxPatches)]));
        writing.Complete();
        return entry.Length;
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
        writing.Complete();
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
        if (Current().Find(targetPath) is not { } target || RepositoryState.ReadFile(files, TargetFile(target)) is not { } bytes)
            return null;
        return bytes;
    }

    RepositoryState Current() => RepositoryState.Read(files)
        ?? throw new InvalidOperationException("The tree holds no repository yet; initialise it with its keys first.");

    /// <summary>Whether the bytes under a name stay: it holds a version or a digest of them. In <c>metadata/</c> only the timestamp does not, in <c>grants/</c> none, and an index of patches
    /// changes as they come and go.</summary>
    internal static bool NeverChanges(string path)
    {
        if (path.StartsWith("grants/", StringComparison.Ordinal) || path.StartsWith(RepositoryLayout.PatchIndexFolder + "/", StringComparison.Ordinal))
            return false;
        var name = path[(path.LastIndexOf('/') + 1)..];
        return path.StartsWith("metadata/", StringComparison.Ordinal)
            ? name.IndexOf('.', StringComparison.Ordinal) is > 0 and var dot && name.AsSpan(0, dot).IndexOfAnyExceptInRange('0', '9') < 0
            : !path.StartsWith("targets/", StringComparison.Ordinal) || (name.Length > Sha256Digest.HexLength && Sha256Digest.TryParse(name.AsSpan(0, Sha256Digest.HexLength), out _));
    }

    internal static string TargetFile(TargetInfo target) => "targets/" + target.StoredPath(consistentSnapshot: true);
}
