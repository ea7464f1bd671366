using System.Collections.Immutable;
using Coppice.Client;
using Coppice.Protocol;
using Coppice.Trust;

namespace Coppice.Cli.Publishing;

/// <summary>A server in a key ceremony. What it says is published is believed as far as its metadata prove it.</summary>
sealed class SigningServer(Uri server, string? token, TimeProvider time) : ISigningRepository
{
    readonly HttpClient http = new(ServerRoots.Handler()) { BaseAddress = server.AbsolutePath.EndsWith('/') ? server : new(server + "/"), Timeout = Timeout.InfiniteTimeSpan };

    public async Task<ImmutableArray<KeyValuePair<string, ReadOnlyMemory<byte>>>> PresentAsync(CancellationToken cancel)
    {
        var published = await PublishedMetadata.FetchAsync(http, time.GetUtcNow(), cancel);
        return await published.OfflineAsync(cancel);
    }

    public async Task<ImmutableDictionary<string, long>> LeastNextAsync(CancellationToken cancel) => (await PublishedMetadata.FetchAsync(http, time.GetUtcNow(), cancel)).LeastNext;

    public async Task<Targets?> LastOfAsync(string role, CancellationToken cancel)
    {
        var published = await PublishedMetadata.FetchAsync(http, time.GetUtcNow(), cancel);
        return await published.LastOfAsync(role, cancel);
    }

    public Task<RepositoryView> StatusAsync(CancellationToken cancel) => Control().GetRepositoryAsync(cancel);

    public async Task<bool> ApplyAsync(SigningRequest request, CancellationToken cancel)
    {
        if (request.Manifests.Count > 0)
            throw new PublicationException("The request publishes a release; hand it in with: coppice publish --signed FILE");
        var applied = await Control().ApplyMetadataAsync(new([.. request.Metadata.Select(file => new RoleMetadataFile(file.Key, file.Value.ToArray()))]), cancel);
        return applied.Changed;
    }

    CoppiceClient Control() => new(http, ServerOptions.Token(token));

    public void Dispose() => http.Dispose();
}
