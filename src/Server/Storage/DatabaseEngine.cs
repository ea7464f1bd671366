using System.Data.Common;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Storage;

namespace Coppice.Server.Storage;

/// <summary>What came of asking for a lease.</summary>
/// <param name="Term">Counts the lease's changes of hands; null when another has it.</param>
/// <param name="Now">The database's clock, in milliseconds since 1970.</param>
sealed record LeaseAnswer(long? Term, long Now);

/// <summary>What the two databases do each in its own way; everything else is one model and one set of queries.</summary>
abstract class DatabaseEngine : IDisposable
{
    /// <summary>For messages: a file, or a host and a database; never a secret.</summary>
    public abstract string Place { get; }

    /// <summary>Whether other processes may write to it while this one runs.</summary>
    public abstract bool IsShared { get; }

    /// <summary>How its contexts find it.</summary>
    public abstract void Configure(DbContextOptionsBuilder options);

    /// <summary>Called once, before its tables are brought up to date.</summary>
    public abstract Task PrepareAsync(CoppiceDb db, CancellationToken cancel);

    /// <summary>Within a transaction: keeps every other writer out until it ends, whichever process it is in.</summary>
    public abstract Task KeepWritersOutAsync(CoppiceDb db, CancellationToken cancel);

    /// <summary>Within a transaction: keeps out every other writer of the tree until it ends.</summary>
    public abstract void KeepTreeWritersOut(CoppiceDb db);

    /// <summary>Begins what sees the database as it is at one moment; null where a writer of the same process is kept out already by who reads.</summary>
    public abstract Task<IDbContextTransaction?> BeginSnapshotAsync(CoppiceDb db, CancellationToken cancel);

    /// <summary>Begins what reads the database as it is at one moment, also while others write, and writes nothing.</summary>
    public abstract IDbContextTransaction BeginReading(CoppiceDb db);

    /// <summary>Within a transaction: puts rows into a table, by the fastest way there is.</summary>
    /// <param name="db">In the transaction.</param>
    /// <param name="table">The table.</param>
    /// <param name="rows">Values in the order of the table's columns; none may be there already.</param>
    /// <param name="cancel">Ends the call; the transaction is to be given up.</param>
    /// <returns>How many.</returns>
    public abstract Task<long> InsertAsync(CoppiceDb db, TableShape table, IEnumerable<object?[]> rows, CancellationToken cancel);

    /// <summary>Within a transaction: reads the rows of several tables whose column has one of some values, by the fastest way there is.</summary>
    /// <param name="db">In the transaction.</param>
    /// <param name="values">The values, each once.</param>
    /// <param name="looks">The tables, with the columns that are wanted, and in each the column that is compared: the first of an index.</param>
    /// <param name="cancel">Ends the call.</param>
    /// <returns>For each table its rows, in no order, with values in the order of its columns.</returns>
    public abstract Task<List<object?[]>[]> LookUpAsync(CoppiceDb db, string[] values, IReadOnlyList<(TableShape Table, string Column)> looks, CancellationToken cancel);

    /// <summary>Within a transaction: changes rows that are there, by the fastest way there is.</summary>
    /// <param name="db">In the transaction.</param>
    /// <param name="changes">Tables, with the columns of their keys and those that change; values in the order of those columns; each key once.</param>
    /// <param name="cancel">Ends the call; the transaction is to be given up.</param>
    public abstract Task UpdateAsync(CoppiceDb db, IReadOnlyList<(TableShape Table, IReadOnlyList<object?[]> Rows)> changes, CancellationToken cancel);

    /// <summary>Forgets the reports of weeks before this one, so that others hardly wait for it.</summary>
    /// <param name="database">This one's; in no write.</param>
    /// <param name="before">The first week that stays.</param>
    /// <param name="cancel">Ends the call; what is forgotten stays forgotten.</param>
    /// <returns>How many weeks.</returns>
    public abstract Task<int> ForgetReportsAsync(Database database, long before, CancellationToken cancel);

    /// <summary>The number that the table's next row is given.</summary>
    public abstract Task<long> NextNumberAsync(CoppiceDb db, TableShape table, CancellationToken cancel);

    /// <summary>Within a transaction: gives the table's next row this number.</summary>
    public abstract Task SetNextNumberAsync(CoppiceDb db, TableShape table, long next, CancellationToken cancel);

    /// <summary>Whether it holds tables, of whatever.</summary>
    public abstract Task<bool> HasTablesAsync(CoppiceDb db, CancellationToken cancel);

    /// <summary>Within a transaction: keeps out every other server that starts.</summary>
    public abstract Task KeepStartersOutAsync(CoppiceDb db, CancellationToken cancel);

    /// <summary>Takes or keeps the lease for a while, if no other server has it.</summary>
    /// <param name="db">Outside of a transaction.</param>
    /// <param name="name">Of the lease.</param>
    /// <param name="holder">Who wants it.</param>
    /// <param name="life">For how long, by the database's clock.</param>
    /// <param name="cancel">Ends the call.</param>
    public abstract Task<LeaseAnswer> LeaseAsync(CoppiceDb db, string name, string holder, TimeSpan life, CancellationToken cancel);

    /// <summary>The database's clock, in milliseconds since 1970.</summary>
    public abstract Task<long> ClockAsync(CoppiceDb db, CancellationToken cancel);

    /// <summary>Calls whenever another server has committed events, until cancelled.</summary>
    /// <exception cref="DbException">The connection was lost, and with it perhaps a call.</exception>
    public abstract Task ListenAsync(Action heard, CancellationToken cancel);

    /// <summary>Within a transaction: has other processes told, once it is committed, that there are new events.</summary>
    public abstract Task TellOfEventsAsync(CoppiceDb db, CancellationToken cancel);

    /// <summary>A migration, which is written as SQLite reads it, in this database's words.</summary>
    public abstract string Translate(string migration);

    /// <summary>Whether the database itself is away or went away; the same call may do later.</summary>
    public abstract bool IsUnavailable(DbException failure);

    public abstract void Dispose();
}
