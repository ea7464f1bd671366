using System.Data.Common;
using Microsoft.EntityFrameworkCore;
using Npgsql;

namespace Coppice.Server.Storage;

/// <summary>A database that several servers may use at once.</summary>
/// <remarks>
/// Each write takes one lock of the whole database until it ends, so that writers see each other's work whole and in an order, as with SQLite: the rules that
/// read, decide and write are right without a word about who else writes. The server that dies lets go of it with its connection.
/// </remarks>
sealed class PostgresEngine : DatabaseEngine
{
    /// <summary>The locks' numbers begin so; what else uses the database is unlikely to.</summary>
    const long Locks = 0x636f_7070_6963_6500; // "coppice"

    public const long WriterLock = Locks + 1;
    public const long MigrationLock = Locks + 2;

    const string Channel = "coppice_events";

    /// <summary>The server ends a transaction whose client has been quiet for so long: a machine that vanished must not keep others out.</summary>
    const string Patience = "SET LOCAL idle_in_transaction_session_timeout = '60s'; ";

    readonly NpgsqlDataSource source;

    public PostgresEngine(PostgresAddress address)
    {
        Place = address.Place;
        source = new NpgsqlDataSourceBuilder(address.ConnectionString).Build();
    }

    public override string Place { get; }

    public override bool IsShared => true;

    public override void Configure(DbContextOptionsBuilder options) => options.UseNpgsql(source);

    public override Task PrepareAsync(CoppiceDb db, CancellationToken cancel) => Task.CompletedTask;

    public override Task KeepWritersOutAsync(CoppiceDb db, CancellationToken cancel) => LockAsync(db, WriterLock, cancel);

    public override Task TellOfEventsAsync(CoppiceDb db, CancellationToken cancel) => db.Database.ExecuteSqlRawAsync($"NOTIFY {Channel}", cancel);

    public override string Translate(string migration) => PostgresDialect.Translate(migration);

    public override bool IsUnavailable(DbException failure) => failure is NpgsqlException { IsTransient: true };

    public override void Dispose() => source.Dispose();

    /// <summary>Within a transaction: one of the locks, until it ends.</summary>
    public static Task LockAsync(CoppiceDb db, long which, CancellationToken cancel) =>
        db.Database.ExecuteSqlRawAsync(string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{Patience}SELECT pg_advisory_xact_lock({which})"), cancel);
}
