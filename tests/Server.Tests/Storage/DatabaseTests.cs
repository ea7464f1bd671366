using Coppice.Server.Fleet;
using Coppice.Server.Storage;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Metadata;

namespace Coppice.Server.Tests.Storage;

public class DatabaseTests : IDisposable
{
    readonly string folder = Directory.CreateDirectory(RunningServer.NewFolder()).FullName;

    string File => Path.Combine(folder, "coppice.db");

    public void Dispose()
    {
        Directory.Delete(folder, recursive: true);
        GC.SuppressFinalize(this);
    }

    internal virtual Task<Database> OpenAsync() => Database.OpenAsync(File, CancellationToken.None);

    internal virtual Task<Database> OpenEmptyAsync() => Database.OpenEmptyAsync(null, File, CancellationToken.None);

    /// <summary>For a table, a row for each column: NAME|TYPE|whether it is not null, as 1 or 0.</summary>
    protected virtual string Columns(string table) => $"""SELECT name || '|' || type || '|' || ("notnull" OR pk) AS "Value" FROM pragma_table_info('{table}')""";

    /// <summary>As the tables have it.</summary>
    protected virtual string TypeOf(string stored) => stored;

    protected virtual async Task RunAsync(string sql)
    {
        await using var connection = new SqliteConnection($"Data Source={File};Pooling=False");
        await connection.OpenAsync();
        await using var command = connection.CreateCommand();
        command.CommandText = sql;
        await command.ExecuteNonQueryAsync();
    }

    [Fact]
    public async Task The_migrations_make_the_tables_and_columns_that_the_code_reads()
    {
        using var database = await OpenAsync();
        await database.ReadAsync(async db =>
        {
            foreach (var entity in db.Model.GetEntityTypes())
            {
                var wanted = entity.GetProperties().Select(property => $"{property.GetColumnName()}|{TypeOf(Stored(property))}|{(property.IsNullable ? 0 : 1)}").Order();
#pragma warning disable EF1002 // the name is the model's own
                var found = await db.Database.SqlQueryRaw<string>(Columns(entity.GetTableName()!)).ToListAsync();
#pragma warning restore EF1002
                Assert.Equal(wanted, found.Order());
            }

            return true;
        }, CancellationToken.None);
    }

    [Fact]
    public async Task What_is_written_in_bulk_has_the_columns_of_the_model()
    {
        using var database = await OpenAsync();
        var tables = await database.ReadAsync(db => Task.FromResult(TableShape.All(db.Model).ToDictionary(table => table.Name)), CancellationToken.None);
        foreach (var written in new[] { ReportRow.Table, DeviceModelRow.Table, DeviceMarkRow.Table })
        {
            Assert.Equal(tables[written.Name].Columns.AsEnumerable(), written.Columns.AsEnumerable());
            Assert.Equal(tables[written.Name].Key.AsEnumerable(), written.Key.AsEnumerable());
        }

        foreach (var part in new[] { DeviceRow.Hearing, DeviceRow.HeardOf, DeviceRow.FactsOf, DeviceModelRow.StillServing })
        {
            Assert.Subset(tables[part.Name].Columns.ToHashSet(), part.Columns.ToHashSet());
            Assert.Equal(tables[part.Name].Key.AsEnumerable(), part.Key.AsEnumerable());
        }

        Assert.Equal("Serving", Assert.Single(DeviceModelRow.Table.Columns.Except(DeviceModelRow.StillServing.Columns)).Name);
    }

    [Fact]
    public async Task What_is_looked_up_and_changed_in_bulk_is_what_lies_in_the_tables()
    {
        using var database = await OpenAsync();
        var at = DateTimeOffset.FromUnixTimeMilliseconds(1_795_737_600_123);
        await database.WriteAsync(db =>
        {
            db.Devices.Add(Device("till-1"));
            db.Devices.Add(Device("till-2", row => (row.RetiredAt, row.RevokedAt, row.Suspect, row.Kept, row.Sendings, row.Through) = (at, at.AddDays(1), DeviceRow.Cloned, "1-9", "1 2:x", 9)));
            db.Devices.Add(Device("till-3"));
            db.DeviceModels.Add(new() { Device = "till-2", Model = RunningServer.Bearing, Release = RunningServer.V("1.1.0"), Last = Protocol.ReportKind.Switched });
            db.DeviceModels.Add(new()
            {
                Device = "till-1",
                Model = RunningServer.Bearing,
                Release = RunningServer.V("1.1.0+x"),
                Before = RunningServer.V("1.0.0"),
                Serving = RunningServer.V("1.1.0+x"),
                Settled = true,
                Last = Protocol.ReportKind.Settled,
                At = at,
                Sequence = 4,
                Variant = "fp32",
                Rollout = "r-1",
                Why = "\u00e6",
            });
            return Task.FromResult(true);
        }, CancellationToken.None);

        await database.WriteAsync(async db =>
        {
            var found = await database.Engine.LookUpAsync(db, ["till-2", "nobody", "till-1"], [(DeviceRow.Hearing, "Id"), (DeviceModelRow.Table, "Device")], CancellationToken.None);
            var (devices, models) = (found[0].Select(DeviceRow.Of).ToList(), found[1].Select(DeviceModelRow.Of).ToList());
            Assert.Equal(Told(await db.Devices.AsNoTracking().Where(row => row.Id != "till-3").ToListAsync()), Told(devices));
            Assert.Equal(Told(await db.DeviceModels.AsNoTracking().ToListAsync()), Told(models));

            foreach (var device in devices)
                (device.Kept, device.LastSeen, device.Facts) = ("3-" + device.Id[^1], at.AddHours(1), "{}");
            foreach (var model in models)
                (model.Why, model.Before, model.Settled) = ("later", null, !model.Settled);
            models[0].Serving = RunningServer.V("2.0.0");
            await database.Engine.UpdateAsync(
                db,
                [
                    (DeviceRow.HeardOf, [.. devices.Select(row => row.HeardValues())]), (DeviceRow.FactsOf, [devices[0].FactsValues()]), (DeviceModelRow.Table, [models[0].Values()]),
                    (DeviceModelRow.StillServing, [models[1].StillServingValues()]), (DeviceMarkRow.Table, []),
                ],
                CancellationToken.None);
            devices[1].Facts = """{"os":"linux"}""";
            Assert.Equal(Told(devices), Told(await db.Devices.AsNoTracking().Where(row => row.Id != "till-3").ToListAsync()));
            Assert.Equal(Told(models), Told(await db.DeviceModels.AsNoTracking().ToListAsync()));
            Assert.Equal("", (await db.Devices.AsNoTracking().SingleAsync(row => row.Id == "till-3")).Kept);
            return true;
        }, CancellationToken.None);

        DeviceRow Device(string id, Action<DeviceRow>? more = null)
        {
            var row = new DeviceRow { Id = id, SigningKey = $"key of {id}", EnrolledAt = at, LastSeen = at.AddMinutes(1), Facts = """{"os":"linux"}""", Labels = """{"site":"oslo"}""" };
            more?.Invoke(row);
            return row;
        }

        static IEnumerable<string> Told<T>(IEnumerable<T> rows) => rows.Select(row => string.Join('|', typeof(T).GetProperties(System.Reflection.BindingFlags.Public | System.Reflection.BindingFlags.Instance).Select(property => $"{property.Name}={property.GetValue(row)}"))).Order(StringComparer.Ordinal);
    }

    static string Stored(IProperty property)
    {
        var type = property.GetTypeMapping().Converter?.ProviderClrType ?? property.ClrType;
        type = Nullable.GetUnderlyingType(type) ?? type;
        return type == typeof(string) ? "TEXT" : type == typeof(byte[]) ? "BLOB" : type == typeof(double) ? "REAL" : (Nullable.GetUnderlyingType(property.ClrType) ?? property.ClrType) == typeof(bool) ? "BOOLEAN" : "INTEGER";
    }

    [Fact]
    public async Task Devices_of_before_have_the_marks_that_they_would_be_given_now()
    {
        using (var database = await OpenAsync())
        {
            await database.WriteAsync(db =>
            {
                db.Devices.Add(Device("till-1", """{"os":"linux","ram":"4","runtime.onnxruntime":"1.30.0","site":"oslo","withheld":"x","Runtime.x":"it's"}""", """{"kind":"till","group.canary":"true"}"""));
                db.Devices.Add(Device("till-2", "{}", """{"kind":"\u00e6 \"x\""}"""));
                return Task.FromResult(true);
            }, CancellationToken.None);
        }

        var given = await MarksAsync();
        await RunAsync("""DROP TABLE "DeviceMarks"; DELETE FROM "Migrations" WHERE "Name" LIKE '0018-%';""");

        Assert.Equal(["Runtime.x=it's till-1", "label.group.canary=true till-1", "label.kind=till till-1", "label.kind=\u00e6 \"x\" till-2", "site=oslo till-1"], given);
        Assert.Equal(given, await MarksAsync());

        DeviceRow Device(string id, string facts, string labels) => new() { Id = id, SigningKey = id, EnrolledAt = DateTimeOffset.UnixEpoch, LastSeen = DateTimeOffset.UnixEpoch, Facts = facts, Labels = labels };

        async Task<string[]> MarksAsync()
        {
            using var database = await OpenAsync();
            return await database.ReadAsync(async db => (await db.DeviceMarks.ToListAsync()).Select(row => $"{row.Name}={row.Value} {row.Device}").Order(StringComparer.Ordinal).ToArray(), CancellationToken.None);
        }
    }

    [Fact]
    public async Task Reports_of_before_lie_by_their_weeks_and_their_devices_know_which_they_are()
    {
        const long Week = 604_800_000;
        using (var empty = await OpenEmptyAsync())
        {
            await empty.WriteAsync(async db =>
            {
                await Migrations.RunAsync(db, empty.Engine, [.. Migrations.Known.Where(name => string.CompareOrdinal(name, "0020") < 0)], CancellationToken.None);
                return true;
            }, CancellationToken.None);
        }

        (string Id, long Highest)[] known = [("till-1", 7), ("till-2", 9), ("till-3", 0)];
        (string Device, long Number, long At)[] said = [("till-1", 1, Week - 1), ("till-1", 2, Week), ("till-1", 3, 9 * Week), ("till-1", 6, 9 * Week), ("till-1", 7, (9 * Week) + 1), ("till-2", 9, 2960 * Week)];
        foreach (var (id, highest) in known)
            await RunAsync($"""INSERT INTO "Devices" ("Id", "SigningKey", "EnrolledAt", "LastSeen", "Through", "Highest", "Facts", "Labels") VALUES ('{id}', 'key of {id}', 0, 0, 7, {highest}, '', '');""");
        foreach (var (device, number, at) in said)
            await RunAsync($"""INSERT INTO "Reports" ("Device", "Sequence", "At", "ReceivedAt", "Kind", "Model", "Release", "Attempt", "Why") VALUES ('{device}', {number}, 5, {at}, 'Settled', 'plant/bearing', '1.0.0', 0, 'why {number}');""");

        using var database = await OpenAsync();
        var (devices, reports) = await database.ReadAsync(async db => (
            await db.Devices.OrderBy(row => row.Id).Select(row => row.Id + ": " + row.Kept).ToListAsync(),
            (await db.Reports.ToListAsync()).Select(row => $"{row.Week} {row.Device} {row.Sequence} {row.Why}").Order(StringComparer.Ordinal).ToList()), CancellationToken.None);
        Assert.Equal(["till-1: 1-3 6-7", "till-2: 9-9", "till-3: "], devices);
        Assert.Equal(["0 till-1 1 why 1", "1 till-1 2 why 2", "2960 till-2 9 why 9", "9 till-1 3 why 3", "9 till-1 6 why 6", "9 till-1 7 why 7"], reports);

        Assert.Equal(3, await database.Engine.ForgetReportsAsync(database, 10, CancellationToken.None));
        Assert.Equal(["2960 till-2"], (await database.ReadAsync(db => db.Reports.ToListAsync(), CancellationToken.None)).Select(row => $"{row.Week} {row.Device}"));
    }

    [Fact]
    public async Task Opened_again_nothing_is_made_again()
    {
        using (await OpenAsync())
        {
        }

        using var again = await OpenAsync();
        Assert.False(await again.ReadAsync(db => db.Devices.AnyAsync(), CancellationToken.None));
    }

    [Fact]
    public async Task A_database_of_a_newer_version_is_left_alone()
    {
        using (await OpenAsync())
        {
        }

        await RunAsync("""INSERT INTO "Migrations" VALUES ('9999-later');""");

        Assert.Contains("Run the newer version", (await Assert.ThrowsAsync<InvalidDataException>(OpenAsync)).Message);
    }

    [Fact]
    public async Task A_write_that_throws_leaves_nothing()
    {
        using var database = await OpenAsync();

        await Assert.ThrowsAsync<InvalidOperationException>(() => database.WriteAsync<int>(async db =>
        {
            db.Operators.Add(new() { Name = "half", Grants = "[]", CreatedAt = DateTimeOffset.UnixEpoch, CreatedBy = "x" });
            await db.SaveChangesAsync();
            throw new InvalidOperationException("on purpose");
        }, CancellationToken.None));

        Assert.False(await database.ReadAsync(db => db.Operators.AnyAsync(), CancellationToken.None));
    }
}
