using System.Data.Common;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;

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

    public override Task TellOfEventsAsync(CoppiceDb db, CancellationToken cancel) => Task.CompletedTask;

    public override string Translate(string migration) => migration;

    public override bool IsUnavailable(DbException failure) => false;

    public override void Dispose()
    {
        using var last = new SqliteConnection(connection);
        SqliteConnection.ClearPool(last);
    }
}
