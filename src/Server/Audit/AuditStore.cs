using System.Collections.Immutable;
using Coppice.Audit;
using Coppice.Protocol;
using Coppice.Server.Storage;
using Microsoft.EntityFrameworkCore;

namespace Coppice.Server.Audit;

sealed class AuditStore(Database database, AuditKey key)
{
    /// <summary>A page of the log with the checkpoints about it.</summary>
    public Task<AuditPage> ListAsync(long after, int limit, CancellationToken cancel) => database.ReadAsync(async db =>
    {
        var rows = await db.Events.Where(row => row.Id >= after).OrderBy(row => row.Id).Take(limit + 1).ToListAsync(cancel);
        var previous = rows.Count > 0 && rows[0].Id == after ? rows[0].Hash : AuditChain.Start.ToString();
        var page = rows.Where(row => row.Id > after).Take(limit).ToList();
        var entries = ImmutableArray.CreateBuilder<AuditRecord>();
        foreach (var row in page)
        {
            entries.Add(AuditRecord.Of(row.Entry(), previous, row.Hash));
            previous = row.Hash;
        }

        var last = page.Count == 0 ? after : page[^1].Id;
        var checkpoints = await db.AuditCheckpoints.Where(row => row.Entry > after && row.Entry <= last).OrderBy(row => row.Entry).ToListAsync(cancel);
        return new AuditPage(entries.ToImmutable(), [.. checkpoints.Select(row => AuditCheckpointRecord.Of(row.Checkpoint()))], key.Public.Value, rows.Count > page.Count + (rows.Count > 0 && rows[0].Id == after ? 1 : 0) ? last : null);
    }, cancel);

    /// <summary>The newest checkpoint; null while there is none.</summary>
    public Task<AuditCheckpointRow?> NewestAsync(CancellationToken cancel) => database.ReadAsync(db => db.AuditCheckpoints.OrderByDescending(row => row.Entry).FirstOrDefaultAsync(cancel), cancel);

    /// <summary>Signs the present end of the log, if it has moved since it was signed last.</summary>
    /// <returns>The checkpoint about the present end; null for an empty log.</returns>
    public async Task<AuditCheckpointRow?> CheckpointAsync(DateTimeOffset now, CancellationToken cancel)
    {
        // The checkpoint first: another server may sign about an entry that is written in between.
        var (newest, end) = await database.ReadAsync(async db => (
            await db.AuditCheckpoints.OrderByDescending(row => row.Entry).FirstOrDefaultAsync(cancel),
            await db.Events.OrderByDescending(row => row.Id).Select(row => new { row.Id, row.Hash }).FirstOrDefaultAsync(cancel)), cancel);
        if (end is null || newest?.Entry == end.Id)
            return newest;
        if (newest?.Entry > end.Id)
            throw new InvalidDataException($"The audit log ends at entry {end.Id}, but a checkpoint was signed about entry {newest.Entry}: the end was cut off, or the database was restored in part. Nothing is signed until that is looked into.");
        return await database.WriteAsync(async db =>
        {
            if (await db.AuditCheckpoints.FindAsync([end.Id], cancel) is { } there)
                return there;
            var signed = AuditCheckpoint.Sign(end.Id, Coppice.Trust.Sha256Digest.Parse(end.Hash), now.ToUnixTimeMilliseconds(), key.Key);
            var row = new AuditCheckpointRow { Entry = end.Id, Hash = end.Hash, At = DateTimeOffset.FromUnixTimeMilliseconds(signed.At), Signature = signed.Signature.ToArray() };
            db.AuditCheckpoints.Add(row);
            return row;
        }, cancel);
    }

    /// <summary>Links entries that an older version wrote without hashes.</summary>
    public Task<int> LinkOlderAsync(CancellationToken cancel) => database.WriteAsync(async db =>
    {
        var before = await db.Events.AsNoTracking().Where(row => row.Hash != "").OrderByDescending(row => row.Id).FirstOrDefaultAsync(cancel);
        var unlinked = await db.Events.Where(row => row.Hash == "").OrderBy(row => row.Id).ToListAsync(cancel);
        if (unlinked.Count == 0)
            return 0;
        if (before is not null)
            throw new InvalidDataException($"Entry {unlinked[0].Id} of the audit log has no hash though entry {before.Id} has: it was put in from outside. Restore the database, or export the log and look into it.");
        var hash = AuditChain.Start;
        foreach (var row in unlinked)
        {
            hash = row.Entry().HashAfter(hash);
            row.Hash = hash.ToString();
        }

        return unlinked.Count;
    }, cancel);
}
