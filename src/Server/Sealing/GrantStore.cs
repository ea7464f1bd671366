using Coppice.Protocol;
using Coppice.Server.Registry;
using Coppice.Server.Storage;
using Coppice.Trust;
using Coppice.Trust.Sealing;

namespace Coppice.Server.Sealing;

/// <summary>Grants that publishers made offline, in this server's repository.</summary>
sealed class GrantStore(Database database, Repository repository)
{
    /// <summary>Puts grants beside those that are there.</summary>
    /// <exception cref="ArgumentException">There would be too many.</exception>
    public async Task AddAsync(GrantFile grants, string by, DateTimeOffset now, CancellationToken cancel)
    {
        repository.Tree.Grants.Add(grants);
        await RecordAsync(EventKind.KeysGranted, $"{grants.Grants.Length} keys to {grants.Recipient}", by, now, cancel);
    }

    /// <summary>Leaves a public key no grants.</summary>
    public async Task WithdrawAsync(Sha256Digest recipient, string by, DateTimeOffset now, CancellationToken cancel)
    {
        repository.Tree.Grants.Withdraw(recipient);
        await RecordAsync(EventKind.KeysWithdrawn, $"all keys of {recipient}", by, now, cancel);
    }

    Task<bool> RecordAsync(EventKind kind, string why, string by, DateTimeOffset now, CancellationToken cancel) => database.WriteAsync(db =>
    {
        db.Events.Add(new() { At = now, Kind = kind, By = by, Why = why });
        return Task.FromResult(true);
    }, cancel);
}
