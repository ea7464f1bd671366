using Coppice.Server.Storage;
using Microsoft.EntityFrameworkCore;

namespace Coppice.Server.Idempotency;

sealed class IdempotencyStore(Database database)
{
    /// <summary>How long a key is remembered.</summary>
    public static readonly TimeSpan Life = TimeSpan.FromHours(24);

    /// <summary>Enters a request.</summary>
    /// <returns>Null when it is the first under its key; else the one before.</returns>
    public Task<IdempotencyRow?> BeginAsync(string subject, string key, string request, DateTimeOffset now, CancellationToken cancel) => database.WriteAsync(async db =>
    {
        var old = now - Life;
        await db.IdempotencyKeys.Where(row => row.At <= old).ExecuteDeleteAsync(cancel);
        if (await db.IdempotencyKeys.FindAsync([subject, key], cancel) is { } before)
            return before;
        db.IdempotencyKeys.Add(new() { Subject = subject, Key = key, Request = request, At = now });
        return null;
    }, cancel);

    /// <summary>Keeps the answer.</summary>
    public Task<bool> FinishAsync(string subject, string key, int status, string? contentType, string? location, byte[] body) => database.WriteAsync(async db =>
    {
        var row = await db.IdempotencyKeys.SingleAsync(row => row.Subject == subject && row.Key == key);
        (row.Status, row.ContentType, row.Location, row.Body) = (status, contentType, location, body);
        return true;
    }, CancellationToken.None);

    /// <summary>Forgets a request that changed nothing: it may be mended and sent under the same key.</summary>
    public Task<int> ForgetAsync(string subject, string key) => database.WriteAsync(
        db => db.IdempotencyKeys.Where(row => row.Subject == subject && row.Key == key).ExecuteDeleteAsync(), CancellationToken.None);
}
