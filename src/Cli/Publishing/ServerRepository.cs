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
    readonly string? keys;
    readonly TimeProvider time;

    ServerRepository(Uri server, string token, string? keys, TimeProvider time)
    {
        http = new(ServerRoots.Handler()) { BaseAddress = server, Timeout = Timeout.InfiniteTimeSpan };
        control = new(http, token);
        (this.keys, this.time) = (keys, time);
    }

    /// <param name="server">Its address.</param>
    /// <param name="token">The operator's token.</param>
    /// <param name="keys">Release keys, to sign here; null to ask others to sign.</param>
    /// <param name="time">The clock.</param>
    public static ServerRepository Open(Uri server, string token, string? keys, TimeProvider time) =>
        new(server.AbsolutePath.EndsWith('/') ? server : new(server + "/"), token, keys, time);

    public async Task<ReleaseManifest?> LatestAsync(ModelName model, CancellationToken cancel)
    {
        var published = await PublishedAsync(cancel);
        var releases = await published.RoleForAsync(RepositoryLayout.ReleaseTarget(model.ToString(), "0.0.0"), cancel);
        ReleaseManifest? latest = null;
        var prefix = $"releases/{model}/";
        foreach (var path in releases.Signed.Files.Keys.Where(path => path.StartsWith(prefix, StringComparison.Ordinal)))
        {
            // The path tells the version; only the highest manifest is fetched.
            if (SemanticVersion.TryParse(path[prefix.Length..^".json".Length], out var version) && (latest is null || version > latest.Version)
                && await ManifestAsync(published.Client, path, cancel) is { } manifest)
                latest = manifest;
        }

        return latest;
    }

    public async Task<PublishedRelease?> FindAsync(ModelName model, SemanticVersion version, CancellationToken cancel)
    {
        var client = (await PublishedAsync(cancel)).Client;
        if (await client.GetTargetAsync(RepositoryLayout.ReleaseTarget(model.ToString(), version.ToString()), cancel) is not { } target)
            return null;
        var bytes = await client.DownloadTargetAsync(target, ReleaseManifest.MaxBytes, cancel);
        return DocumentJson.TryRead(bytes.Span, out ReleaseManifest? manifest, out _) ? new(manifest, Sha256Digest.Of(bytes.Span)) : null;
    }

    public async Task<DsseEnvelope?> SignAsync(ModelName model, string payloadType, ReadOnlyMemory<byte> payload, CancellationToken cancel)
    {
        if (keys is null)
            return null;
        var published = await PublishedAsync(cancel);
        var releases = await published.RoleForAsync(RepositoryLayout.ReleaseTarget(model.ToString(), "0.0.0"), cancel);
        return KeyFiles.Attest(KeyFiles.OfRole(keys, releases.Role, published.Targets.Signed), payloadType, payload);
    }

    public Task<bool> MustSealAsync(ModelName model, CancellationToken cancel) => RefusingAsync(async () => await control.FindSealedModelAsync(model, cancel) is not null);

    public Task<SealingPublicKey?> KeeperAsync(CancellationToken cancel) => RefusingAsync(async () =>
        (await control.GetSealingAsync(cancel)).PublicKey is { } text
            ? SealingPublicKey.TryParse(text, out var key) ? key : throw new PublicationException($"{http.BaseAddress} gives a sealing key that cannot be read; it is of another version, or not a Coppice server.")
            : null);

    public Task KeepAsync(ModelName model, GrantFile keys, CancellationToken cancel) => RefusingAsync(async () =>
    {
        await control.PutKeysAsync(model, keys, cancel);
        return true;
    });

    public Task GrantAsync(GrantFile grants, CancellationToken cancel) => RefusingAsync(async () =>
    {
        await control.PutGrantsAsync(grants, cancel);
        return true;
    });

    public Task WithdrawAsync(Sha256Digest recipient, CancellationToken cancel) => RefusingAsync(async () =>
    {
        await control.WithdrawGrantsAsync(recipient, cancel);
        return true;
    });

    static async Task<ReleaseManifest?> ManifestAsync(TufClient client, string path, CancellationToken cancel)
    {
        var target = await client.GetTargetAsync(path, cancel);
        return target is not null && DocumentJson.TryRead((await client.DownloadTargetAsync(target, ReleaseManifest.MaxBytes, cancel)).Span, out ReleaseManifest? manifest, out _)
            ? manifest
            : null;
    }

    public Task<Publication> PublishAsync(
        ReleaseManifest manifest, byte[] bytes, ImmutableDictionary<Sha256Digest, FileContent> files, Func<ReleaseFile, ContentKey?> key, IProgress<long> progress, CancellationToken cancel) => RefusingAsync(async () =>
    {
        var publication = await PutFilesAsync(manifest, files, progress, cancel);
        return publication with { Warnings = await HandInAsync(manifest, bytes, cancel) };
    });

    public Task<SigningRequest> AskAsync(
        ReleaseManifest manifest, byte[] bytes, ImmutableDictionary<Sha256Digest, FileContent> files, IProgress<long> progress, CancellationToken cancel) => RefusingAsync(async () =>
    {
        await PutFilesAsync(manifest, files, progress, cancel);
        var published = await PublishedAsync(cancel);
        return KeyCeremony.Release(await published.OfflineAsync(cancel), PathOf(manifest), bytes, time.GetUtcNow(), published.LeastNext);
    });

    public Task<Publication> PublishSignedAsync(ReleaseManifest manifest, byte[] bytes, string role, ReadOnlyMemory<byte> metadata, CancellationToken cancel) => RefusingAsync(async () =>
    {
        await control.PublishAsync(manifest.Model, new(bytes, metadata.ToArray()), cancel);
        return new Publication(0, manifest.Files.Sum(file => file.StoredLength));
    });

    async Task<Publication> PutFilesAsync(ReleaseManifest manifest, ImmutableDictionary<Sha256Digest, FileContent> files, IProgress<long> progress, CancellationToken cancel)
    {
        var (sent, there) = (0L, 0L);
        foreach (var file in manifest.Blobs)
        {
            if (await control.HasBlobAsync(file.Digest, cancel))
            {
                there += file.Length;
            }
            else
            {
                await using var content = files[file.Digest].Open();
                await control.PutBlobAsync(file.Digest, content, file.Length, cancel);
                sent += file.Length;
            }

            progress.Report(sent + there);
        }

        return new(sent, there);
    }

    /// <summary>Two publishers may prepare the same next version; the one who is late signs again on top of the other.</summary>
    /// <returns>What somebody should do about the metadata.</returns>
    async Task<ImmutableArray<string>> HandInAsync(ReleaseManifest manifest, byte[] bytes, CancellationToken cancel)
    {
        const int tries = 5;
        var path = PathOf(manifest);
        var signers = ImmutableArray<SigningKey>.Empty;
        try
        {
            for (var attempt = 1; ; attempt++)
            {
                var published = await PublishedAsync(cancel);
                var releases = await published.RoleForAsync(path, cancel);
                if (signers.IsEmpty)
                    signers = KeyFiles.OfRole(keys!, releases.Role, published.Targets.Signed);
                if (published.Targets.Signed.KeysOf(releases.Role)!.Threshold > signers.Length)
                    throw new PublicationException($"'{releases.Role}' is signed by {published.Targets.Signed.KeysOf(releases.Role)!.Threshold} keys, and {signers.Length} of them is at hand; ask the others with: coppice publish … --request FILE");
                var now = time.GetUtcNow();
                try
                {
                    await control.PublishAsync(manifest.Model, new(bytes, ReleaseSigning.Prepare(releases, [new(path, bytes)], now, null, published.LeastNext.GetValueOrDefault(releases.Role, 1), signers.AsSpan())), cancel);
                    return [.. new[] { Warning(TopLevelRole.Root, published.Root.Signed, now), Warning(TopLevelRole.Targets, published.Targets.Signed, now) }.OfType<string>()];
                }
                catch (ControlException e) when (e.Type == "/problems/stale-metadata" && attempt < tries)
                {
                    // somebody else published in between
                }
            }
        }
        finally
        {
            foreach (var signer in signers)
                signer.Dispose();
        }
    }

    static string? Warning(string role, RoleMetadata metadata, DateTimeOffset now) =>
        ExpiryWarning.Of(role, metadata.Expires, KeyCeremony.Life, now, "have its next version signed: coppice root renew");

    async Task<PublishedMetadata> PublishedAsync(CancellationToken cancel) => await PublishedMetadata.FetchAsync(http, time.GetUtcNow(), cancel);

    static string PathOf(ReleaseManifest manifest) => RepositoryLayout.ReleaseTarget(manifest.Model.ToString(), manifest.Version.ToString());

    static async Task<T> RefusingAsync<T>(Func<Task<T>> work)
    {
        try
        {
            return await work();
        }
        catch (Exception e) when (e is ControlException or RepositoryConflictException)
        {
            throw new PublicationException(e.Message, e);
        }
    }

    public void Dispose()
    {
        control.Dispose();
        http.Dispose();
    }
}
