using System.Collections.Immutable;
using System.Data.Common;
using System.Reflection;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Storage;

namespace Coppice.Server.Storage;

/// <summary>Brings the tables up to date: each migration once, all of them or none, however many servers start at once.</summary>
static class Migrations
{
    const string Prefix = "migrations/";

    /// <summary>Every migration that this program knows, in their order.</summary>
    public static ImmutableArray<string> Known { get; } =
        [.. Assembly.GetExecutingAssembly().GetManifestResourceNames().Where(name => name.StartsWith(Prefix, StringComparison.Ordinal)).Select(name => name[Prefix.Length..]).Order(StringComparer.Ordinal)];

    /// <exception cref="InvalidDataException">The database was written by a newer version.</exception>
    public static async Task RunAsync(CoppiceDb db, DatabaseEngine engine, CancellationToken cancel)
    {
        await using var transaction = await db.Database.BeginTransactionAsync(cancel);
        await RunAsync(db, engine, Known, cancel);
        await transaction.CommitAsync(cancel);
    }

    /// <summary>Within a transaction: runs those of the migrations that were not run yet.</summary>
    /// <exception cref="InvalidDataException">The database was written by a newer version.</exception>
    public static async Task RunAsync(CoppiceDb db, DatabaseEngine engine, IReadOnlyCollection<string> wanted, CancellationToken cancel)
    {
        if (engine is PostgresEngine)
            await PostgresEngine.LockAsync(db, PostgresEngine.MigrationLock, cancel);
        await RunAsync(db, engine.Translate("CREATE TABLE IF NOT EXISTS Migrations (Name TEXT PRIMARY KEY);"), cancel);
        var done = await NamesAsync(db, cancel);
        if (done.Except(Known).Order(StringComparer.Ordinal).ToArray() is { Length: > 0 } newer)
            throw new InvalidDataException($"{engine.Place} was changed by a newer version of coppice ({string.Join(", ", newer)}), which this one does not know. Run the newer version, or restore a backup from before it.");
        foreach (var name in wanted.Except(done).Order(StringComparer.Ordinal))
        {
            using var text = new StreamReader(Assembly.GetExecutingAssembly().GetManifestResourceStream(Prefix + name)!);
            await RunAsync(db, engine.Translate(await text.ReadToEndAsync(cancel)), cancel);
            await RunAsync(db, $"INSERT INTO \"Migrations\" (\"Name\") VALUES ('{name}')", cancel);
        }
    }

    /// <summary>Whether the database's tables are those of this program, neither older nor newer.</summary>
    public static async Task<bool> AreAllDoneAsync(CoppiceDb db, CancellationToken cancel)
    {
        await db.Database.OpenConnectionAsync(cancel);
        return (await NamesAsync(db, cancel)).SetEquals(Known);
    }

    static async Task<HashSet<string>> NamesAsync(CoppiceDb db, CancellationToken cancel)
    {
        var names = new HashSet<string>(StringComparer.Ordinal);
        await using var command = Command(db, "SELECT \"Name\" FROM \"Migrations\"");
        await using var reader = await command.ExecuteReaderAsync(cancel);
        while (await reader.ReadAsync(cancel))
            names.Add(reader.GetString(0));
        return names;
    }

    static async Task RunAsync(CoppiceDb db, string sql, CancellationToken cancel)
    {
        await using var command = Command(db, sql);
        await command.ExecuteNonQueryAsync(cancel);
    }

    static DbCommand Command(CoppiceDb db, string sql)
    {
        var command = db.Database.GetDbConnection().CreateCommand();
        command.Transaction = db.Database.CurrentTransaction?.GetDbTransaction();
        command.CommandTimeout = 0; // a large table takes its time
#pragma warning disable CA2100 // the text is the program's own
        command.CommandText = sql;
#pragma warning restore CA2100
        return command;
    }
}
