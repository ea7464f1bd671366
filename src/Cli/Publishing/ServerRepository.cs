using System.Collections.Immutable;
using Coppice.Agent.Link.Tuf;
using Coppice.Client;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Trust;
using Coppice.Trust.Sealing;

namespace Coppice.Cli.Publishing;

/// <summary>A server: the release is signed here, and handed in over HTTP.</summary>
/// <remarks>What the server says it has published so far is believed only as far as its TUF metadata prove it, from a root remembered since the first visit.</remarks>
sealed class ServerRepository : IReleaseRepository
{
    readonly HttpClient http;
    readonly CoppiceClient control;
    readonly Uri server;
    readonly SigningKey release;
    readonly TimeProvider time;

    ServerRepository(Uri server, string token, SigningKey release, TimeProvider time)
    {
        http = new() { BaseAddress = server, Timeout = Timeout.InfiniteTimeSpan };
        control = new(http, token);
        (this.server, this.release, this.time) = (server, release, time);
    }

    /// <exception cref="PublicationException">The release key cannot be read.</exception>
    public static ServerRepository Open(Uri server, string token, string keys, TimeProvider time) =>
        new(server.AbsolutePath.EndsWith('/') ? server : new(server + "/"), token, KeyFiles.Release(keys), time);

    public async Task<ReleaseManifest?> LatestAsync(ModelName model, CancellationToken cancel)
    {
        var (client, releases) = await ReleasesAsync(cancel);
        ReleaseManifest? latest = null;
        var prefix = $"releases/{model}/";
        foreach (var path in releases.Signed.Files.Keys.Where(path => path.StartsWith(prefix, StringComparison.Ordinal)))
        {
            // The path tells the version; only the highest manifest is fetched.
            if (SemanticVersion.TryParse(path[prefix.Length..^".json".Length], out var version) && (latest is null || version > latest.Version)
                && await ManifestAsync(client, path, cancel) is { } manifest)
                latest = manifest;
        }

        return latest;
    }

    public async Task<PublishedRelease?> FindAsync(ModelName model, SemanticVersion version, CancellationToken cancel)
    {
        var (client, _) = await ReleasesAsync(cancel);
        if (await client.GetTargetAsync(RepositoryLayout.ReleaseTarget(model.ToString(), version.ToString()), cancel) is not { } target)
            return null;
        var bytes = await client.DownloadTargetAsync(target, ReleaseManifest.MaxBytes, cancel);
        return DocumentJson.TryRead(bytes.Span, out ReleaseManifest? manifest, out _) ? new(manifest, Sha256Digest.Of(bytes.Span)) : null;
    }

    public Task<bool> MustSealAsync(ModelName model, CancellationToken cancel) => AskAsync(async () => await control.FindSealedModelAsync(model, cancel) is not null);

    public Task<SealingPublicKey?> KeeperAsync(CancellationToken cancel) => AskAsync(async () =>
        (await control.GetSealingAsync(cancel)).PublicKey is { } text
            ? SealingPublicKey.TryParse(text, out var key) ? key : throw new PublicationException($"{server} gives a sealing key that cannot be read; it is of another version, or not a Coppice server.")
            : null);

    public Task KeepAsync(ModelName model, GrantFile keys, CancellationToken cancel) => AskAsync(async () =>
    {
        await control.PutKeysAsync(model, keys, cancel);
        return true;
    });

    public Task GrantAsync(GrantFile grants, CancellationToken cancel) => AskAsync(async () =>
    {
        await control.PutGrantsAsync(grants, cancel);
        return true;
    });

    public Task WithdrawAsync(Sha256Digest recipient, CancellationToken cancel) => AskAsync(async () =>
    {
        await control.WithdrawGrantsAsync(recipient, cancel);
        return true;
    });

    static async Task<T> AskAsync<T>(Func<Task<T>> ask)
    {
        try
        {
            return await ask();
        }
        catch (ControlException e)
        {
            throw new PublicationException(e.Message, e);
        }
    }

    static async Task<ReleaseManifest?> ManifestAsync(TufClient client, string path, CancellationToken cancel)
    {
        var target = await client.GetTargetAsync(path, cancel);
        return target is not null && DocumentJson.TryRead((await client.DownloadTargetAsync(target, ReleaseManifest.MaxBytes, cancel)).Span, out ReleaseManifest? manifest, out _)
            ? manifest
            : null;
    }

    public async Task<Publication> PublishAsync(
        ReleaseManifest manifest, byte[] bytes, ImmutableDictionary<Sha256Digest, FileContent> files, Func<ReleaseFile, ContentKey?> key, IProgress<long> progress, CancellationToken cancel)
    {
        try
        {
            var (sent, there) = (0L, 0L);
            foreach (var file in manifest.Files)
            {
                if (await control.HasBlobAsync(file.StoredDigest, cancel))
                {
                    there += file.StoredLength;
                }
                else
                {
                    await using var content = files[file.StoredDigest].Open();
                    await control.PutBlobAsync(file.StoredDigest, content, file.StoredLength, cancel);
                    sent += file.StoredLength;
                }

                progress.Report(sent + there);
            }

            await HandInAsync(manifest, bytes, cancel);
            return new(sent, there);
        }
        catch (ControlException e)
        {
            throw new PublicationException(e.Message, e);
        }
        catch (RepositoryConflictException e)
        {
            throw new PublicationException(e.Message, e);
        }
    }

    /// <summary>Two publishers may prepare the same next version; the one who is late signs again on top of the other.</summary>
    async Task HandInAsync(ReleaseManifest manifest, byte[] bytes, CancellationToken cancel)
    {
        const int tries = 5;
        for (var attempt = 1; ; attempt++)
        {
            var (_, releases) = await ReleasesAsync(cancel);
            var target = RepositoryLayout.ReleaseTarget(manifest.Model.ToString(), manifest.Version.ToString());
            try
            {
                await control.PublishAsync(manifest.Model, new(bytes, ReleaseSigning.Prepare(releases.Bytes, target, bytes, release, time.GetUtcNow())), cancel);
                return;
            }
            catch (ControlException e) when (e.Type == "/problems/stale-metadata" && attempt < tries)
            {
                // somebody else published in between
            }
        }
    }

    /// <summary>The releases metadata of now, proved from the remembered root.</summary>
    async Task<(TufClient Client, MetadataFile<Targets> Releases)> ReleasesAsync(CancellationToken cancel)
    {
        var repository = new Uri(server, "repository/");
        try
        {
            var root = await http.GetByteArrayAsync(new Uri(repository, "metadata/1.root.json"), cancel);
            KnownRoots.Check(server, Sha256Digest.Of(root));
            var store = new MemoryStore();
            store.Write(TopLevelRole.Root, root);
            var client = new TufClient(new HttpSource(http, repository), store);
            await client.RefreshAsync(time.GetUtcNow(), cancel);
            _ = await client.GetTargetAsync(RepositoryLayout.ReleaseTarget("coppice/none", "0.0.0"), cancel); // loads the role on its way
            return client.Trusted!.TryGetTargets(RepositoryLayout.ReleasesRole, TopLevelRole.Targets, out var releases)
                ? (client, releases)
                : throw new PublicationException($"{repository} has no role 'releases'; it was not made by coppice.");
        }
        catch (HttpRequestException e)
        {
            throw new PublicationException($"{repository} cannot be read ({e.Message}); check --repo, and that 'coppice serve' runs there.", e);
        }
        catch (UntrustedMetadataException e)
        {
            throw new PublicationException($"{repository} is not trusted: {e.Message}", e);
        }
    }

    public void Dispose()
    {
        control.Dispose();
        http.Dispose();
        release.Dispose();
    }

    sealed class MemoryStore : IMetadataStore
    {
        readonly Dictionary<string, ReadOnlyMemory<byte>> files = [];

        public ReadOnlyMemory<byte>? Read(string role) => files.TryGetValue(role, out var bytes) ? bytes : (ReadOnlyMemory<byte>?)null; // a bare null would become empty memory

        public void Write(string role, ReadOnlyMemory<byte> bytes) => files[role] = bytes;

        public void Delete(string role) => files.Remove(role);
    }
}
