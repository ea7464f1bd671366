using System.Collections.Concurrent;
using System.Globalization;
using Coppice.Server.Fleet;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Diagnostics;
using Npgsql;

namespace Coppice.Server.Storage;

/// <summary>The table of reports in parts, one for each week in which some came: made by the write that needs it first, dropped as a whole. Why so: docs/decisions/0015-weeks-of-reports.md.</summary>
sealed class PostgresWeeks : SaveChangesInterceptor
{
    /// <summary>Longest that a part's dropping waits for others, who meanwhile wait behind it.</summary>
    const string Patience = "100ms";

    const int Tries = 20;

    static readonly TimeSpan Rest = TimeSpan.FromSeconds(3);

    /// <summary>Weeks whose part was there when a transaction of before began; also one that another server has dropped since.</summary>
    readonly ConcurrentDictionary<long, bool> there = new();

    /// <summary>The column of a table that has parts; below 0 for any other table.</summary>
    public static int ColumnOf(TableShape table) => table.Name == ReportRow.Table.Name ? table.Columns.IndexOf(new(nameof(ReportRow.Week), ColumnKind.Integer)) : -1;

    /// <summary>Within a write: makes the part of a week, unless it is there.</summary>
    /// <remarks>A table is made by itself and added then: <c>CREATE TABLE … PARTITION OF</c> would wait for everybody who reads reports, a backup for instance, and have all others wait behind it.</remarks>
    public async Task EnsureAsync(NpgsqlConnection connection, long week, CancellationToken cancel)
    {
        if (there.ContainsKey(week))
            return;
        await using var ask = new NpgsqlCommand("SELECT to_regclass($1) IS NOT NULL", connection) { Parameters = { new() { Value = Name(week) } } };
        if (await ask.ExecuteScalarAsync(cancel) is true)
        {
            there[week] = true;
            return;
        }

#pragma warning disable CA2100 // the names are the program's own
        await using var make = new NpgsqlCommand(
            string.Create(CultureInfo.InvariantCulture, $"""CREATE TABLE {Name(week)} (LIKE "Reports" INCLUDING DEFAULTS); ALTER TABLE "Reports" ATTACH PARTITION {Name(week)} FOR VALUES FROM ({week}) TO ({week + 1})"""), connection);
#pragma warning restore CA2100
        await make.ExecuteNonQueryAsync(cancel);
    }

    /// <summary>A write of reports failed: parts that were there may be so no longer.</summary>
    public void Doubt() => there.Clear();

    public override async ValueTask<InterceptionResult<int>> SavingChangesAsync(DbContextEventData eventData, InterceptionResult<int> result, CancellationToken cancellationToken = default)
    {
        var db = eventData.Context!;
        foreach (var week in db.ChangeTracker.Entries<ReportRow>().Where(entry => entry.State == EntityState.Added).Select(entry => entry.Entity.Week).Distinct().ToList())
            await EnsureAsync((NpgsqlConnection)db.Database.GetDbConnection(), week, cancellationToken);
        return result;
    }

    public override Task SaveChangesFailedAsync(DbContextErrorEventData eventData, CancellationToken cancellationToken = default)
    {
        Doubt();
        return Task.CompletedTask;
    }

    /// <summary>Outside of a transaction: drops the parts of the weeks before this one. One that is read for long, by a backup for instance, may stay for the next time.</summary>
    /// <returns>How many.</returns>
    public async Task<int> DropAsync(CoppiceDb db, long before, CancellationToken cancel)
    {
        var weeks = await db.Database.SqlQuery<long>($"""
            SELECT (regexp_match(pg_get_expr(part.relpartbound, part.oid), 'FROM \(''?(-?[0-9]+)'))[1]::bigint AS "Value"
            FROM pg_inherits JOIN pg_class AS part ON part.oid = inhrelid WHERE inhparent = '"Reports"'::regclass
            """).ToListAsync(cancel);
        var dropped = 0;
        foreach (var week in weeks.Where(week => week < before).Order())
        {
            for (var left = Tries; !await TryDropAsync(db, week, cancel);)
            {
                if (--left == 0)
                    return dropped;
                await Task.Delay(Rest, TimeProvider.System, cancel); // the machine's: it is about who else is at the table
            }

            dropped++;
        }

        return dropped;
    }

    async Task<bool> TryDropAsync(CoppiceDb db, long week, CancellationToken cancel)
    {
        try
        {
            await using var transaction = await db.Database.BeginTransactionAsync(cancel);
#pragma warning disable EF1002 // the name is the program's own
            await db.Database.ExecuteSqlRawAsync($"SET LOCAL lock_timeout = '{Patience}'; DROP TABLE IF EXISTS {Name(week)}", cancel);
#pragma warning restore EF1002
            await transaction.CommitAsync(cancel);
            there.TryRemove(week, out _);
            return true;
        }
        catch (PostgresException e) when (e.SqlState == PostgresErrorCodes.LockNotAvailable)
        {
            return false;
        }
    }

    /// <summary>The part's name, by the week's first day, as SQL writes it.</summary>
    static string Name(long week) => $"\"Reports_{ReportRow.WeekBegins(week).ToString("yyyy_MM_dd", CultureInfo.InvariantCulture)}\"";
}
