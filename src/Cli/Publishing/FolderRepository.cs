using System.Collections.Immutable;
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
    readonly SigningKey online;
    readonly SigningKey release;
    readonly TimeProvider time;

    FolderRepository(RepositoryTree tree, SigningKey online, SigningKey release, TimeProvider time) =>
        (this.tree, this.online, this.release, this.time) = (tree, online, release, time);

    /// <exception cref="PublicationException">The folder is no repository, or a key is missing.</exception>
    public static FolderRepository Open(string folder, string keys, TimeProvider time)
    {
        var online = KeyFiles.Online(keys);
        var release = KeyFiles.Release(keys);
        var tree = RepositoryTree.OpenFolder(folder, online);
        return tree.IsInitialised
            ? new(tree, online, release, time)
            : throw new PublicationException($"{folder} is not a repository; make one with: coppice repository init {folder} --keys {keys}");
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

    public async Task<Publication> PublishAsync(
        ReleaseManifest manifest, byte[] bytes, ImmutableDictionary<Sha256Digest, FileContent> files, Func<ReleaseFile, ContentKey?> key, IProgress<long> progress, CancellationToken cancel)
    {
        var (sent, there) = (0L, 0L);
        foreach (var file in manifest.Files)
        {
            await using var content = files[file.StoredDigest].Open();
            if (await tree.PutBlobAsync(content, file.StoredDigest, file.StoredLength, cancel))
                sent += file.StoredLength;
            else
                there += file.StoredLength;
            progress.Report(sent + there);
        }

        var last = await LatestAsync(manifest.Model, cancel);
        try
        {
            var now = time.GetUtcNow();
            var target = RepositoryLayout.ReleaseTarget(manifest.Model.ToString(), manifest.Version.ToString());
            tree.AddRelease(bytes, ReleaseSigning.Prepare(tree.CurrentReleases(), target, bytes, release, now), now);
        }
        catch (Exception e) when (e is RepositoryConflictException or UntrustedMetadataException)
        {
            throw new PublicationException(e.Message, e);
        }

        MakePatches(manifest, last, key, cancel);
        return new(sent, there);
    }

    public Task<PublishedRelease?> FindAsync(ModelName model, SemanticVersion version, CancellationToken cancel) =>
        Task.FromResult(tree.ReadTarget(RepositoryLayout.ReleaseTarget(model.ToString(), version.ToString())) is { } bytes
            && DocumentJson.TryRead(bytes.Span, out ReleaseManifest? manifest, out _)
                ? new PublishedRelease(manifest, Sha256Digest.Of(bytes.Span))
                : null);

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
        if (last is null)
            return;
        try
        {
            var maker = new PatchMaker(tree);
            foreach (var pair in PatchPairs.Of(manifest, last))
                maker.Make(pair, name => new[] { pair.To, pair.From }.FirstOrDefault(file => file.Sealed?.Key == name) is { } file ? key(file) : null, cancel);
        }
        catch (Exception e) when (e is IOException or BrokenSealException)
        {
            throw new PublicationException($"{manifest.Model} {manifest.Version} is published, but a patch from {last.Version} could not be stored: {e.Message} Devices fetch whole files.", e);
        }
    }

    public void Dispose()
    {
        online.Dispose();
        release.Dispose();
    }
}
