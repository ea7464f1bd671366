using System.Data.Common;
using System.Globalization;
using System.Reflection;
using Coppice.Server.Events;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Infrastructure;

namespace Coppice.Server.Storage;

/// <summary>The one place that opens connections: many readers, one writer at a time.</summary>
/// <remarks>SQLite has one writer anyway; waiting here costs less than its busy loop. Every write is one transaction.</remarks>
sealed class Database : IDisposable
{
    readonly PooledDbContextFactory<CoppiceDb> contexts;
    readonly SemaphoreSlim writer = new(1);
    readonly string connection;

    /// <summary>Rings when events were committed.</summary>
    public EventBell Bell { get; } = new();

    Database(string file)
    {
        connection = new SqliteConnectionStringBuilder { DataSource = file, Pooling = true, DefaultTimeout = 30 }.ToString();
        var options = new DbContextOptionsBuilder<CoppiceDb>()
            .UseSqlite(connection)
            .UseQueryTrackingBehavior(QueryTrackingBehavior.NoTracking)
            .Options;
        contexts = new(options);
    }

    /// <summary>Opens the database, makes it if it is not there, and brings its tables up to date.</summary>
    /// <exception cref="InvalidDataException">The database was written by a newer version.</exception>
    public static async Task<Database> OpenAsync(string file, CancellationToken cancel)
    {
        var database = new Database(file);
        await using var db = await database.contexts.CreateDbContextAsync(cancel);
        await db.Database.ExecuteSqlRawAsync("PRAGMA journal_mode = WAL;", cancel);
        await MigrateAsync(db, file, cancel);
        return database;
    }

    public async Task<T> ReadAsync<T>(Func<CoppiceDb, Task<T>> read, CancellationToken cancel)
    {
        await using var db = await contexts.CreateDbContextAsync(cancel);
        return await read(db);
    }

    /// <summary>Runs a change in a transaction; it is kept when <paramref name="write"/> returns, and undone when it throws.</summary>
    public async Task<T> WriteAsync<T>(Func<CoppiceDb, Task<T>> write, CancellationToken cancel)
    {
        await writer.WaitAsync(cancel);
        try
        {
            await using var db = await contexts.CreateDbContextAsync(cancel);
            db.ChangeTracker.QueryTrackingBehavior = QueryTrackingBehavior.TrackAll;
            db.HasNewEvents = false; // the context may have been used before
            await using var transaction = await db.Database.BeginTransactionAsync(cancel); // BEGIN IMMEDIATE: never upgraded halfway
            var result = await write(db);
            await db.SaveChangesAsync(cancel);
            await transaction.CommitAsync(cancel);
            if (db.HasNewEvents)
                Bell.Ring();
            return result;
        }
        finally
        {
            writer.Release();
        }
    }

    public void Dispose()
    {
        using (var last = new SqliteConnection(connection))
            SqliteConnection.ClearPool(last);
        writer.Dispose();
    }

    static async Task MigrateAsync(CoppiceDb db, string file, CancellationToken cancel)
    {
        var program = Assembly.GetExecutingAssembly();
        var steps = program.GetManifestResourceNames().Where(name => name.StartsWith("migrations/", StringComparison.Ordinal)).Order(StringComparer.Ordinal).ToArray();
        await using var transaction = await db.Database.BeginTransactionAsync(cancel);
        var done = Convert.ToInt32(await ScalarAsync(db, "PRAGMA user_version;", cancel), CultureInfo.InvariantCulture);
        if (done > steps.Length)
            throw new InvalidDataException($"{file} is at schema {done}; this version of coppice knows {steps.Length}. Run the newer version, or restore a copy of the data folder from before it.");
        for (var i = done; i < steps.Length; i++)
        {
            using var text = new StreamReader(program.GetManifestResourceStream(steps[i])!);
            await ScalarAsync(db, await text.ReadToEndAsync(cancel), cancel);
        }

        await ScalarAsync(db, $"PRAGMA user_version = {steps.Length};", cancel); // takes part in the transaction
        await transaction.CommitAsync(cancel);
    }

    static async Task<object?> ScalarAsync(CoppiceDb db, string sql, CancellationToken cancel)
    {
        await using var command = (DbCommand)db.Database.GetDbConnection().CreateCommand();
        command.Transaction = (DbTransaction?)(db.Database.CurrentTransaction as IInfrastructure<DbTransaction>)?.Instance;
#pragma warning disable CA2100 // the text is the program's own
        command.CommandText = sql;
#pragma warning restore CA2100
        return await command.ExecuteScalarAsync(cancel);
    }
}
