using System.Data.Common;
using System.Globalization;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Storage;
using SQLitePCL;

namespace Coppice.Server.Storage;

/// <summary>A file of this process alone.</summary>
sealed class SqliteEngine(string file) : DatabaseEngine
{
    /// <summary>Pages in the write-ahead log, of 4 KiB, upon which it is written into the file.</summary>
    const int LogPages = 16_384;

    /// <summary>Reports that are forgotten in one transaction, for which others wait.</summary>
    const int ForgottenAtOnce = 500;

    /// <summary>For how many times as long as that took others have the file to themselves.</summary>
    const int RestFor = 4;

    /// <summary>What a connection that writes keeps in memory, in KiB: a transaction of many reports does not have to read its pages twice, nor to put them into the log before it ends.</summary>
    const string CachePages = "PRAGMA cache_size = -16384";

    readonly string connection = new SqliteConnectionStringBuilder { DataSource = file, Pooling = true, DefaultTimeout = 30 }.ToString();

    public override string Place => file;

    public override bool IsShared => false;

    public override void Configure(DbContextOptionsBuilder options) => options.UseSqlite(connection, sqlite => sqlite.UseParameterizedCollectionMode(ParameterTranslationMode.Parameter));

    public override Task PrepareAsync(CoppiceDb db, CancellationToken cancel) => db.Database.ExecuteSqlRawAsync("PRAGMA journal_mode = WAL;", cancel);

    // The process has one writer at a time, and BEGIN IMMEDIATE takes the file's own lock.
    public override Task KeepWritersOutAsync(CoppiceDb db, CancellationToken cancel)
    {
        // A page that is written again and again goes from the log into the file once.
        var handle = ((SqliteConnection)db.Database.GetDbConnection()).Handle!;
        raw.sqlite3_wal_autocheckpoint(handle, LogPages);
        Check(handle, raw.sqlite3_exec(handle, CachePages));
        return Task.CompletedTask;
    }

    public override void KeepTreeWritersOut(CoppiceDb db)
    {
        // The tree is a folder's, with a lock of its own.
    }

    public override Task<IDbContextTransaction?> BeginSnapshotAsync(CoppiceDb db, CancellationToken cancel) => Task.FromResult<IDbContextTransaction?>(null);

    // The first query takes the snapshot, and the write-ahead log keeps it.
    public override IDbContextTransaction BeginReading(CoppiceDb db)
    {
        db.Database.OpenConnection();
        var transaction = db.Database.UseTransaction(((SqliteConnection)db.Database.GetDbConnection()).BeginTransaction(deferred: true))!;
        db.Database.ExecuteSqlRaw("SELECT 1 FROM sqlite_schema LIMIT 1");
        return transaction;
    }

    public override Task<long> InsertAsync(CoppiceDb db, TableShape table, IEnumerable<object?[]> rows, CancellationToken cancel) =>
        Task.FromResult(Run(db, $"INSERT INTO \"{table.Name}\" ({table.ColumnList}) VALUES ({string.Join(", ", table.Columns.Select((_, i) => Name(i)))})", rows, cancel));

    public override Task<List<object?[]>[]> LookUpAsync(CoppiceDb db, string[] values, IReadOnlyList<(TableShape Table, string Column)> looks, CancellationToken cancel)
    {
        var handle = ((SqliteConnection)db.Database.GetDbConnection()).Handle!;
        var found = new List<object?[]>[looks.Count];
        for (var i = 0; i < found.Length; i++)
        {
            var (table, column) = looks[i];
            found[i] = new(values.Length);
            Check(handle, raw.sqlite3_prepare_v2(handle, $"SELECT {table.ColumnList} FROM \"{table.Name}\" WHERE \"{column}\" = ?1", out var statement));
            using (statement)
            {
                foreach (var value in values)
                {
                    cancel.ThrowIfCancellationRequested();
                    Check(handle, raw.sqlite3_bind_text(statement, 1, value));
                    int step;
                    while ((step = raw.sqlite3_step(statement)) == raw.SQLITE_ROW)
                        found[i].Add(Row(statement, table));
                    Check(handle, step);
                    Check(handle, raw.sqlite3_reset(statement));
                }
            }
        }

        return Task.FromResult(found);
    }

    static object?[] Row(sqlite3_stmt statement, TableShape table)
    {
        var row = new object?[table.Columns.Length];
        for (var i = 0; i < row.Length; i++)
        {
            if (raw.sqlite3_column_type(statement, i) == raw.SQLITE_NULL)
                continue;
            row[i] = table.Columns[i].Kind switch
            {
                ColumnKind.Text => raw.sqlite3_column_text(statement, i).utf8_to_string(),
                ColumnKind.Integer => raw.sqlite3_column_int64(statement, i),
                ColumnKind.Real => raw.sqlite3_column_double(statement, i),
                ColumnKind.Boolean => raw.sqlite3_column_int(statement, i) != 0,
                _ => raw.sqlite3_column_blob(statement, i).ToArray(),
            };
        }

        return row;
    }

    public override Task UpdateAsync(CoppiceDb db, IReadOnlyList<(TableShape Table, IReadOnlyList<object?[]> Rows)> changes, CancellationToken cancel)
    {
        foreach (var (table, rows) in changes.Where(change => change.Rows.Count > 0))
        {
            string Are(string parted, bool key) => string.Join(parted, table.Columns.Index().Where(column => table.Key.Contains(column.Item.Name) == key).Select(column => $"\"{column.Item.Name}\" = {Name(column.Index)}"));
            Run(db, $"UPDATE \"{table.Name}\" SET {Are(", ", key: false)} WHERE {Are(" AND ", key: true)}", rows, cancel);
        }

        return Task.CompletedTask;
    }

    /// <summary>Runs a statement for each row, by the library's own calls: they stay in this process and wait for nothing, and the driver's objects around each would cost more than they.</summary>
    static long Run(CoppiceDb db, string sql, IEnumerable<object?[]> rows, CancellationToken cancel)
    {
        var handle = ((SqliteConnection)db.Database.GetDbConnection()).Handle!;
        Check(handle, raw.sqlite3_prepare_v2(handle, sql, out var statement));
        using (statement)
        {
            var count = 0L;
            foreach (var row in rows)
            {
                cancel.ThrowIfCancellationRequested();
                for (var i = 0; i < row.Length; i++)
                {
                    Check(handle, row[i] switch
                    {
                        null => raw.sqlite3_bind_null(statement, i + 1),
                        string text => raw.sqlite3_bind_text(statement, i + 1, text),
                        long number => raw.sqlite3_bind_int64(statement, i + 1, number),
                        double number => raw.sqlite3_bind_double(statement, i + 1, number),
                        bool yes => raw.sqlite3_bind_int(statement, i + 1, yes ? 1 : 0),
                        byte[] bytes => raw.sqlite3_bind_blob(statement, i + 1, bytes),
                        var other => throw new InvalidOperationException($"{other.GetType()} is no value of a table."),
                    });
                }

                Check(handle, raw.sqlite3_step(statement));
                Check(handle, raw.sqlite3_reset(statement));
                count++;
            }

            return count;
        }
    }

    static void Check(sqlite3 handle, int result)
    {
        if (result is not (raw.SQLITE_OK or raw.SQLITE_DONE))
            throw new SqliteException($"SQLite Error {result}: '{raw.sqlite3_errmsg(handle).utf8_to_string()}'.", result & 0xFF, result);
    }

    static string Name(int i) => string.Create(CultureInfo.InvariantCulture, $"?{i + 1}");

    public override async Task<int> ForgetReportsAsync(Database database, long before, CancellationToken cancel)
    {
        for (var (weeks, now) = (0, (long?)null); ;)
        {
            var began = TimeProvider.System.GetTimestamp();
            var week = await database.WriteAsync(db => ForgetSomeAsync(db, before, cancel), cancel);
            if (week != now && now is not null)
                weeks++;
            if (week is null)
                return weeks;
            now = week;
            await Task.Delay(TimeProvider.System.GetElapsedTime(began) * RestFor, TimeProvider.System, cancel); // the machine's: it is about who else wants to write
        }
    }

    /// <summary>Within a write: forgets the first reports of the first week, if that is before another.</summary>
    /// <returns>The week; null when none is left.</returns>
    static async Task<long?> ForgetSomeAsync(CoppiceDb db, long before, CancellationToken cancel)
    {
        if (await db.Reports.MinAsync(row => (long?)row.Week, cancel) is not { } week || week >= before)
            return null;
        var ofWeek = db.Reports.Where(row => row.Week == week);
        // Up to a row, in the order in which they lie: whole pages are let go of, one after the other.
        if (await ofWeek.OrderBy(row => row.Device).ThenBy(row => row.Sequence).Select(row => new { row.Device, row.Sequence }).Skip(ForgottenAtOnce - 1).FirstOrDefaultAsync(cancel) is { } last)
        {
            await ofWeek.Where(row => string.Compare(row.Device, last.Device) < 0).ExecuteDeleteAsync(cancel);
            await ofWeek.Where(row => row.Device == last.Device && row.Sequence <= last.Sequence).ExecuteDeleteAsync(cancel);
        }
        else
            await ofWeek.ExecuteDeleteAsync(cancel);
        return week;
    }

    public override Task<long> NextNumberAsync(CoppiceDb db, TableShape table, CancellationToken cancel) =>
        db.Database.SqlQuery<long>($"""SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = {table.Name}), 0) + 1 AS "Value" """).SingleAsync(cancel);

    public override async Task SetNextNumberAsync(CoppiceDb db, TableShape table, long next, CancellationToken cancel)
    {
        await db.Database.ExecuteSqlAsync($"DELETE FROM sqlite_sequence WHERE name = {table.Name}", cancel);
        await db.Database.ExecuteSqlAsync($"INSERT INTO sqlite_sequence (name, seq) VALUES ({table.Name}, {next - 1})", cancel);
    }

    public override async Task<bool> HasTablesAsync(CoppiceDb db, CancellationToken cancel) =>
        await db.Database.SqlQuery<long>($"""SELECT count(*) AS "Value" FROM sqlite_schema WHERE type = 'table'""").SingleAsync(cancel) > 0;

    // The data folder has a lock.
    public override Task KeepStartersOutAsync(CoppiceDb db, CancellationToken cancel) => Task.CompletedTask;

    // One process, one clock.
    public override Task<LeaseAnswer> LeaseAsync(CoppiceDb db, string name, string holder, TimeSpan life, CancellationToken cancel) => throw new NotSupportedException();

    public override Task<long> ClockAsync(CoppiceDb db, CancellationToken cancel) => throw new NotSupportedException();

    public override Task ListenAsync(Action heard, CancellationToken cancel) => Task.Delay(Timeout.Infinite, cancel);

    public override Task TellOfEventsAsync(CoppiceDb db, CancellationToken cancel) => Task.CompletedTask;

    public override string Translate(string migration) => migration;

    public override bool IsUnavailable(DbException failure) => false;

    public override void Dispose()
    {
        using var last = new SqliteConnection(connection);
        SqliteConnection.ClearPool(last);
    }
}
