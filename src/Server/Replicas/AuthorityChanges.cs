using Coppice.Server.Identity;
using Coppice.Server.Storage;

namespace Coppice.Server.Replicas;

/// <summary>Changes the authorities so that every server on the database has the same.</summary>
sealed class AuthorityChanges(Authorities authorities, Database database, DataFolder data, ClusterKeys? keys = null)
{
    public Task<T> MakeAsync<T>(Func<Authorities, T> change, CancellationToken cancel) => keys is null
        ? Task.FromResult(change(authorities))
        : keys.ChangeAsync(database, data, () =>
        {
            authorities.LookAgain(); // another server's may have come just now
            return change(authorities);
        }, cancel);
}
