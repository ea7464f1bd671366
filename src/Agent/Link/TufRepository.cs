using Coppice.Agent.Link.Tuf;
using Coppice.Agent.Storage;
using Coppice.Trust;

namespace Coppice.Agent.Link;

/// <summary>A repository as TUF metadata vouches for it.</summary>
/// <param name="source">Where it is.</param>
/// <param name="disk">Keeps trusted metadata.</param>
/// <param name="root">Digest of a version of the root to begin with; null when a root is trusted already.</param>
/// <param name="patience">How long any of its small files may take.</param>
/// <param name="time">Wall clock for expiry.</param>
/// <param name="offlineGrace">How long timestamp and snapshot are taken after they expired.</param>
public sealed class TufRepository(IMetadataSource source, IDisk disk, Sha256Digest? root, TimeSpan patience, TimeProvider time, TimeSpan offlineGrace = default) : ITrustedRepository, IDisposable
{
    /// <summary>Models that poll together share one look at the repository.</summary>
    static readonly TimeSpan Fresh = TimeSpan.FromSeconds(1);

    readonly SemaphoreSlim gate = new(1);
    readonly Dictionary<string, (TargetInfo Target, ReadOnlyMemory<byte> Bytes)> plans = [];
    readonly DiskMetadataStore store = new(disk);
    TufClient? client;
    long? refreshed;

    /// <summary>Who signs rollout plans, by what was trusted last; null before the first look.</summary>
    public RoleSigners? PlanSigners { get; private set; }

    /// <inheritdoc/>
    public Task RefreshAsync(CancellationToken cancel) => UseAsync<object?>(async token =>
    {
        if (refreshed is { } last && time.GetElapsedTime(last) < Fresh)
            return null;
        client ??= new TufClient(source, store, await AnchorAsync(token), offlineGrace: offlineGrace);
        if (await client.PollAsync(time.GetUtcNow(), token) || PlanSigners is null)
            PlanSigners = RoleSigners.Of(client.Trusted!.Targets!.Signed, RepositoryLayout.RolloutsRole);
        refreshed = time.GetTimestamp();
        return null;
    }, cancel);

    /// <inheritdoc/>
    public Task<ReadOnlyMemory<byte>?> FindAsync(string target, int most, CancellationToken cancel) => UseAsync<ReadOnlyMemory<byte>?>(async token =>
    {
        if (client is null)
            return null;
        var search = await client.SearchAsync(target, token);
        if (search.Found is not { } found)
            return null;
        SplitOfPower.RequireRightRole(client.Trusted!.Root.Signed, client.Trusted.Targets!.Signed, target, search.FoundIn!);
        if (plans.TryGetValue(target, out var known) && known.Target.SaysTheSameAs(found))
            return known.Bytes;
        var bytes = await client.DownloadTargetAsync(found, most, token);
        if (target.EndsWith("/plan.json", StringComparison.Ordinal)) // read at every poll
            plans[target] = (found, bytes);
        return bytes;
    }, cancel);

    /// <summary>The first root to trust: the one whose digest the operator gave, whatever version it is.</summary>
    async Task<ReadOnlyMemory<byte>> AnchorAsync(CancellationToken cancel)
    {
        if (root is not { } wanted || store.Read(TopLevelRole.Root) is not null)
            return default;
        return await RootAnchor.FindAsync(source, wanted, cancel)
            ?? throw new LinkException($"the repository has no root with the digest {wanted}; the join token or the address belongs to another repository.");
    }

    async Task<T> UseAsync<T>(Func<CancellationToken, Task<T>> use, CancellationToken cancel)
    {
        await gate.WaitAsync(cancel);
        using var late = new CancellationTokenSource(patience, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(late.Token, cancel);
        try
        {
            return await use(either.Token);
        }
        catch (OperationCanceledException e) when (!cancel.IsCancellationRequested)
        {
            throw new LinkException($"the repository did not answer within {patience.TotalSeconds:0.#} s.", e);
        }
        catch (UntrustedMetadataException e)
        {
            throw new LinkException($"the repository is not to be trusted as it is now: {e.Message}", e);
        }
        catch (HttpRequestException e)
        {
            throw new LinkException($"the repository was not reached: {e.Message}", e);
        }
        finally
        {
            gate.Release();
        }
    }

    /// <inheritdoc/>
    public void Dispose() => gate.Dispose();
}

/// <summary>Trusted metadata in the data folder.</summary>
/// <param name="disk">The data folder.</param>
public sealed class DiskMetadataStore(IDisk disk) : IMetadataStore
{
    const int MostBytes = 64 << 20;
    const int MostNameLength = 120;

    /// <inheritdoc/>
    public ReadOnlyMemory<byte>? Read(string role) => disk.ReadSmall(FileOf(role), MostBytes) is { } bytes ? bytes : (ReadOnlyMemory<byte>?)null; // a bare null would become empty memory

    /// <inheritdoc/>
    public void Write(string role, ReadOnlyMemory<byte> bytes)
    {
        disk.MakeFolder(DataFolder.Metadata);
        disk.Replace(FileOf(role), bytes.Span);
    }

    /// <inheritdoc/>
    public void Delete(string role)
    {
        disk.Delete(FileOf(role));
        disk.MakeFolder(DataFolder.Metadata);
        disk.SyncFolder(DataFolder.Metadata);
    }

    // Escaped, a role's name can neither leave the folder nor meet another's; a long one is named by its digest.
    static string FileOf(string role)
    {
        var name = Uri.EscapeDataString(role);
        return $"{DataFolder.Metadata}/{(name.Length > MostNameLength ? "%" + Sha256Digest.Of(System.Text.Encoding.UTF8.GetBytes(role)) : name)}.json";
    }
}
