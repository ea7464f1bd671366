using System.Collections.Immutable;
using Coppice.Delivery;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Server.Patches;
using Coppice.Server.Trust;
using Coppice.Trust;
using Coppice.Trust.Sealing;

namespace Coppice.Cli.Publishing;

/// <summary>A repository in a folder of this machine: what a web server, a CDN or a USB stick will serve as it stands.</summary>
sealed class FolderRepository : IReleaseRepository
{
    readonly RepositoryTree tree;
    readonly OnlineKeys online;
    readonly string? keys;
    readonly TimeProvider time;

    FolderRepository(RepositoryTree tree, OnlineKeys online, string? keys, TimeProvider time) => (this.tree, this.online, this.keys, this.time) = (tree, online, keys, time);

    /// <param name="folder">The repository.</param>
    /// <param name="keys">Folder of the online keys and, to sign here, of release keys; null to ask others to sign.</param>
    /// <param name="time">The clock.</param>
    /// <exception cref="PublicationException">The folder is no repository, or a key cannot be read.</exception>
    public static FolderRepository Open(string folder, string? keys, TimeProvider time)
    {
        var online = keys is null ? OnlineKeys.Of() : KeyFiles.Online(keys);
        var tree = RepositoryTree.OpenFolder(folder, online);
        return tree.IsInitialised
            ? new(tree, online, keys, time)
            : throw new PublicationException($"{folder} is not a repository; make one with: coppice repository init {folder} --keys {keys ?? "FOLDER"}");
    }

    public Task<ReleaseManifest?> LatestAsync(ModelName model, CancellationToken cancel)
    {
        ReleaseManifest? latest = null;
        foreach (var path in tree.PublishedReleases().Keys)
        {
            if (path.StartsWith($"releases/{model}/", StringComparison.Ordinal) && tree.ReadTarget(path) is { } bytes
                && DocumentJson.TryRead(bytes.Span, out ReleaseManifest? manifest, out _) && (latest is null || manifest.Version > latest.Version))
                latest = manifest;
        }

        return Task.FromResult(latest);
    }

    public Task<PublishedRelease?> FindAsync(ModelName model, SemanticVersion version, CancellationToken cancel) =>
        Task.FromResult(tree.ReadTarget(RepositoryLayout.ReleaseTarget(model.ToString(), version.ToString())) is { } bytes
            && DocumentJson.TryRead(bytes.Span, out ReleaseManifest? manifest, out _)
                ? new PublishedRelease(manifest, Sha256Digest.Of(bytes.Span))
                : null);

    public Task<DsseEnvelope?> SignAsync(ModelName model, string payloadType, ReadOnlyMemory<byte> payload, CancellationToken cancel) => Task.FromResult(keys is null
        ? null
        : KeyFiles.Attest(
            KeyFiles.OfRole(keys, tree.RoleFor(RepositoryLayout.ReleaseTarget(model.ToString(), "0.0.0")) ?? RepositoryLayout.ReleasesRole, MetadataFile.ReadTargets(tree.CurrentTargets()).Signed),
            payloadType, payload));

    public async Task<Publication> PublishAsync(
        ReleaseManifest manifest, byte[] bytes, ImmutableDictionary<Sha256Digest, FileContent> files, Func<ReleaseFile, ContentKey?> key, IProgress<long> progress, CancellationToken cancel)
    {
        var publication = await PutFilesAsync(manifest, files, progress, cancel);
        var last = await LatestAsync(manifest.Model, cancel);
        var now = time.GetUtcNow();
        var path = PathOf(manifest);
        try
        {
            var role = tree.RoleFor(path) ?? RepositoryLayout.ReleasesRole;
            var signers = KeyFiles.OfRole(keys!, role, MetadataFile.ReadTargets(tree.CurrentTargets()).Signed);
            try
            {
                tree.AddRelease(bytes, ReleaseSigning.Prepare(tree.CurrentRole(role), [new(path, bytes)], now, null, tree.LeastNext.GetValueOrDefault(role, 1), signers.AsSpan()), now, role);
            }
            finally
            {
                foreach (var signer in signers)
                    signer.Dispose();
            }
        }
        catch (Exception e) when (e is RepositoryConflictException or UntrustedMetadataException)
        {
            throw Refused(e);
        }

        MakePatches(manifest, last, key, cancel);
        return publication with { Warnings = tree.Status(now).Warnings };
    }

    public async Task<SigningRequest> AskAsync(
        ReleaseManifest manifest, byte[] bytes, ImmutableDictionary<Sha256Digest, FileContent> files, IProgress<long> progress, CancellationToken cancel)
    {
        await PutFilesAsync(manifest, files, progress, cancel);
        return KeyCeremony.Release(tree.CurrentOffline(), PathOf(manifest), bytes, time.GetUtcNow());
    }

    public async Task<Publication> PublishSignedAsync(ReleaseManifest manifest, byte[] bytes, string role, ReadOnlyMemory<byte> metadata, CancellationToken cancel)
    {
        if (manifest.Blobs.FirstOrDefault(blob => tree.BlobLength(blob.Digest) != blob.Length) is { } missing)
            throw new PublicationException($"The repository lacks {manifest.Files.FirstOrDefault(file => file.StoredDigest == missing.Digest)?.Name ?? "a tensor map"} ({missing.Digest}); 'coppice publish --request' puts the files there, run it on this repository.");
        var last = await LatestAsync(manifest.Model, cancel);
        try
        {
            tree.AddRelease(bytes, metadata, time.GetUtcNow(), role);
        }
        catch (Exception e) when (e is RepositoryConflictException or UntrustedMetadataException or ArgumentException)
        {
            throw Refused(e);
        }

        MakePatches(manifest, last, _ => null, cancel);
        return new(0, manifest.Files.Sum(file => file.StoredLength)) { Warnings = tree.Status(time.GetUtcNow()).Warnings };
    }

    async Task<Publication> PutFilesAsync(ReleaseManifest manifest, ImmutableDictionary<Sha256Digest, FileContent> files, IProgress<long> progress, CancellationToken cancel)
    {
        var (sent, there) = (0L, 0L);
        foreach (var file in manifest.Blobs)
        {
            await using var content = files[file.Digest].Open();
            if (await tree.PutBlobAsync(content, file.Digest, file.Length, cancel))
                sent += file.Length;
            else
                there += file.Length;
            progress.Report(sent + there);
        }

        return new(sent, there);
    }

    public Task<bool> MustSealAsync(ModelName model, CancellationToken cancel) => Task.FromResult(false);

    public Task<SealingPublicKey?> KeeperAsync(CancellationToken cancel) => Task.FromResult<SealingPublicKey?>(null);

    public Task KeepAsync(ModelName model, GrantFile keys, CancellationToken cancel) => throw new PublicationException("A folder keeps no content keys; grant them with --seal-to.");

    public Task GrantAsync(GrantFile grants, CancellationToken cancel)
    {
        try
        {
            tree.Grants.Add(grants);
            return Task.CompletedTask;
        }
        catch (Exception e) when (e is ArgumentException or BrokenSealException)
        {
            throw new PublicationException(e.Message, e);
        }
    }

    public Task WithdrawAsync(Sha256Digest recipient, CancellationToken cancel)
    {
        tree.Grants.Withdraw(recipient);
        return Task.CompletedTask;
    }

    void MakePatches(ReleaseManifest manifest, ReleaseManifest? last, Func<ReleaseFile, ContentKey?> key, CancellationToken cancel)
    {
        var before = last?.Version == manifest.Version ? null : last;
        var demands = PatchPairs.Demands(manifest, 1).Concat(before is null ? [] : PatchPairs.Demands(manifest, before, 1)).ToList();
        var files = manifest.Files.Concat(before?.Files ?? []).ToList();
        var tried = ImmutableHashSet<string>.Empty;
        try
        {
            var maker = new PatchMaker(tree);
            while (PatchChoice.Wishes(demands, tree.PatchesTo, tried) is [var wish, ..])
            {
                cancel.ThrowIfCancellationRequested();
                maker.Make(wish, digest => files.FirstOrDefault(file => file.Digest == digest), name => files.FirstOrDefault(file => file.Sealed?.Key == name) is { } file ? key(file) : null, cancel);
                tried = tried.Add(wish.File);
            }
        }
        catch (Exception e) when (e is IOException or BrokenSealException)
        {
            throw new PublicationException($"{manifest.Model} {manifest.Version} is published, but its patches could not be stored: {e.Message} Devices fetch whole files.", e);
        }
    }

    static string PathOf(ReleaseManifest manifest) => RepositoryLayout.ReleaseTarget(manifest.Model.ToString(), manifest.Version.ToString());

    static PublicationException Refused(Exception e) => new(e is UntrustedMetadataException { Reason: Distrust.TooFewSignatures }
        ? $"{e.Message} Where several people sign a release, ask them with: coppice publish … --request FILE"
        : e.Message, e);

    public void Dispose() => online.Dispose();
}
