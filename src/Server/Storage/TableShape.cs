using System.Collections.Immutable;
using System.Data.Common;
using System.Runtime.CompilerServices;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Metadata;
using Microsoft.EntityFrameworkCore.Storage;

namespace Coppice.Server.Storage;

/// <summary>What a column holds, in either database.</summary>
enum ColumnKind
{
    Text,
    Integer,
    Real,
    Boolean,
    Bytes,
}

/// <param name="Name">As the migrations write it.</param>
/// <param name="Kind">What it holds.</param>
readonly record struct Column(string Name, ColumnKind Kind);

/// <summary>A table as rows of plain values go in and out: <see cref="string"/>, <see cref="long"/>, <see cref="double"/>, <see cref="bool"/>, bytes or null, in the order of its columns.</summary>
/// <param name="Name">As the migrations write it.</param>
/// <param name="Columns">In the order of their names.</param>
/// <param name="Key">Columns of its primary key: the order in which it is read.</param>
/// <param name="Counter">The column that the database numbers; null for none.</param>
sealed record TableShape(string Name, ImmutableArray<Column> Columns, ImmutableArray<string> Key, string? Counter)
{
    /// <summary>Every table of the model, by name.</summary>
    public static ImmutableArray<TableShape> All(IModel model) => [.. model.GetEntityTypes().Select(Of).OrderBy(table => table.Name, StringComparer.Ordinal)];

    static TableShape Of(IEntityType entity)
    {
        var key = entity.FindPrimaryKey()!.Properties;
        return new(
            entity.GetTableName()!,
            [.. entity.GetProperties().Select(property => new Column(property.GetColumnName(), Kind(property))).OrderBy(column => column.Name, StringComparer.Ordinal)],
            [.. key.Select(property => property.GetColumnName())],
            key is [{ ValueGenerated: ValueGenerated.OnAdd } number] && Kind(number) == ColumnKind.Integer ? number.GetColumnName() : null);
    }

    static ColumnKind Kind(IProperty property)
    {
        var type = property.GetTypeMapping().Converter?.ProviderClrType ?? property.ClrType;
        type = Nullable.GetUnderlyingType(type) ?? type;
        return (Nullable.GetUnderlyingType(property.ClrType) ?? property.ClrType) == typeof(bool) ? ColumnKind.Boolean
            : type == typeof(string) ? ColumnKind.Text
            : type == typeof(byte[]) ? ColumnKind.Bytes
            : type == typeof(double) ? ColumnKind.Real
            : ColumnKind.Integer;
    }

    /// <summary>The names of its columns, quoted, for SQL.</summary>
    public string ColumnList => string.Join(", ", Columns.Select(column => $"\"{column.Name}\""));

    /// <summary>Reads all rows in the order of their key, one at a time. What is seen is the transaction's.</summary>
    public async IAsyncEnumerable<object?[]> ReadAsync(CoppiceDb db, [EnumeratorCancellation] CancellationToken cancel)
    {
        await using var command = db.Database.GetDbConnection().CreateCommand();
        command.Transaction = db.Database.CurrentTransaction?.GetDbTransaction();
        command.CommandTimeout = 0; // a large table takes its time
#pragma warning disable CA2100 // the names are the program's own
        command.CommandText = $"SELECT {ColumnList} FROM \"{Name}\" ORDER BY {string.Join(", ", Key.Select(column => $"\"{column}\""))}";
#pragma warning restore CA2100
        await using var reader = await command.ExecuteReaderAsync(cancel);
        while (await reader.ReadAsync(cancel))
            yield return Row(reader);
    }

    /// <summary>The row that a reader stands on, which reads the columns in their order.</summary>
    public object?[] Row(DbDataReader reader)
    {
        var row = new object?[Columns.Length];
        for (var i = 0; i < row.Length; i++)
        {
            if (!reader.IsDBNull(i))
            {
                row[i] = Columns[i].Kind switch
                {
                    ColumnKind.Text => reader.GetString(i),
                    ColumnKind.Integer => reader.GetInt64(i),
                    ColumnKind.Real => reader.GetDouble(i),
                    ColumnKind.Boolean => reader.GetBoolean(i),
                    _ => reader.GetFieldValue<byte[]>(i),
                };
            }
        }

        return row;
    }
}
