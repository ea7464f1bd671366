using System.Collections.Immutable;
using Coppice.Protocol;
using Coppice.Trust;

namespace Coppice.Cli.Publishing;

/// <summary>A repository as a key ceremony sees it: a folder, or a server.</summary>
interface ISigningRepository : IDisposable
{
    /// <summary>Root, targets and every role that signs releases, as published now; empty where there is no repository yet.</summary>
    /// <exception cref="PublicationException">It cannot be read, or is not to be trusted.</exception>
    Task<ImmutableArray<KeyValuePair<string, ReadOnlyMemory<byte>>>> PresentAsync(CancellationToken cancel);

    /// <summary>The least version of the next metadata of roles that offline keys sign, where the repository was restored from a backup; empty elsewhere.</summary>
    Task<ImmutableDictionary<string, long>> LeastNextAsync(CancellationToken cancel);

    /// <summary>The last metadata of a role, also of a team that was taken out; null when there never was any.</summary>
    Task<Targets?> LastOfAsync(string role, CancellationToken cancel);

    /// <summary>Versions, expiries, keys and warnings.</summary>
    Task<RepositoryView> StatusAsync(CancellationToken cancel);

    /// <summary>Publishes what a complete request holds; makes the repository where there is none.</summary>
    /// <returns>False when it was published already.</returns>
    /// <exception cref="PublicationException">The repository refuses; says why and what to do.</exception>
    Task<bool> ApplyAsync(SigningRequest request, CancellationToken cancel);
}
