using System.Data.Common;
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
