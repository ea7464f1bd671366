using System.Data.Common;
using Microsoft.EntityFrameworkCore;

namespace Coppice.Server.Storage;

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

    /// <summary>Within a transaction: has other processes told, once it is committed, that there are new events.</summary>
    public abstract Task TellOfEventsAsync(CoppiceDb db, CancellationToken cancel);

    /// <summary>A migration, which is written as SQLite reads it, in this database's words.</summary>
    public abstract string Translate(string migration);

    /// <summary>Whether the database itself is away or went away; the same call may do later.</summary>
    public abstract bool IsUnavailable(DbException failure);

    public abstract void Dispose();
}
