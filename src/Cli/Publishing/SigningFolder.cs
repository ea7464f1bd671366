using System.Collections.Immutable;
using Coppice.Protocol;
using Coppice.Server.Trust;
using Coppice.Trust;

namespace Coppice.Cli.Publishing;

/// <summary>A repository folder of this machine, in a key ceremony.</summary>
sealed class SigningFolder : ISigningRepository
{
    readonly OnlineKeys online;
    readonly RepositoryTree tree;
    readonly string folder;
    readonly TimeProvider time;

    public SigningFolder(string folder, string? keys, TimeProvider time)
    {
        (this.folder, this.time) = (folder, time);
        online = keys is null ? OnlineKeys.Of() : KeyFiles.Online(keys);
        tree = RepositoryTree.OpenFolder(folder, online);
    }

    public Task<ImmutableArray<KeyValuePair<string, ReadOnlyMemory<byte>>>> PresentAsync(CancellationToken cancel) =>
        Task.FromResult(tree.IsInitialised ? tree.CurrentOffline() : []);

    public Task<ImmutableDictionary<string, long>> LeastNextAsync(CancellationToken cancel) => Task.FromResult(tree.IsInitialised ? tree.LeastNext : []);

    public Task<Targets?> LastOfAsync(string role, CancellationToken cancel) => Task.FromResult(tree.IsInitialised ? tree.LastOf(role)?.Signed : null);

    public Task<RepositoryView> StatusAsync(CancellationToken cancel) => tree.IsInitialised
        ? Task.FromResult(tree.Status(time.GetUtcNow()).View())
        : throw new PublicationException($"{folder} is not a repository yet; make one with 'coppice root create' or 'coppice repository init'.");

    public Task<bool> ApplyAsync(SigningRequest request, CancellationToken cancel)
    {
        var now = time.GetUtcNow();
        if (!tree.IsInitialised)
        {
            tree.Initialise(request.Metadata, now);
            return Task.FromResult(true);
        }

        return Task.FromResult(tree.Apply(request.Metadata, [.. request.Manifests.Values], now));
    }

    public void Dispose() => online.Dispose();
}
