using System.Text;
using Coppice.Server.Backups;
using Coppice.Server.Storage;
using Coppice.Trust;
using Microsoft.EntityFrameworkCore;

namespace Coppice.Server.Tests.Backups;

public sealed class BackupFileTests : IAsyncLifetime
{
    readonly SealingKey key = SealingKey.Create();

    /// <summary>Opened by a key: a password is slow on purpose.</summary>
    BackupReaders ByKey => new(null, [key.Public]);

    readonly string folder = Directory.CreateDirectory(RunningServer.NewFolder()).FullName;
    readonly FakeTime time = new();

    public async Task InitializeAsync()
    {
        await using var server = await RunningServer.StartAsync(null, Data, time);
        await server.PublishAsync("1.0.0");
        await server.StartRolloutAsync("1.0.0");
        await server.EnrolAsync("till-1");
    }

    public Task DisposeAsync()
    {
        key.Dispose();
        Directory.Delete(folder, recursive: true);
        return Task.CompletedTask;
    }

    string Data => In("data");

    string In(string name) => Path.Combine(folder, name);

    Task<BackupMade> BackUpAsync(string name, ServerPlace? place = null, BackupReaders? readers = null, bool withoutKeys = false, bool withBlobs = false) =>
        Backup.CreateAsync(new(place ?? new(Data), In(name), readers ?? ByKey) { WithoutKeys = withoutKeys, WithBlobs = withBlobs, Time = time }, CancellationToken.None);

    Task<RestoreDone> RestoreAsync(string name, ServerPlace place) => RestoreAsync(name, place, null, key);

    Task<RestoreDone> RestoreAsync(string name, ServerPlace place, string? password, SealingKey? key = null) =>
        Restore.RunAsync(new(In(name), place) { Password = () => password, Key = key, Moved = true, Time = time }, CancellationToken.None);

    [Fact]
    public async Task Every_row_of_every_table_is_the_same_after_the_way_to_the_other_database_and_back()
    {
        await FillAsync();
        var before = await RowsAsync(new(Data));
        await BackUpAsync("sqlite.cpbk");
        var there = new ServerPlace(In("there")) { Database = await RunningServer.NewDatabaseAsync() };
        await RestoreAsync("sqlite.cpbk", there);
        Same(before, await RowsAsync(there));

        await BackUpAsync("postgres.cpbk", there);
        var back = new ServerPlace(In("back"));
        await RestoreAsync("postgres.cpbk", back);
        Same(before, await RowsAsync(back));
        var files = new[] { "repository/metadata", "repository/targets", "keys", "authorities" }.SelectMany(part => Directory.GetFiles(Path.Combine(back.Data, part), "*", SearchOption.AllDirectories)).ToList();
        Assert.Contains(files, file => file.EndsWith("timestamp.json", StringComparison.Ordinal));
        Assert.All(files, file => Assert.Equal(File.ReadAllBytes(Path.Combine(Data, Path.GetRelativePath(back.Data, file))), File.ReadAllBytes(file)));
    }

    /// <summary>Puts rows into every table that has few: all kinds of values, and none.</summary>
    async Task FillAsync()
    {
        using var database = await Database.AttachAsync(null, new ServerPlace(Data).DatabaseFile, CancellationToken.None);
        await database.WriteAsync(async db =>
        {
            var nullable = db.Model.GetEntityTypes().ToDictionary(entity => entity.GetTableName()!, entity => entity.GetProperties().Where(property => property.IsNullable).Select(property => property.GetColumnName()).ToHashSet());
            foreach (var table in Backup.Tables(db).Where(table => table.Name is not ("Events" or "AuditCheckpoints" or "Restores")))
                await database.Engine.InsertAsync(db, table, Enumerable.Range(0, 3).Select(row => table.Columns.Select((column, i) => Value(table, column, row, i, nullable[table.Name].Contains(column.Name))).ToArray()), CancellationToken.None);
            return true;
        }, CancellationToken.None);
    }

    static object? Value(TableShape table, Column column, int row, int i, bool nullable) => column.Kind switch
    {
        _ when nullable && row == 1 => null,
        ColumnKind.Text => (table.Key.Contains(column.Name) || row == 0 ? $"{table.Name} {row} {i} – \"½\" \\ \t 🌲 \u2028 </script>" : row == 1 ? $"a {i} {row}" : new string('x', 70_000) + i),
        ColumnKind.Integer => table.Key.Contains(column.Name) ? 1_000 + row : row == 0 ? long.MaxValue : row == 1 ? 0L : long.MinValue,
        ColumnKind.Real => row == 0 ? 0.1 + 0.2 : row == 1 ? double.NegativeInfinity : 5e-324,
        ColumnKind.Boolean => row == 0,
        _ => row == 0 ? Array.Empty<byte>() : new byte[] { 0, 255, (byte)i },
    };

    static async Task<SortedDictionary<string, List<string>>> RowsAsync(ServerPlace place)
    {
        using var database = await Database.AttachAsync(place.Database, place.DatabaseFile, CancellationToken.None);
        var (db, moment) = database.BeginReading();
        await using (db)
        using (moment)
        {
            var all = new SortedDictionary<string, List<string>>(StringComparer.Ordinal);
            foreach (var table in Backup.Tables(db))
            {
                var rows = all[table.Name] = [];
                await foreach (var row in table.ReadAsync(db, CancellationToken.None))
                    rows.Add(string.Join('|', row.Select(value => value is byte[] bytes ? Convert.ToHexString(bytes) : value is double number ? BitConverter.DoubleToInt64Bits(number).ToString("x") : value?.ToString() ?? "∅")));
                if (table.Counter is not null)
                    rows.Add($"next {await database.Engine.NextNumberAsync(db, table, CancellationToken.None)}");
            }

            return all;
        }
    }

    static void Same(SortedDictionary<string, List<string>> before, SortedDictionary<string, List<string>> after)
    {
        Assert.Equal(before.Keys, after.Keys);
        foreach (var (table, rows) in before)
        {
            if (table == "Events")
                Assert.Equal(rows[..^1], after[table].Take(rows.Count - 1)); // then the entry that tells of the move
            else
                Assert.Equal(rows, after[table]);
        }
    }

    [Fact]
    public async Task A_file_that_was_changed_anywhere_or_cut_anywhere_changes_nothing()
    {
        foreach (var (name, readers) in new[] { ("sealed.cpbk", ByKey), ("clear.cpbk", new BackupReaders(null, [])) })
        {
            await BackUpAsync(name, readers: readers, withoutKeys: !readers.Seals);
            var whole = await File.ReadAllBytesAsync(In(name));
            for (var i = 0; i < 24; i++)
            {
                var at = i * (whole.Length - 1) / 23;
                var broken = whole.ToArray();
                broken[at] ^= 0x20;
                await RefusedAsync(broken, $"{name}: byte {at} of {whole.Length}");
                await RefusedAsync(whole[..at], $"{name}: cut at {at} of {whole.Length}");
            }

            await RefusedAsync([.. whole, 0], $"{name}: lengthened");
        }

        Assert.False(Directory.Exists(In("new")));

        async Task RefusedAsync(byte[] bytes, string what)
        {
            await File.WriteAllBytesAsync(In("broken"), bytes);
            var refused = await Record.ExceptionAsync(() => RestoreAsync("broken", new(In("new"))));
            Assert.True(refused is BackupException, $"{what}: {refused?.ToString() ?? "it was taken"}");
        }
    }

    [Fact]
    public async Task Only_the_password_or_a_key_that_it_was_made_for_opens_it_and_no_key_of_the_server_is_read_in_it()
    {
        using var own = SealingKey.Create();
        using var strange = SealingKey.Create();
        await BackUpAsync("b.cpbk", readers: new("correct horse", [own.Public]));
        var text = Encoding.Latin1.GetString(await File.ReadAllBytesAsync(In("b.cpbk")));
        Assert.DoesNotContain("BEGIN PRIVATE KEY", text);
        Assert.DoesNotContain("till-1", text);

        Assert.Contains("The password does not open", (await Assert.ThrowsAsync<BackupException>(() => RestoreAsync("b.cpbk", new(In("x")), "wrong"))).Message);
        Assert.Contains("give its password, or the private key", (await Assert.ThrowsAsync<BackupException>(() => RestoreAsync("b.cpbk", new(In("x")), null))).Message);
        Assert.Contains("the key that is given does not open it", (await Assert.ThrowsAsync<BackupException>(() => RestoreAsync("b.cpbk", new(In("x")), null, strange))).Message);
        Assert.True((await RestoreAsync("b.cpbk", new(In("x")), null, own)).Keys);

        Assert.Contains("is encrypted; give a password or a public key", (await Assert.ThrowsAsync<BackupException>(() => BackUpAsync("c.cpbk", readers: new(null, [])))).Message);
        await BackUpAsync("c.cpbk", readers: new(null, []), withoutKeys: true);
        Assert.DoesNotContain("PRIVATE KEY", Encoding.Latin1.GetString(await File.ReadAllBytesAsync(In("c.cpbk"))));
        Assert.False((await RestoreAsync("c.cpbk", new(In("y")), null)).Keys);
        var keyless = await Assert.ThrowsAsync<InvalidDataException>(() => RunningServer.StartAsync(null, In("y"), time));
        Assert.Contains("its online key is not in", keyless.Message);
    }

    [Fact]
    public async Task It_is_put_back_into_an_empty_place_only_and_a_restore_that_was_cut_short_is_begun_again()
    {
        await BackUpAsync("b.cpbk");
        Assert.Contains("is there already", (await Assert.ThrowsAsync<BackupException>(() => BackUpAsync("b.cpbk"))).Message);
        Assert.Contains("is not empty", (await Assert.ThrowsAsync<BackupException>(() => RestoreAsync("b.cpbk", new(Data)))).Message);
        var used = await RunningServer.NewDatabaseAsync();
        using (await Database.OpenAsync(used, CancellationToken.None))
        {
        }

        var full = await Assert.ThrowsAsync<InvalidDataException>(() => RestoreAsync("b.cpbk", new(In("new")) { Database = used }));
        Assert.Contains("holds tables already", full.Message);
        Assert.Equal(["lock"], new DirectoryInfo(In("new")).GetFileSystemInfos().Select(entry => entry.Name));

        // As a power cut leaves it in the middle.
        Directory.CreateDirectory(Path.Combine(In("new"), "restore.part", "repository"));
        Directory.CreateDirectory(Path.Combine(In("new"), "keys"));
        Assert.Contains("was not finished", (await Assert.ThrowsAsync<InvalidDataException>(() => RunningServer.StartAsync(null, In("new"), time))).Message);
        await RestoreAsync("b.cpbk", new(In("new")));
        await using var server = await RunningServer.StartAsync(null, In("new"), time);
        Assert.Single((await server.Client.ListDevicesAsync()).Devices);
    }

    [Fact]
    public async Task Beside_writers_it_holds_one_moment()
    {
        await using var server = await RunningServer.StartAsync(null, Data, time);
        using var stop = new CancellationTokenSource();
        var database = server.Get<Database>();
        var writing = Task.Run(async () =>
        {
            for (var i = 0; !stop.IsCancellationRequested; i++)
            {
                // Both or neither: a group, and a model of the same name.
                await database.WriteAsync(db =>
                {
                    db.Groups.Add(new() { Name = $"g{i}", Description = "", ChangedAt = time.GetUtcNow(), ChangedBy = "test" });
                    db.Models.Add(new() { Name = Coppice.Registry.ModelName.Parse($"plant/g{i}") });
                    return Task.FromResult(true);
                }, CancellationToken.None);
            }
        });
        for (var i = 0; i < 4; i++)
            await BackUpAsync($"{i}.cpbk");
        await stop.CancelAsync();
        await writing;

        for (var i = 0; i < 4; i++)
        {
            await Restore.RunAsync(new(In($"{i}.cpbk"), new(In($"moment-{i}"))) { Key = key, Time = time }, CancellationToken.None);
            using var restored = await Database.AttachAsync(null, new ServerPlace(In($"moment-{i}")).DatabaseFile, CancellationToken.None);
            var (groups, models) = await restored.ReadAsync(async db => (await db.Groups.Select(row => "plant/" + row.Name).ToListAsync(), await db.Models.Select(row => row.Name).ToListAsync()), CancellationToken.None);
            Assert.Equal(groups.Append("plant/bearing").Order(), models.Select(model => model.ToString()).Order());
        }
    }

    [Fact]
    public async Task An_export_holds_no_secret_and_another_server_takes_devices_from_it()
    {
        string[] secrets;
        await using (var server = await RunningServer.StartAsync(null, Data, time))
        {
            var join = await server.Client.CreateJoinTokenAsync(new(TimeSpan.FromDays(1), 5));
            await server.Client.PutGroupAsync("canaries", new() { Description = "the brave" });
            secrets = [server.Token, join.Token, .. await server.Get<Database>().ReadAsync(db => db.ApiTokens.Select(row => row.Hash).ToListAsync(), CancellationToken.None)];
            await using var output = File.Create(In("export.jsonl"));
            await RowExchange.ExportAsync(new(Data), output, CancellationToken.None); // beside it
        }

        var text = await File.ReadAllTextAsync(In("export.jsonl"));
        Assert.All(secrets, secret => Assert.DoesNotContain(secret, text));
        Assert.DoesNotContain("PRIVATE KEY", text);
        Assert.Contains("""{"table":"Groups","row":{"ChangedAt":""", text);

        await using (await RunningServer.StartAsync(null, In("other"), time))
        await using (var busy = File.OpenRead(In("export.jsonl")))
            await Assert.ThrowsAsync<DataFolderBusyException>(() => RowExchange.ImportAsync(new(In("other")), busy, time, CancellationToken.None));
        await using (var input = File.OpenRead(In("export.jsonl")))
        {
            var (taken, left) = await RowExchange.ImportAsync(new(In("other")), input, time, CancellationToken.None);
            Assert.Equal((1, 1, 0), (taken["Devices"], taken["Groups"], taken["Operators"]));
            Assert.True(left > 3);
        }

        await using (var again = File.OpenRead(In("export.jsonl")))
            Assert.Contains("has devices, groups or policies already", (await Assert.ThrowsAsync<BackupException>(() => RowExchange.ImportAsync(new(In("other")), again, time, CancellationToken.None))).Message);
        await using var other = await RunningServer.StartAsync(null, In("other"), time);
        Assert.Equal("till-1", Assert.Single((await other.Client.ListDevicesAsync()).Devices).Id);
        Assert.Equal(Protocol.EventKind.ServerImported, (await other.Client.ListEventsAsync()).Events[^1].Kind);
    }
}
