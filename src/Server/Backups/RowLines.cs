using System.Buffers;
using System.Collections.Immutable;
using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using Coppice.Server.Storage;

namespace Coppice.Server.Backups;

/// <summary>Rows as lines of JSON. A table is announced by a line with its columns; then each row is a line with its table and its values.</summary>
/// <remarks>
/// <c>{"table":"Groups","columns":{"Name":"text",…}}</c>, then <c>{"table":"Groups","row":{"Name":"canaries",…}}</c>. Bytes are base64; a number of a REAL column that JSON has not is the text
/// <c>NaN</c>, <c>Infinity</c> or <c>-Infinity</c>; a value that is not there is left out.
/// </remarks>
static class RowLines
{
    static readonly JsonWriterOptions Compact = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }; // read by programs and people, shown in no page

    public static void WriteTable(IBufferWriter<byte> to, TableShape table)
    {
        using var json = new Utf8JsonWriter(to, Compact);
        json.WriteStartObject();
        json.WriteString("table"u8, table.Name);
        json.WriteStartObject("columns"u8);
        foreach (var column in table.Columns)
            json.WriteString(column.Name, Name(column.Kind));
        json.WriteEndObject();
        json.WriteEndObject();
        json.Flush();
        to.Write("\n"u8);
    }

    public static void WriteRow(IBufferWriter<byte> to, TableShape table, ReadOnlySpan<object?> row)
    {
        using var json = new Utf8JsonWriter(to, Compact);
        json.WriteStartObject();
        json.WriteString("table"u8, table.Name);
        json.WriteStartObject("row"u8);
        for (var i = 0; i < row.Length; i++)
        {
            var name = table.Columns[i].Name;
            switch (row[i])
            {
                case null:
                    break;
                case string text:
                    json.WriteString(name, text);
                    break;
                case long number:
                    json.WriteNumber(name, number);
                    break;
                case double number when double.IsFinite(number):
                    json.WriteNumber(name, number);
                    break;
                case double number:
                    json.WriteString(name, number.ToString(CultureInfo.InvariantCulture));
                    break;
                case bool yes:
                    json.WriteBoolean(name, yes);
                    break;
                case byte[] bytes:
                    json.WriteBase64String(name, bytes);
                    break;
                case var other:
                    throw new InvalidOperationException($"{table.Name}.{name}: {other.GetType()} is no value of a table.");
            }
        }

        json.WriteEndObject();
        json.WriteEndObject();
        json.Flush();
        to.Write("\n"u8);
    }

    /// <summary>Reads a line: a table's, or a row of the table that was announced last.</summary>
    /// <param name="line">Without its end.</param>
    /// <param name="table">The table that was announced last; null before the first.</param>
    /// <param name="row">Its values in the order of the table's columns; null for a table's line.</param>
    /// <returns>The table.</returns>
    /// <exception cref="FormatException">It is neither.</exception>
    public static TableShape Read(ReadOnlySpan<byte> line, TableShape? table, out object?[]? row)
    {
        try
        {
            var json = new Utf8JsonReader(line);
            Expect(ref json, JsonTokenType.StartObject);
            Expect(ref json, JsonTokenType.PropertyName, "table"u8);
            Expect(ref json, JsonTokenType.String);
            if (table is not null && json.ValueTextEquals(table.Name))
            {
                Expect(ref json, JsonTokenType.PropertyName, "row"u8);
                row = ReadRow(ref json, table);
            }
            else
            {
                var name = Checked(json.GetString()!);
                Expect(ref json, JsonTokenType.PropertyName, "columns"u8);
                table = new(name, ReadColumns(ref json), [], null);
                row = null;
            }

            Expect(ref json, JsonTokenType.EndObject);
            return json.Read() ? throw new FormatException("there is more behind it") : table;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or KeyNotFoundException)
        {
            throw new FormatException(e.Message, e);
        }
    }

    static object?[] ReadRow(ref Utf8JsonReader json, TableShape table)
    {
        var row = new object?[table.Columns.Length];
        Expect(ref json, JsonTokenType.StartObject);
        for (var i = 0; json.Read() && json.TokenType == JsonTokenType.PropertyName; i++)
        {
            while (i < row.Length && !json.ValueTextEquals(table.Columns[i].Name))
                i++; // it has no value
            if (i == row.Length)
                throw new FormatException($"'{json.GetString()}' is no column of {table.Name}, or stands twice or in another order");
            json.Read();
            row[i] = (table.Columns[i].Kind, json.TokenType) switch
            {
                (ColumnKind.Text, _) => json.GetString(),
                (ColumnKind.Integer, _) => json.GetInt64(),
                (ColumnKind.Real, JsonTokenType.String) => double.Parse(json.GetString()!, CultureInfo.InvariantCulture),
                (ColumnKind.Real, _) => json.GetDouble(),
                (ColumnKind.Boolean, _) => json.GetBoolean(),
                _ => json.GetBytesFromBase64(),
            };
        }

        return json.TokenType == JsonTokenType.EndObject ? row : throw new FormatException("the row does not end");
    }

    static ImmutableArray<Column> ReadColumns(ref Utf8JsonReader json)
    {
        var columns = ImmutableArray.CreateBuilder<Column>();
        Expect(ref json, JsonTokenType.StartObject);
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            var name = Checked(json.GetString()!);
            json.Read();
            columns.Add(new(name, Kind(json.GetString())));
        }

        return columns.ToImmutable();
    }

    // It becomes SQL.
    static string Checked(string name) => name.Length is > 0 and <= 64 && name.All(char.IsAsciiLetterOrDigit) ? name : throw new FormatException($"'{name}' is no name of a table or column");

    static ColumnKind Kind(string? name)
    {
        foreach (var kind in Enum.GetValues<ColumnKind>())
        {
            if (Name(kind) == name)
                return kind;
        }

        throw new FormatException($"'{name}' is no kind of a column");
    }

    static string Name(ColumnKind kind) => kind switch
    {
        ColumnKind.Text => "text",
        ColumnKind.Integer => "integer",
        ColumnKind.Real => "real",
        ColumnKind.Boolean => "boolean",
        _ => "bytes",
    };

    static void Expect(ref Utf8JsonReader json, JsonTokenType type, ReadOnlySpan<byte> name = default)
    {
        if (!json.Read() || json.TokenType != type || (!name.IsEmpty && !json.ValueTextEquals(name)))
            throw new FormatException(name.IsEmpty ? $"a {type} is wanted" : $"the member '{System.Text.Encoding.ASCII.GetString(name)}' is wanted");
    }
}
