using System.Collections.Immutable;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Server.Patches;
using Coppice.Server.Trust;
using Coppice.Trust;

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
        ReleaseManifest manifest, byte[] bytes, ImmutableDictionary<Sha256Digest, FileContent> files, IProgress<long> progress, CancellationToken cancel)
    {
        var (sent, there) = (0L, 0L);
        foreach (var file in manifest.Files)
        {
            await using var content = files[file.Digest].Open();
            if (await tree.PutBlobAsync(content, file.Digest, file.Length, cancel))
                sent += file.Length;
            else
                there += file.Length;
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

        MakePatches(manifest, last, cancel);
        return new(sent, there);
    }

    void MakePatches(ReleaseManifest manifest, ReleaseManifest? last, CancellationToken cancel)
    {
        if (last is null)
            return;
        try
        {
            var maker = new PatchMaker(tree);
            foreach (var pair in PatchPairs.Of(manifest, last))
                maker.Make(pair, cancel);
        }
        catch (IOException e)
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
