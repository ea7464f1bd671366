using System.Buffers;
using System.Collections.Immutable;
using Coppice.Protocol;
using Coppice.Server.Events;
using Coppice.Server.Storage;
using Microsoft.EntityFrameworkCore;

namespace Coppice.Server.Backups;

/// <summary>A server's rows as readable lines: out for people's own tools, and in for what another server can know of devices and people.</summary>
public static class RowExchange
{
    /// <summary>Tables that hold secrets, hashes of them, or addresses that let somebody in.</summary>
    static readonly string[] Secret = ["ApiTokens", "ContentKeys", "DdiTokens", "Deliveries", "IdempotencyKeys", "JoinTokens", "Webhooks"];

    /// <summary>What is true on another server too. Releases, rollouts and the audit log rest on the keys of the server that they come from.</summary>
    static readonly string[] Portable = ["ApprovalPolicies", "AuthorisedDevices", "DeviceMarks", "DeviceModels", "Devices", "Groups", "Operators"];

    /// <summary>Writes every row of every table that holds no secret, as they are at one moment, also while the server runs.</summary>
    /// <returns>How many rows.</returns>
    /// <exception cref="InvalidDataException">The database is not there, or of another version.</exception>
    /// <exception cref="DatabaseUnavailableException">It does not answer.</exception>
    public static async Task<long> ExportAsync(ServerPlace place, Stream output, CancellationToken cancel)
    {
        using var database = await Database.AttachAsync(place.Database, place.DatabaseFile, cancel);
        var (db, moment) = database.BeginReading();
        await using (db)
        {
            using (moment)
            {
                var (lines, rows) = (new ArrayBufferWriter<byte>(1 << 16), 0L);
                foreach (var table in Backup.Tables(db).Where(table => !Secret.Contains(table.Name)))
                {
                    RowLines.WriteTable(lines, table);
                    await foreach (var row in table.ReadAsync(db, cancel))
                    {
                        RowLines.WriteRow(lines, table, row);
                        rows++;
                        if (lines.WrittenCount > 1 << 16)
                            await FlushAsync();
                    }
                }

                await FlushAsync();
                return rows;

                async Task FlushAsync()
                {
                    await output.WriteAsync(lines.WrittenMemory, cancel);
                    lines.ResetWrittenCount();
                }
            }
        }
    }

    /// <summary>Takes devices, groups, the list of devices that may join, operators and policies over from an export, all or nothing, into a server that was started once and has none of them.</summary>
    /// <param name="place">Where the server is; it does not run.</param>
    /// <param name="input">The export.</param>
    /// <param name="time">The clock.</param>
    /// <param name="cancel">Ends the call; nothing is taken.</param>
    /// <returns>Rows by table; those that were left are below the name of null.</returns>
    /// <exception cref="BackupException">The server has devices or groups already, or a line cannot be read.</exception>
    /// <exception cref="DataFolderBusyException">The server runs.</exception>
    public static async Task<(ImmutableSortedDictionary<string, long> Taken, long Left)> ImportAsync(ServerPlace place, Stream input, TimeProvider time, CancellationToken cancel)
    {
        if (place.Database is null && !File.Exists(place.DatabaseFile))
            throw new BackupException($"There is no server in {place.Data} yet; start it once, stop it, then import.");
        using var data = DataFolder.Open(place.Data);
        using var database = await Database.AttachAsync(place.Database, place.DatabaseFile, cancel);
        return await database.WriteAsync(async db =>
        {
            if (await db.Devices.AnyAsync(cancel) || await db.Groups.AnyAsync(cancel) || await db.AuthorisedDevices.AnyAsync(cancel) || await db.ApprovalPolicies.AnyAsync(cancel))
                throw new BackupException($"The server in {database.Place} has devices, groups or policies already; an export is taken into a server that has none. Nothing was changed.");
            var known = TableShape.All(db.Model).ToDictionary(table => table.Name, StringComparer.Ordinal);
            var operators = (await db.Operators.Select(row => row.Name).ToListAsync(cancel)).ToHashSet(StringComparer.Ordinal);
            var taken = ImmutableSortedDictionary.CreateBuilder<string, long>(StringComparer.Ordinal);
            using var text = new StreamReader(input, leaveOpen: true);
            var lines = new Lines(text);
            while (lines.Table is { } table)
            {
                if (Portable.Contains(table.Name))
                {
                    if (!known[table.Name].Columns.SequenceEqual(table.Columns))
                        throw new BackupException($"Line {lines.Number}: the columns of {table.Name} are not those of this version of coppice; export with the same version.");
                    taken[table.Name] = await database.Engine.InsertAsync(db, table, lines.Rows().Where(row => Taken(table, row, operators)), cancel);
                }
                else
                    lines.Skip();
            }

            // Numbers of the list are the database's own from here on.
            foreach (var numbered in known.Values.Where(table => table.Counter is not null && taken.ContainsKey(table.Name)))
                await database.Engine.SetNextNumberAsync(db, numbered, (await db.AuthorisedDevices.MaxAsync(row => (long?)row.Id, cancel) ?? 0) + 1, cancel);
            db.Events.Add(new() { At = time.GetUtcNow(), Kind = EventKind.ServerImported, By = EventRow.Itself, Why = string.Join(", ", taken.Select(table => $"{table.Key} {table.Value}")) });
            return (taken.ToImmutable(), lines.Left);
        }, cancel);
    }

    /// <summary>Whether a row is taken; what is the other server's in it is taken out.</summary>
    static bool Taken(TableShape table, object?[] row, HashSet<string> operators)
    {
        if (table.Name == "Operators")
            return !operators.Contains((string)row[Of("Name")]!); // the admin of this server stays
        if (table.Name == "Devices")
            row[Of("CertificateExpires")] = null; // the other authority's; the device gets one of this server when it joins by its key
        return true;

        int Of(string column) => table.Columns.Select(known => known.Name).ToList().IndexOf(column);
    }

    /// <summary>An export, line by line.</summary>
    sealed class Lines
    {
        readonly TextReader reader;
        object?[]? row;

        public Lines(TextReader reader)
        {
            this.reader = reader;
            Next();
        }

        /// <summary>The table whose line or row is the present one; null at the end.</summary>
        public TableShape? Table { get; private set; }

        public long Number { get; private set; }

        public long Left { get; private set; }

        /// <summary>The rows of the present table.</summary>
        public IEnumerable<object?[]> Rows()
        {
            for (Next(); row is not null; Next())
                yield return row;
        }

        public void Skip() => Left += Rows().LongCount();

        void Next()
        {
            Number++;
            if (reader.ReadLine() is not { } line)
            {
                (Table, row) = (null, null);
                return;
            }

            try
            {
                Table = RowLines.Read(System.Text.Encoding.UTF8.GetBytes(line), Table, out row);
            }
            catch (FormatException e)
            {
                throw new BackupException($"Line {Number} is no line of an export: {e.Message}. Nothing was changed.", e);
            }
        }
    }
}
