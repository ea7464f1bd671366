using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;
using Coppice.Audit;
using Coppice.Protocol;
using Coppice.Server.Access;
using Coppice.Server.Events;
using Coppice.Server.Storage;
using Coppice.Trust;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.ChangeTracking;

namespace Coppice.Server.Audit;

/// <summary>Links events into the audit log as they are saved: in the transaction of the act itself, whichever slice's it is.</summary>
static class AuditTrail
{
    /// <summary>Longest value of a change that is kept, in characters.</summary>
    const int MaxValue = 500;

    /// <summary>Most changes that one entry tells.</summary>
    const int MaxChanges = 50;

    static readonly string[] Noisy = [nameof(EventRow), nameof(AuditCheckpointRow), nameof(ApiTokenRow) + "." + nameof(ApiTokenRow.LastUsedAt), nameof(ApiTokenRow) + "." + nameof(ApiTokenRow.LastUsedFrom)];

    /// <summary>Gives the events that are about to be saved their numbers, what is known of who acts, what changed, and their hashes.</summary>
    /// <param name="db">In a transaction that keeps other writers out: the last entry is read, and the next follows it.</param>
    /// <param name="cancel">Ends the call.</param>
    /// <returns>Whether there were any.</returns>
    public static async Task<bool> LinkAsync(CoppiceDb db, CancellationToken cancel)
    {
        // The numbers that they have until they are saved grow in the order in which they were added.
        var added = db.ChangeTracker.Entries<EventRow>().Where(entry => entry.State == EntityState.Added).OrderBy(entry => entry.Entity.Id).ToList();
        if (added.Count == 0)
            return false;
        var last = await db.Events.AsNoTracking().OrderByDescending(row => row.Id).Select(row => new { row.Id, row.Hash }).FirstOrDefaultAsync(cancel);
        var (id, hash) = (last?.Id ?? 0, last is null ? AuditChain.Start : Sha256Digest.Parse(last.Hash));
        var caller = Caller.Current;
        var changes = Changes(db.ChangeTracker);
        foreach (var entry in added)
        {
            var row = entry.Entity;
            entry.Property(e => e.Id).CurrentValue = id = Math.Max(id + 1, row.LeastId);
            entry.Property(e => e.Id).IsTemporary = false;
            if (caller is not null && row.By == caller.Name)
                (row.Subject, row.Credential, row.Origin) = (caller.Subject, caller.Credential, caller.Origin);
            // What one transaction changed is told once, with its first event.
            row.Changes = changes.IsEmpty ? null : JsonSerializer.Serialize(changes, ControlContext.Default.ImmutableArrayAuditChange);
            changes = [];
            hash = row.Entry().HashAfter(hash);
            row.Hash = hash.ToString();
        }

        return true;
    }

    static ImmutableArray<AuditChange> Changes(ChangeTracker tracker)
    {
        var changes = ImmutableArray.CreateBuilder<AuditChange>();
        foreach (var entry in tracker.Entries().Where(entry => entry.State == EntityState.Modified && !Noisy.Contains(entry.Metadata.ClrType.Name)))
        {
            var key = string.Join('/', entry.Metadata.FindPrimaryKey()!.Properties.Select(part => Text(entry.Property(part.Name).CurrentValue)));
            foreach (var property in entry.Properties.Where(property => property.IsModified && !Equals(property.OriginalValue, property.CurrentValue)))
            {
                var name = property.Metadata.Name;
                if (Noisy.Contains($"{entry.Metadata.ClrType.Name}.{name}"))
                    continue;
                if (changes.Count == MaxChanges)
                    return changes.ToImmutable();
                var secret = name.EndsWith("Hash", StringComparison.Ordinal) || name.Contains("Secret", StringComparison.Ordinal);
                changes.Add(new($"{entry.Metadata.GetTableName()}/{key}/{name}", secret ? "(secret)" : Text(property.OriginalValue), secret ? "(another secret)" : Text(property.CurrentValue)));
            }
        }

        return changes.ToImmutable();
    }

    static string? Text(object? value)
    {
        var text = value switch
        {
            null => null,
            byte[] bytes => $"{bytes.Length} bytes, SHA-256 {Sha256Digest.Of(bytes)}",
            DateTimeOffset time => time.ToString("O", CultureInfo.InvariantCulture),
            IFormattable number => number.ToString(null, CultureInfo.InvariantCulture),
            _ => value.ToString(),
        };
        return text is { Length: > MaxValue } ? text[..(MaxValue - 1)] + "…" : text;
    }
}
