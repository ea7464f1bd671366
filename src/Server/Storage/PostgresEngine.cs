using System.Data;
using System.Data.Common;
using System.Globalization;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Storage;
using Npgsql;
using NpgsqlTypes;

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
    const long TreeLock = Locks + 3;
    const long StartLock = Locks + 4;

    const string Channel = "coppice_events";

    readonly NpgsqlDataSource source;
    readonly PostgresWeeks weeks = new();

    public PostgresEngine(PostgresAddress address)
    {
        Place = address.Place;
        source = new NpgsqlDataSourceBuilder(address.ConnectionString).Build();
    }

    public override string Place { get; }

    public override bool IsShared => true;

    public override void Configure(DbContextOptionsBuilder options) => options
        .UseNpgsql(source, postgres => postgres.UseParameterizedCollectionMode(ParameterTranslationMode.Parameter))
        .AddInterceptors(weeks);

    public override Task PrepareAsync(CoppiceDb db, CancellationToken cancel) => Task.CompletedTask;

    public override Task KeepWritersOutAsync(CoppiceDb db, CancellationToken cancel) => LockAsync(db, WriterLock, cancel);

    public override void KeepTreeWritersOut(CoppiceDb db) => db.Database.ExecuteSqlRaw(Lock(TreeLock, "60s"));

    public override async Task<IDbContextTransaction?> BeginSnapshotAsync(CoppiceDb db, CancellationToken cancel) => await db.Database.BeginTransactionAsync(IsolationLevel.RepeatableRead, cancel);

    public override IDbContextTransaction BeginReading(CoppiceDb db)
    {
        var transaction = db.Database.BeginTransaction(IsolationLevel.RepeatableRead);
        db.Database.ExecuteSqlRaw("SET TRANSACTION READ ONLY");
        return transaction;
    }

    public override async Task<long> InsertAsync(CoppiceDb db, TableShape table, IEnumerable<object?[]> rows, CancellationToken cancel)
    {
        if (rows.TryGetNonEnumeratedCount(out var known) && known == 0)
            return 0;
        var (connection, week) = ((NpgsqlConnection)db.Database.GetDbConnection(), PostgresWeeks.ColumnOf(table));
        using var all = rows.GetEnumerator();
        var count = 0L;
        try
        {
            for (var more = all.MoveNext(); more;)
            {
                var part = week < 0 ? null : all.Current[week];
                if (part is long needed)
                    await weeks.EnsureAsync(connection, needed, cancel);
                await using var copy = await connection.BeginBinaryImportAsync($"COPY \"{table.Name}\" ({table.ColumnList}) FROM STDIN (FORMAT BINARY)", cancel);
                copy.Timeout = TimeSpan.FromDays(1); // a large table takes its time
                do
                {
                    await WriteAsync(copy, table, all.Current, cancel);
                    more = all.MoveNext();
                }
                while (more && (part is null || part.Equals(all.Current[week])));
                count += (long)await copy.CompleteAsync(cancel);
            }
        }
        catch when (week >= 0)
        {
            weeks.Doubt();
            throw;
        }

        return count;
    }

    static async Task WriteAsync(NpgsqlBinaryImporter copy, TableShape table, object?[] row, CancellationToken cancel)
    {
        await copy.StartRowAsync(cancel);
        for (var i = 0; i < row.Length; i++)
        {
            await (row[i] switch
            {
                null => copy.WriteNullAsync(cancel),
                string text => copy.WriteAsync(text, NpgsqlDbType.Text, cancel),
                long number => copy.WriteAsync(number, NpgsqlDbType.Bigint, cancel),
                double number => copy.WriteAsync(number, NpgsqlDbType.Double, cancel),
                bool yes => copy.WriteAsync(yes, NpgsqlDbType.Boolean, cancel),
                byte[] bytes => copy.WriteAsync(bytes, NpgsqlDbType.Bytea, cancel),
                var other => throw new InvalidOperationException($"{table.Name}.{table.Columns[i].Name}: {other.GetType()} is no value of a table."),
            });
        }
    }

    public override async Task<int> ForgetReportsAsync(Database database, long before, CancellationToken cancel) => await database.ReadAsync(db => weeks.DropAsync(db, before, cancel), cancel);

    public override async Task<List<object?[]>[]> LookUpAsync(CoppiceDb db, string[] values, IReadOnlyList<(TableShape Table, string Column)> looks, CancellationToken cancel)
    {
        await using var batch = Batch(db);
        // Until the transaction ends: the rows are found by their keys. Of tables that are small, or that were not counted since they grew, the planner would rather read all.
        foreach (var way in (string[])["seqscan", "hashjoin", "mergejoin"])
            batch.BatchCommands.Add(new($"SET LOCAL enable_{way} = off"));
        foreach (var (table, column) in looks)
        {
            batch.BatchCommands.Add(new($"SELECT {table.ColumnList} FROM \"{table.Name}\" WHERE \"{column}\" = ANY($1)")
            {
                Parameters = { new() { NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.Text, Value = values } },
            });
        }

        var found = new List<object?[]>[looks.Count];
        await using var reader = await batch.ExecuteReaderAsync(cancel);
        for (var i = 0; i < found.Length; i++)
        {
            found[i] = [];
            while (await reader.ReadAsync(cancel))
                found[i].Add(looks[i].Table.Row(reader));
            await reader.NextResultAsync(cancel);
        }

        return found;
    }

    public override async Task UpdateAsync(CoppiceDb db, IReadOnlyList<(TableShape Table, IReadOnlyList<object?[]> Rows)> changes, CancellationToken cancel)
    {
        await using var batch = Batch(db);
        foreach (var (table, rows) in changes.Where(change => change.Rows.Count > 0))
            batch.BatchCommands.Add(Update(table, rows));
        if (batch.BatchCommands.Count > 0)
            await batch.ExecuteNonQueryAsync(cancel);
    }

    /// <summary>Commands that go to the database together and are answered together.</summary>
    static NpgsqlBatch Batch(CoppiceDb db) => new((NpgsqlConnection)db.Database.GetDbConnection(), (NpgsqlTransaction?)db.Database.CurrentTransaction?.GetDbTransaction());

    static NpgsqlBatchCommand Update(TableShape table, IReadOnlyList<object?[]> rows)
    {
        string Are(string parted, bool key) => string.Join(parted, table.Columns.Where(column => table.Key.Contains(column.Name) == key).Select(column => $"{(key ? "t." : "")}\"{column.Name}\" = v.\"{column.Name}\""));
        var command = new NpgsqlBatchCommand($"UPDATE \"{table.Name}\" AS t SET {Are(", ", key: false)} FROM unnest({string.Join(", ", table.Columns.Select((_, i) => $"${i + 1}"))}) AS v({table.ColumnList}) WHERE {Are(" AND ", key: true)}");
        for (var i = 0; i < table.Columns.Length; i++)
        {
            command.Parameters.Add(table.Columns[i].Kind switch
            {
                ColumnKind.Text => Values<string?>(NpgsqlDbType.Text, i),
                ColumnKind.Integer => Values<long?>(NpgsqlDbType.Bigint, i),
                ColumnKind.Real => Values<double?>(NpgsqlDbType.Double, i),
                ColumnKind.Boolean => Values<bool?>(NpgsqlDbType.Boolean, i),
                _ => Values<byte[]?>(NpgsqlDbType.Bytea, i),
            });
        }

        return command;

        NpgsqlParameter Values<T>(NpgsqlDbType type, int column)
        {
            var values = new T[rows.Count];
            for (var row = 0; row < values.Length; row++)
                values[row] = (T)rows[row][column]!;
            return new() { NpgsqlDbType = NpgsqlDbType.Array | type, Value = values };
        }
    }

    public override async Task<long> NextNumberAsync(CoppiceDb db, TableShape table, CancellationToken cancel)
    {
#pragma warning disable EF1002 // the name is the database's own
        var sequence = await SequenceAsync(db, table, cancel);
        return await db.Database.SqlQueryRaw<long>($"SELECT last_value + CASE WHEN is_called THEN 1 ELSE 0 END AS \"Value\" FROM {sequence}").SingleAsync(cancel);
#pragma warning restore EF1002
    }

    public override async Task SetNextNumberAsync(CoppiceDb db, TableShape table, long next, CancellationToken cancel) =>
        await db.Database.SqlQuery<long>($"""SELECT setval({await SequenceAsync(db, table, cancel)}::regclass, {next}, false) AS "Value" """).SingleAsync(cancel);

    static Task<string> SequenceAsync(CoppiceDb db, TableShape table, CancellationToken cancel) =>
        db.Database.SqlQuery<string>($"""SELECT pg_get_serial_sequence({$"\"{table.Name}\""}, {table.Counter}) AS "Value" """).SingleAsync(cancel);

    public override async Task<bool> HasTablesAsync(CoppiceDb db, CancellationToken cancel) =>
        await db.Database.SqlQuery<long>($"""SELECT count(*) AS "Value" FROM pg_tables WHERE schemaname = current_schema()""").SingleAsync(cancel) > 0;

    // A start may take long: keys are made, plans are signed.
    public override Task KeepStartersOutAsync(CoppiceDb db, CancellationToken cancel) => db.Database.ExecuteSqlRawAsync(Lock(StartLock, "15min"), cancel);

    public override async Task<LeaseAnswer> LeaseAsync(CoppiceDb db, string name, string holder, TimeSpan life, CancellationToken cancel)
    {
        var span = (long)life.TotalMilliseconds;
        var answers = await db.Database.SqlQuery<LeaseAnswer>($"""
            WITH clock AS MATERIALIZED (SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now),
            taken AS (
              INSERT INTO "Leases" AS held ("Name", "Holder", "Term", "Until") SELECT {name}, {holder}, 1, now + {span} FROM clock
              ON CONFLICT ("Name") DO UPDATE SET
                "Holder" = excluded."Holder", "Until" = excluded."Until",
                "Term" = held."Term" + CASE WHEN held."Holder" = excluded."Holder" THEN 0 ELSE 1 END
              WHERE held."Holder" = excluded."Holder" OR held."Until" <= (SELECT now FROM clock)
              RETURNING "Term"
            )
            SELECT (SELECT "Term" FROM taken) AS "Term", now AS "Now" FROM clock
            """).ToListAsync(cancel);
        return answers[0];
    }

    public override Task<long> ClockAsync(CoppiceDb db, CancellationToken cancel) =>
        db.Database.SqlQuery<long>($"""SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS "Value" """).SingleAsync(cancel);

    public override async Task ListenAsync(Action heard, CancellationToken cancel)
    {
        await using var connection = await source.OpenConnectionAsync(cancel);
        connection.Notification += (_, _) => heard();
        await using (var listen = connection.CreateCommand())
        {
            listen.CommandText = $"LISTEN {Channel}";
            await listen.ExecuteNonQueryAsync(cancel);
        }

        heard(); // what happened while nobody listened
        while (true)
            await connection.WaitAsync(cancel);
    }

    public override Task TellOfEventsAsync(CoppiceDb db, CancellationToken cancel) => db.Database.ExecuteSqlRawAsync($"NOTIFY {Channel}", cancel);

    public override string Translate(string migration) => PostgresDialect.Translate(migration);

    public override bool IsUnavailable(DbException failure) => failure is NpgsqlException { IsTransient: true };

    public override void Dispose() => source.Dispose();

    /// <summary>Within a transaction: one of the locks, until it ends.</summary>
    public static Task LockAsync(CoppiceDb db, long which, CancellationToken cancel) =>
        db.Database.ExecuteSqlRawAsync(Lock(which, "60s"), cancel);

    // The database ends a transaction whose client has been quiet for so long: a machine that vanished must not keep others out.
    static string Lock(long which, string quiet) =>
        string.Create(CultureInfo.InvariantCulture, $"SET LOCAL idle_in_transaction_session_timeout = '{quiet}'; SELECT pg_advisory_xact_lock({which})");
}
