using System.Collections.Immutable;
using Coppice.Agent.Link.Tuf;
using Coppice.Trust;

namespace Coppice.Cli.Publishing;

/// <summary>The metadata that a server publishes, proved from the root that this user saw there first.</summary>
sealed class PublishedMetadata
{
    readonly HttpClient http;
    readonly Uri repository;

    PublishedMetadata(HttpClient http, Uri repository, TufClient client) => (this.http, this.repository, Client) = (http, repository, client);

    /// <summary>Refreshed.</summary>
    public TufClient Client { get; }

    /// <summary>The trusted root.</summary>
    public MetadataFile<Root> Root => Client.Trusted!.Root;

    /// <summary>The trusted top-level targets.</summary>
    public MetadataFile<Targets> Targets => Client.Trusted!.Targets!;

    /// <summary>The least version of the next metadata of roles that offline keys sign: of a server that was restored.</summary>
    public ImmutableDictionary<string, long> LeastNext => Client.Trusted!.Snapshot!.Signed.LeastNext;

    /// <param name="http">With the server as its base address; stays the caller's.</param>
    /// <param name="now">The time by which expiry is judged.</param>
    /// <param name="cancel">Ends the call.</param>
    /// <exception cref="PublicationException">It cannot be read, or is not to be trusted.</exception>
    public static Task<PublishedMetadata> FetchAsync(HttpClient http, DateTimeOffset now, CancellationToken cancel)
    {
        var repository = new Uri(http.BaseAddress!, "repository/");
        return TrustingAsync(repository, async () =>
        {
            var root = await http.GetByteArrayAsync(new Uri(repository, "metadata/1.root.json"), cancel);
            KnownRoots.Check(http.BaseAddress!, Sha256Digest.Of(root));
            var store = new MemoryStore();
            store.Write(TopLevelRole.Root, root);
            var client = new TufClient(new HttpSource(http, repository), store);
            await client.RefreshAsync(now, cancel);
            return new PublishedMetadata(http, repository, client);
        });
    }

    /// <summary>The role that is delegated to for a release, and its metadata.</summary>
    public Task<MetadataFile<Targets>> RoleForAsync(string path, CancellationToken cancel) => TrustingAsync(repository, () => Client.GetDelegatedAsync(
        ReleaseIndex.RoleFor(Targets.Signed, path) ?? throw new PublicationException($"{repository} has no role that may sign '{path}'; it was not made by coppice."), cancel));

    /// <summary>Root, targets and every role that signs releases.</summary>
    public Task<ImmutableArray<KeyValuePair<string, ReadOnlyMemory<byte>>>> OfflineAsync(CancellationToken cancel) => TrustingAsync(repository, async () =>
    {
        var files = ImmutableArray.CreateBuilder<KeyValuePair<string, ReadOnlyMemory<byte>>>();
        files.Add(new(TopLevelRole.Root, Root.Bytes));
        files.Add(new(TopLevelRole.Targets, Targets.Bytes));
        foreach (var role in (Targets.Signed.Delegations?.Roles ?? []).Where(role => RepositoryLayout.IsReleaseRole(role.Name)))
            files.Add(new(role.Name, (await Client.GetDelegatedAsync(role.Name, cancel)).Bytes));
        return files.ToImmutable();
    });

    /// <summary>The last metadata of a role that need not be delegated to any more: as the signed snapshot names it.</summary>
    public Task<Targets?> LastOfAsync(string role, CancellationToken cancel) => TrustingAsync(repository, async () =>
    {
        if (Client.Trusted!.Snapshot!.Signed.Of(role) is not { } named)
            return null;
        var bytes = await http.GetByteArrayAsync(new Uri(repository, RepositoryLayout.MetadataFileName(role, named.Version)), cancel);
        return named.Hashes?.Match(bytes) == true
            ? MetadataFile.ReadTargets(bytes, role).Signed
            : throw new UntrustedMetadataException(role, Distrust.WrongHash, "it is not the file that the snapshot names", "restore the repository");
    });

    static async Task<T> TrustingAsync<T>(Uri repository, Func<Task<T>> read)
    {
        try
        {
            return await read();
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

    sealed class MemoryStore : IMetadataStore
    {
        readonly Dictionary<string, ReadOnlyMemory<byte>> files = [];

        public ReadOnlyMemory<byte>? Read(string role) => files.TryGetValue(role, out var bytes) ? bytes : (ReadOnlyMemory<byte>?)null; // a bare null would become empty memory

        public void Write(string role, ReadOnlyMemory<byte> bytes) => files[role] = bytes;

        public void Delete(string role) => files.Remove(role);
    }
}
