using System.Data.Common;
using Coppice.Server.Events;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Infrastructure;
using Microsoft.EntityFrameworkCore.Storage;

namespace Coppice.Server.Storage;

/// <summary>The one place that opens connections: many readers, one writer at a time. Every write is one transaction.</summary>
/// <remarks>Writers of this process wait here for each other, which costs less than waiting in the database; those of other processes are kept out there.</remarks>
sealed class Database : IDisposable
{
    readonly PooledDbContextFactory<CoppiceDb> contexts;
    readonly SemaphoreSlim writer = new(1);
    readonly DatabaseEngine engine;

    Database(DatabaseEngine engine)
    {
        this.engine = engine;
        var options = new DbContextOptionsBuilder<CoppiceDb>().UseQueryTrackingBehavior(QueryTrackingBehavior.NoTracking);
        engine.Configure(options);
        contexts = new(options.Options);
    }

    /// <summary>Rings when events were committed.</summary>
    public EventBell Bell { get; } = new();

    /// <summary>Whether other servers may use it while this one runs.</summary>
    public bool IsShared => engine.IsShared;

    /// <summary>For messages: a file, or a host and a database.</summary>
    public string Place => engine.Place;

    /// <summary>Opens a database in a file, makes it if it is not there, and brings its tables up to date.</summary>
    /// <exception cref="InvalidDataException">The database was written by a newer version.</exception>
    public static Task<Database> OpenAsync(string file, CancellationToken cancel) => OpenAsync(new SqliteEngine(file), cancel);

    /// <summary>Opens a database that is there, and brings its tables up to date.</summary>
    /// <exception cref="InvalidDataException">The database was written by a newer version, or refuses this user.</exception>
    /// <exception cref="DatabaseUnavailableException">It does not answer.</exception>
    public static Task<Database> OpenAsync(PostgresAddress address, CancellationToken cancel) => OpenAsync(new PostgresEngine(address), cancel);

    /// <summary>Opens a database that a server uses or used, and changes nothing of it: to copy it, also while the server runs.</summary>
    /// <exception cref="InvalidDataException">It is not there, or its tables are of another version.</exception>
    /// <exception cref="DatabaseUnavailableException">It does not answer.</exception>
    public static async Task<Database> AttachAsync(PostgresAddress? address, string file, CancellationToken cancel)
    {
        if (address is null && !File.Exists(file))
            throw new InvalidDataException($"There is no database {file}; give the server's data folder with --data, or its database with --database.");
        var database = new Database(EngineOf(address, file));
        try
        {
            return await database.AskAsync(async db => await database.engine.HasTablesAsync(db, cancel) && await Migrations.AreAllDoneAsync(db, cancel), cancel)
                ? database
                : throw new InvalidDataException($"The tables in {database.Place} are not those of this version of coppice; use the version that the server runs, or start the server with this one first.");
        }
        catch
        {
            database.Dispose();
            throw;
        }
    }

    /// <summary>Opens a database that nothing is in yet.</summary>
    /// <exception cref="InvalidDataException">It holds tables, or refuses this user.</exception>
    /// <exception cref="DatabaseUnavailableException">It does not answer.</exception>
    public static async Task<Database> OpenEmptyAsync(PostgresAddress? address, string file, CancellationToken cancel)
    {
        var database = new Database(EngineOf(address, file));
        try
        {
            if (await database.AskAsync(db => database.engine.HasTablesAsync(db, cancel), cancel))
                throw new InvalidDataException($"The database {database.Place} holds tables already; make an empty one for what is put back. Nothing was changed.");
            await database.AskAsync(async db =>
            {
                await database.engine.PrepareAsync(db, cancel);
                return true;
            }, cancel);
            return database;
        }
        catch
        {
            database.Dispose();
            throw;
        }
    }

    static DatabaseEngine EngineOf(PostgresAddress? address, string file) => address is null ? new SqliteEngine(file) : new PostgresEngine(address);

    /// <summary>How rows go in and out in bulk.</summary>
    public DatabaseEngine Engine => engine;

    /// <summary>A context in a transaction that reads the database as it is at one moment, also while others write; both are the caller's to dispose of, the context last.</summary>
    public (CoppiceDb Db, IDbContextTransaction Moment) BeginReading() => Guard(() =>
    {
        var db = contexts.CreateDbContext();
        try
        {
            return (db, engine.BeginReading(db));
        }
        catch
        {
            db.Dispose();
            throw;
        }
    });

    public async Task<T> ReadAsync<T>(Func<CoppiceDb, Task<T>> read, CancellationToken cancel)
    {
        for (var again = engine.IsShared; ; again = false)
        {
            try
            {
                await using var db = await contexts.CreateDbContextAsync(cancel);
                return await read(db);
            }
            catch (Exception e) when (Unavailable(e) is { } failure)
            {
                if (!again) // the first may have got a connection of before the database was started anew
                    throw new DatabaseUnavailableException(engine.Place, failure);
            }
        }
    }

    /// <summary>Reads the database as it is at one moment, however many queries that takes.</summary>
    public Task<T> SnapshotAsync<T>(Func<CoppiceDb, Task<T>> read, CancellationToken cancel) => ReadAsync(async db =>
    {
        await using var moment = await engine.BeginSnapshotAsync(db, cancel);
        return await read(db);
    }, cancel);

    /// <summary>As <see cref="ReadAsync"/>, for who cannot wait otherwise.</summary>
    public T Read<T>(Func<CoppiceDb, T> read)
    {
        for (var again = engine.IsShared; ; again = false)
        {
            try
            {
                using var db = contexts.CreateDbContext();
                return read(db);
            }
            catch (Exception e) when (Unavailable(e) is { } failure)
            {
                if (!again)
                    throw new DatabaseUnavailableException(engine.Place, failure);
            }
        }
    }

    /// <summary>Begins a change of the tree, with every other writer of the tree kept out.</summary>
    public (CoppiceDb Db, IDbContextTransaction Transaction) BeginTree()
    {
        for (var again = engine.IsShared; ; again = false)
        {
            var db = contexts.CreateDbContext();
            try
            {
                var transaction = db.Database.BeginTransaction();
                engine.KeepTreeWritersOut(db);
                return (db, transaction);
            }
            catch (Exception e)
            {
                db.Dispose();
                if (Unavailable(e) is not { } failure)
                    throw;
                if (!again)
                    throw new DatabaseUnavailableException(engine.Place, failure);
            }
        }
    }

    /// <summary>Runs a part of a change that was begun, and says so when the database went away.</summary>
    public T Guard<T>(Func<T> part)
    {
        try
        {
            return part();
        }
        catch (Exception e) when (Unavailable(e) is { } failure)
        {
            throw new DatabaseUnavailableException(engine.Place, failure);
        }
    }

    /// <summary>Keeps other servers that start on the same database waiting until disposed of.</summary>
    public async Task<IAsyncDisposable> BeginStartAsync(CancellationToken cancel)
    {
        var db = await contexts.CreateDbContextAsync(cancel);
        if (!engine.IsShared)
            return db;
        await db.Database.BeginTransactionAsync(cancel);
        await engine.KeepStartersOutAsync(db, cancel);
        return db; // which ends the transaction, too
    }

    /// <summary>Takes or keeps the lease for a while, if no other server has it.</summary>
    public Task<LeaseAnswer> LeaseAsync(string name, string holder, TimeSpan life, CancellationToken cancel) => ReadAsync(db => engine.LeaseAsync(db, name, holder, life, cancel), cancel);

    /// <summary>The clock of a database that servers share, in milliseconds since 1970.</summary>
    public Task<long> ClockAsync(CancellationToken cancel) => ReadAsync(db => engine.ClockAsync(db, cancel), cancel);

    /// <summary>Lets the lease go, so that another server need not wait for its end.</summary>
    public Task<int> LetGoAsync(string name, string holder, CancellationToken cancel) => !IsShared ? Task.FromResult(0) : ReadAsync(
        db => db.Leases.Where(row => row.Name == name && row.Holder == holder).ExecuteUpdateAsync(row => row.SetProperty(lease => lease.Until, DateTimeOffset.UnixEpoch), cancel), cancel);

    /// <summary>Rings the bell whenever another server has committed events, until cancelled or the connection is lost.</summary>
    public async Task ListenAsync(CancellationToken cancel)
    {
        try
        {
            await engine.ListenAsync(Bell.Ring, cancel);
        }
        catch (Exception e) when (Failure(e) is { } failure)
        {
            throw new DatabaseUnavailableException(engine.Place, failure);
        }
    }

    /// <summary>Runs a change in a transaction; it is kept when <paramref name="write"/> returns, and undone when it throws.</summary>
    /// <exception cref="DatabaseUnavailableException">It is not known whether the change was kept.</exception>
    public async Task<T> WriteAsync<T>(Func<CoppiceDb, Task<T>> write, CancellationToken cancel)
    {
        await writer.WaitAsync(cancel);
        try
        {
            for (var again = engine.IsShared; ; again = false)
            {
                var begun = false;
                try
                {
                    await using var db = await contexts.CreateDbContextAsync(cancel);
                    db.ChangeTracker.QueryTrackingBehavior = QueryTrackingBehavior.TrackAll;
                    db.HasNewEvents = false; // the context may have been used before
                    await using var transaction = await db.Database.BeginTransactionAsync(cancel); // on SQLite BEGIN IMMEDIATE: never upgraded halfway
                    await engine.KeepWritersOutAsync(db, cancel);
                    begun = true;
                    var result = await write(db);
                    await db.SaveChangesAsync(cancel);
                    if (db.HasNewEvents)
                        await engine.TellOfEventsAsync(db, cancel);
                    await transaction.CommitAsync(cancel);
                    if (db.HasNewEvents)
                        Bell.Ring();
                    return result;
                }
                catch (Exception e) when (Unavailable(e) is { } failure)
                {
                    if (begun || !again) // as above; nothing was done yet
                        throw new DatabaseUnavailableException(engine.Place, failure);
                }
            }
        }
        finally
        {
            writer.Release();
        }
    }

    public void Dispose()
    {
        engine.Dispose();
        writer.Dispose();
    }

    static async Task<Database> OpenAsync(DatabaseEngine engine, CancellationToken cancel)
    {
        var database = new Database(engine);
        try
        {
            return await database.AskAsync(async db =>
            {
                await engine.PrepareAsync(db, cancel);
                await Migrations.RunAsync(db, engine, cancel);
                return database;
            }, cancel);
        }
        catch
        {
            database.Dispose();
            throw;
        }
    }

    /// <summary>The first questions to a database, whose refusal is told in words for who gave its address.</summary>
    async Task<T> AskAsync<T>(Func<CoppiceDb, Task<T>> ask, CancellationToken cancel)
    {
        try
        {
            await using var db = await contexts.CreateDbContextAsync(cancel);
            return await ask(db);
        }
        catch (Exception e) when (engine.IsShared && Failure(e) is { } failure)
        {
            throw engine.IsUnavailable(failure)
                ? new DatabaseUnavailableException(engine.Place, failure)
                : new InvalidDataException($"The database {engine.Place} cannot be used: {failure.Message}. See that it exists and that the user may connect to it and make tables there.", e);
        }
    }

    DbException? Unavailable(Exception e) => Failure(e) is { } failure && engine.IsUnavailable(failure) ? failure : null;

    // EF puts its own exceptions around the driver's.
    static DbException? Failure(Exception? e)
    {
        for (; e is not null; e = e.InnerException)
        {
            if (e is DbException failure)
                return failure;
        }

        return null;
    }
}
