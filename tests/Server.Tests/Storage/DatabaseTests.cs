using Coppice.Server.Storage;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Metadata;

namespace Coppice.Server.Tests.Storage;

public sealed class DatabaseTests : IDisposable
{
    readonly string folder = Directory.CreateDirectory(RunningServer.NewFolder()).FullName;

    string File => Path.Combine(folder, "coppice.db");

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public async Task The_migrations_make_the_tables_and_columns_that_the_code_reads()
    {
        using var database = await Database.OpenAsync(File, CancellationToken.None);
        await database.ReadAsync(async db =>
        {
            foreach (var entity in db.Model.GetEntityTypes())
            {
                var wanted = entity.GetProperties().Select(property => (property.GetColumnName(), !property.IsNullable)).Order();
#pragma warning disable EF1002 // the name is the model's own
                var found = await db.Database.SqlQueryRaw<string>($"""SELECT name || '|' || ("notnull" OR pk) AS Value FROM pragma_table_info('{entity.GetTableName()}')""").ToListAsync();
#pragma warning restore EF1002
                Assert.Equal(wanted, found.Select(text => (text.Split('|')[0], text.EndsWith('1'))).Order());
                var keys = entity.FindPrimaryKey()!.Properties.Select(property => property.GetColumnName(StoreObjectIdentifier.Table(entity.GetTableName()!)));
                Assert.NotEmpty(keys);
            }

            return true;
        }, CancellationToken.None);
    }

    [Fact]
    public async Task Opened_again_nothing_is_made_again()
    {
        using (await Database.OpenAsync(File, CancellationToken.None))
        {
        }

        using var again = await Database.OpenAsync(File, CancellationToken.None);
        Assert.False(await again.ReadAsync(db => db.Devices.AnyAsync(), CancellationToken.None));
    }

    [Fact]
    public async Task A_database_of_a_newer_version_is_left_alone()
    {
        using (await Database.OpenAsync(File, CancellationToken.None))
        {
        }

        await using (var connection = new SqliteConnection($"Data Source={File};Pooling=False"))
        {
            await connection.OpenAsync();
            await using var command = connection.CreateCommand();
            command.CommandText = "PRAGMA user_version = 999;";
            await command.ExecuteNonQueryAsync();
        }

        Assert.Contains("Run the newer version", (await Assert.ThrowsAsync<InvalidDataException>(() => Database.OpenAsync(File, CancellationToken.None))).Message);
    }

    [Fact]
    public async Task A_write_that_throws_leaves_nothing()
    {
        using var database = await Database.OpenAsync(File, CancellationToken.None);

        await Assert.ThrowsAsync<InvalidOperationException>(() => database.WriteAsync<int>(async db =>
        {
            db.Operators.Add(new() { Name = "half", Grants = "[]", CreatedAt = DateTimeOffset.UnixEpoch, CreatedBy = "x" });
            await db.SaveChangesAsync();
            throw new InvalidOperationException("on purpose");
        }, CancellationToken.None));

        Assert.False(await database.ReadAsync(db => db.Operators.AnyAsync(), CancellationToken.None));
    }
}
