using System.Data.Common;
using System.Globalization;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Storage;

namespace Coppice.Server.Storage;

/// <summary>A file of this process alone.</summary>
sealed class SqliteEngine(string file) : DatabaseEngine
{
    readonly string connection = new SqliteConnectionStringBuilder { DataSource = file, Pooling = true, DefaultTimeout = 30 }.ToString();

    public override string Place => file;

    public override bool IsShared => false;

    public override void Configure(DbContextOptionsBuilder options) => options.UseSqlite(connection);

    public override Task PrepareAsync(CoppiceDb db, CancellationToken cancel) => db.Database.ExecuteSqlRawAsync("PRAGMA journal_mode = WAL;", cancel);

    // The process has one writer at a time, and BEGIN IMMEDIATE takes the file's own lock.
    public override Task KeepWritersOutAsync(CoppiceDb db, CancellationToken cancel) => Task.CompletedTask;

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

    public override async Task<long> InsertAsync(CoppiceDb db, TableShape table, IEnumerable<object?[]> rows, CancellationToken cancel)
    {
        await using var command = (SqliteCommand)Command(db, $"INSERT INTO \"{table.Name}\" ({table.ColumnList}) VALUES ({string.Join(", ", table.Columns.Select((_, i) => Name(i)))})");
        foreach (var (i, column) in table.Columns.Index())
        {
            command.Parameters.Add(Name(i), column.Kind switch
            {
                ColumnKind.Text => SqliteType.Text,
                ColumnKind.Real => SqliteType.Real,
                ColumnKind.Bytes => SqliteType.Blob,
                _ => SqliteType.Integer,
            });
        }

        command.Prepare();
        var count = 0L;
        foreach (var row in rows)
        {
            cancel.ThrowIfCancellationRequested();
            for (var i = 0; i < row.Length; i++)
                command.Parameters[i].Value = row[i] ?? DBNull.Value;
            command.ExecuteNonQuery(); // a call into this process: there is nothing to wait for
            count++;
        }

        return count;

        static string Name(int i) => string.Create(CultureInfo.InvariantCulture, $"${i}");
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

    static DbCommand Command(CoppiceDb db, string sql)
    {
        var command = db.Database.GetDbConnection().CreateCommand();
        command.Transaction = db.Database.CurrentTransaction?.GetDbTransaction();
#pragma warning disable CA2100 // the names are the program's own
        command.CommandText = sql;
#pragma warning restore CA2100
        return command;
    }

    public override void Dispose()
    {
        using var last = new SqliteConnection(connection);
        SqliteConnection.ClearPool(last);
    }
}
