using System.Collections.Immutable;
using Coppice.Protocol;
using Coppice.Rollouts;
using Coppice.Server.Events;
using Coppice.Server.Storage;
using Microsoft.EntityFrameworkCore;

namespace Coppice.Server.Backups;

/// <summary>Makes what was put back fit for devices that have seen more than it knows: numbers go on beyond any that can have been given after the backup, and no rollout moves a device
/// before an operator has looked. Why so: docs/decisions/0014-restored-servers.md.</summary>
/// <param name="database">Where.</param>
/// <param name="db">In the transaction of the restore, its tables filled and up to date.</param>
/// <param name="header">Of the backup.</param>
/// <param name="moved">Whether nothing can have happened after the backup.</param>
/// <param name="now">The time.</param>
sealed class Aftermath(Database database, CoppiceDb db, BackupHeader header, bool moved, DateTimeOffset now)
{
    /// <summary>Numbers that programs give: none can be given faster than one in a millisecond, for each is a transaction.</summary>
    const long MachineMargin = 1_000_000;

    /// <summary>Numbers that people's acts are given, one in a second at most over any length of time.</summary>
    const long PeopleMargin = 1_000;

    /// <summary>Tables whose numbers people read and type.</summary>
    static readonly string[] PeoplesTables = ["Rollouts", "Approvals", "Webhooks", "AuthorisedDevices", "Restores"];

    long Machine => moved ? 0 : MachineMargin + (long)(now - header.At).TotalMilliseconds;

    long People => moved ? 0 : PeopleMargin + (long)(now - header.At).TotalSeconds;

    /// <returns>Rollouts that are held.</returns>
    public async Task<ImmutableArray<string>> RunAsync(CancellationToken cancel)
    {
        foreach (var table in Backup.Tables(db).Where(table => table.Counter is not null))
        {
            var next = header.Next.GetValueOrDefault(table.Name, 1) + (PeoplesTables.Contains(table.Name) ? People : Machine);
            await database.Engine.SetNextNumberAsync(db, table, next, cancel);
        }

        var last = await db.Events.AsNoTracking().OrderByDescending(row => row.Id).Select(row => row.Id).FirstOrDefaultAsync(cancel);
        db.Events.Add(new()
        {
            At = now,
            Kind = EventKind.ServerRestored,
            By = EventRow.Itself,
            LeastId = last + 1 + Machine,
            Why = moved
                ? $"moved: from a backup of {header.At.UtcDateTime:u} that was made of the stopped server at {header.Place}"
                : $"from a backup of {header.At.UtcDateTime:u} of {header.Place}; what happened after it is not known here, and {Machine} numbers of entries that it may have had are left free",
        });
        if (moved)
            return [];

        db.Restores.Add(new()
        {
            At = now,
            BackupAt = header.At,
            Version = header.Version + Machine,
            Serial = (await db.Models.MaxAsync(row => (long?)row.Serial, cancel) ?? 0) + Machine,
            LeastNext = StoredText.Of(header.Roles.ToImmutableSortedDictionary(role => role.Key, role => role.Value + People, StringComparer.Ordinal))!,
        });
        var why = $"restored from a backup of {header.At.UtcDateTime:u}: devices keep what they have; look what they serve, then resume";
        var held = ImmutableArray.CreateBuilder<string>();
        foreach (var rollout in await db.Rollouts.Where(row => row.State == RolloutState.Running || row.State == RolloutState.Complete).OrderBy(row => row.Number).ToListAsync(cancel))
        {
            rollout.Become(RolloutState.Held, why);
            db.Events.Add(rollout.Event(EventKind.RolloutHeld, EventRow.Itself, now));
            held.Add(rollout.Id);
        }

        return held.ToImmutable();
    }
}
