using System.Net;
using Coppice.Server.Storage;
using Coppice.Tests;
using Microsoft.EntityFrameworkCore;

namespace Coppice.Server.Tests.Storage;

public sealed class PostgresTests : DatabaseTests, IAsyncLifetime
{
    string url = "";

    PostgresAddress Address => Parsed(url);

    public async Task InitializeAsync() => url = await (await PostgresCluster.SharedAsync()).NewDatabaseAsync();

    public Task DisposeAsync() => Task.CompletedTask;

    internal override Task<Database> OpenAsync() => Database.OpenAsync(Address, CancellationToken.None);

    internal override Task<Database> OpenEmptyAsync() => Database.OpenEmptyAsync(Address, "", CancellationToken.None);

    protected override string Columns(string table) =>
        $"""SELECT column_name || '|' || data_type || coalesce(' ' || collation_name, '') || '|' || (is_nullable = 'NO')::int AS "Value" FROM information_schema.columns WHERE table_name = '{table}'""";

    protected override string TypeOf(string stored) => stored switch
    {
        "TEXT" => "text C", // ordered by its bytes, though the database's own order is another
        "BLOB" => "bytea",
        "REAL" => "double precision",
        "BOOLEAN" => "boolean",
        _ => "bigint",
    };

    protected override async Task RunAsync(string sql) => await (await PostgresCluster.SharedAsync()).QueryAsync(url, sql);

    [Fact]
    public async Task Servers_that_start_at_the_same_moment_make_the_tables_once()
    {
        var opened = await Task.WhenAll(Enumerable.Range(0, 6).Select(_ => OpenAsync()));

        foreach (var database in opened)
        {
            Assert.False(await database.ReadAsync(db => db.Devices.AnyAsync(), CancellationToken.None));
            database.Dispose();
        }
    }

    [Fact]
    public async Task Writers_of_two_processes_do_not_lose_each_others_changes()
    {
        using var first = await OpenAsync();
        using var second = await OpenAsync();
        await first.WriteAsync(async db => await db.Models.AddAsync(new() { Name = RunningServer.Bearing }), CancellationToken.None);

        await Task.WhenAll(Enumerable.Range(0, 60).Select(i => (i % 2 == 0 ? first : second).WriteAsync(async db => (await db.Models.SingleAsync()).Serial++, CancellationToken.None)));

        Assert.Equal(60, await second.ReadAsync(db => db.Models.Select(row => row.Serial).SingleAsync(), CancellationToken.None));
    }

    [Fact]
    public async Task Events_of_two_processes_stand_in_one_chain_without_gap_or_fork()
    {
        using var first = await OpenAsync();
        using var second = await OpenAsync();

        await Task.WhenAll(Enumerable.Range(0, 40).Select(i => (i % 2 == 0 ? first : second).WriteAsync(
            async db => await db.Events.AddAsync(new() { At = DateTimeOffset.UnixEpoch, Kind = Protocol.EventKind.DeviceRetired, By = "test", Why = $"{i}" }), CancellationToken.None)));

        var rows = await first.ReadAsync(db => db.Events.OrderBy(row => row.Id).ToListAsync(), CancellationToken.None);
        Assert.Equal(Enumerable.Range(1, 40).Select(i => (long)i), rows.Select(row => row.Id));
        var hash = Coppice.Audit.AuditChain.Start;
        foreach (var row in rows)
        {
            hash = row.Entry().HashAfter(hash);
            Assert.Equal(hash.ToString(), row.Hash);
        }
    }

    [Fact]
    public async Task While_the_database_is_away_requests_are_told_so_and_afterwards_everything_goes_on()
    {
        await using var cluster = await PostgresCluster.StartAsync();
        var address = Parsed(await cluster.NewDatabaseAsync());
        await using var server = await RunningServer.StartAsync(options => options with { Database = address });
        var device = await server.EnrolAsync("till-1");
        await server.PublishAsync("1.0.0");
        await server.StartRolloutAsync("1.0.0");
        await device.SayAsync(TestDevice.Report(1, Protocol.ReportKind.Started));

        await cluster.KillAsync();
        var away = await server.Operator.GetAsync("v1/devices").ProblemAsync(503);
        Assert.Equal("/problems/database-unavailable", away.Type);
        Assert.Equal("/problems/database-unavailable", (await device.PostAsync(new([TestDevice.Report(2, Protocol.ReportKind.Settled)])).ProblemAsync(503)).Type);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await server.Anyone.GetAsync("readyz")).StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await server.Anyone.GetAsync("repository/metadata/timestamp.json")).StatusCode); // devices read on

        await cluster.RestartAsync();
        Assert.Equal(2, (await device.SayAsync(TestDevice.Report(2, Protocol.ReportKind.Settled))).Through);
        await server.JudgeAsync();
        Assert.Equal(1, (await server.RolloutAsync()).Counts.Settled);
        Assert.Equal(HttpStatusCode.OK, (await server.Anyone.GetAsync("readyz")).StatusCode);
    }

    [Fact]
    public async Task A_week_of_reports_is_begun_and_dropped_beside_who_reads_and_nobody_waits()
    {
        using var database = await OpenAsync();
        Assert.Equal(1, await WriteAsync(database, 2900, 1));
        var (reading, moment) = database.BeginReading(); // a backup
        Assert.Equal(1, await reading.Reports.CountAsync());

        Assert.Equal(1, await WriteAsync(database, 2960, 2)); // a week of which there was none
        var dropping = database.Engine.ForgetReportsAsync(database, 2950, CancellationToken.None);
        for (var number = 3; number < 40; number++)
            Assert.Equal(1, await WriteAsync(database, 2960 + (number % 2), number));
        Assert.False(dropping.IsCompleted);
        Assert.Equal(1, await reading.Reports.CountAsync());
        await moment.DisposeAsync();
        await reading.DisposeAsync();

        Assert.Equal(1, await dropping);
        Assert.Equal("Reports_2026_09_24,Reports_2026_10_01", await PartsAsync());
    }

    [Fact]
    public async Task Servers_that_begin_the_same_week_at_once_begin_it_once()
    {
        using var first = await OpenAsync();
        using var second = await OpenAsync();

        await Task.WhenAll(Enumerable.Range(1, 24).Select(number => WriteAsync(number % 2 == 0 ? first : second, 2960 + (number % 3), number)));

        Assert.Equal("Reports_2026_09_24,Reports_2026_10_01,Reports_2026_10_08", await PartsAsync());
        Assert.Equal(24, await first.ReadAsync(db => db.Reports.CountAsync(), CancellationToken.None));
    }

    [Fact]
    public async Task A_week_whose_first_write_was_undone_or_that_another_server_dropped_is_begun_anew()
    {
        using var first = await OpenAsync();
        using var second = await OpenAsync();
        await Assert.ThrowsAsync<InvalidOperationException>(() => first.WriteAsync<int>(async db =>
        {
            await first.Engine.InsertAsync(db, Server.Fleet.ReportRow.Table, [Row(2960, 1)], CancellationToken.None);
            await first.Engine.InsertAsync(db, Server.Fleet.ReportRow.Table, [Row(2960, 2)], CancellationToken.None);
            throw new InvalidOperationException("on purpose");
        }, CancellationToken.None));
        Assert.Equal("", await PartsAsync());

        // What is not known to be wrong costs one refusal, upon which the intake writes again.
        Assert.Equal(1, await TwiceAsync(() => WriteAsync(first, 2960, 3)));
        Assert.Equal(1, await WriteAsync(first, 2960, 4));
        Assert.Equal(1, await second.Engine.ForgetReportsAsync(second, 2961, CancellationToken.None)); // its clock was wrong
        Assert.Equal(1, await TwiceAsync(() => WriteAsync(first, 2960, 5)));
        Assert.Equal(1, await first.ReadAsync(db => db.Reports.CountAsync(), CancellationToken.None));

        static async Task<long> TwiceAsync(Func<Task<long>> write)
        {
            try
            {
                return await write();
            }
            catch (Npgsql.PostgresException)
            {
                return await write();
            }
        }
    }

    Task<string> PartsAsync() => QueryAsync("""SELECT string_agg(relname, ',' ORDER BY relname) FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid WHERE relname LIKE 'Reports%' AND relkind = 'r'""");

    async Task<string> QueryAsync(string sql) => await (await PostgresCluster.SharedAsync()).QueryAsync(url, sql);

    static Task<long> WriteAsync(Database database, long week, long number) =>
        database.WriteAsync(db => database.Engine.InsertAsync(db, Server.Fleet.ReportRow.Table, [Row(week, number)], CancellationToken.None), CancellationToken.None);

    static object?[] Row(long week, long number) => Server.Fleet.ReportRow.Of("till-1", TestDevice.Report(number, Protocol.ReportKind.Settled), Server.Fleet.ReportRow.WeekBegins(week)).Values();

    [Fact]
    public async Task A_database_that_refuses_says_which_and_not_the_password()
    {
        var refused = await Assert.ThrowsAsync<InvalidDataException>(() => Database.OpenAsync(Parsed(url.Replace("coppice_", "nobodys_", StringComparison.Ordinal)), CancellationToken.None));

        Assert.Contains("nobodys_", refused.Message);
        Assert.DoesNotContain("secret", refused.Message);
    }

    static PostgresAddress Parsed(string url) => PostgresAddress.TryParse(url, out var address, out var problem) ? address : throw new InvalidOperationException(problem);
}

public sealed class PostgresAddressTests
{
    [Theory]
    [InlineData("postgres://ops@db.example.org/coppice", "db.example.org:5432/coppice", false)]
    [InlineData("postgresql://ops:p%40ss%2Fword@[::1]:6432/coppice?sslmode=verify-full&sslrootcert=/etc/ca.pem&pool=20", "::1:6432/coppice", true)]
    [InlineData("postgres://ops@localhost/fleet%20one?host=/var/run/postgresql", "/var/run/postgresql:5432/fleet one", false)]
    public void An_address_is_read(string text, string place, bool hasPassword)
    {
        Assert.True(PostgresAddress.TryParse(text, out var address, out var problem), problem);
        Assert.Equal((place, hasPassword), (address.Place, address.HasPassword));
    }

    [Theory]
    [InlineData("Host=db;Password=hunter2", "write postgres://")]
    [InlineData("mysql://db/coppice", "write postgres://")]
    [InlineData("postgres://ops:hunter2@db", "names no database")]
    [InlineData("postgres://ops:hunter2@db/coppice?sslmode=maybe", "verify-full")]
    [InlineData("postgres://ops:hunter2@db/coppice?sslmod=require", "'sslmod', which is not known")]
    [InlineData("postgres://ops:hunter2@db/coppice?pool=1", "4 to 1000")]
    public void What_is_no_address_is_refused_without_telling_the_password(string text, string wanted)
    {
        Assert.False(PostgresAddress.TryParse(text, out _, out var problem));
        Assert.Contains(wanted, problem);
        Assert.DoesNotContain("hunter2", problem);
    }
}

public sealed class PostgresDialectTests
{
    [Fact]
    public void Names_are_quoted_types_are_mapped_and_texts_and_comments_stay() => Assert.Equal(
        """
        -- Ready: a TEXT in a comment.
        CREATE TABLE "Rollouts" (
          "Number" bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
          "Model" text COLLATE "C" NOT NULL DEFAULT 'a TEXT, it''s',
          "By" text COLLATE "C" NULL,
          "Crashed" boolean NOT NULL DEFAULT FALSE,
          "Value" double precision NOT NULL,
          "Body" bytea NULL
        )   PARTITION BY RANGE ("Model");
        CREATE UNIQUE INDEX "RolloutsRunning" ON "Rollouts" ("Model") WHERE "State" = 'Running';
        SELECT "one"."value" FROM "Devices", json_each_text("Devices"."Facts"::json) AS "one";
        """,
        PostgresDialect.Translate("""
        -- Ready: a TEXT in a comment.
        CREATE TABLE Rollouts (
          Number INTEGER PRIMARY KEY AUTOINCREMENT,
          Model TEXT NOT NULL DEFAULT 'a TEXT, it''s',
          "By" TEXT NULL,
          Crashed BOOLEAN NOT NULL DEFAULT FALSE,
          Value REAL NOT NULL,
          Body BLOB NULL
        ) WITHOUT ROWID /*! PARTITION BY RANGE ("Model")*/;
        CREATE UNIQUE INDEX RolloutsRunning ON Rollouts (Model) WHERE State = 'Running';
        SELECT one.value FROM Devices, json_each(Devices.Facts) AS one;
        """));
}
