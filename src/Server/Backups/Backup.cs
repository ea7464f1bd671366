using System.Collections.Immutable;
using System.Reflection;
using Coppice.Registry;
using Coppice.Server.Storage;
using Coppice.Server.Trust;
using Coppice.Trust;
using Microsoft.EntityFrameworkCore;

namespace Coppice.Server.Backups;

/// <summary>Where a server's state is.</summary>
/// <param name="Data">Its data folder.</param>
public sealed record ServerPlace(string Data)
{
    /// <summary>Its PostgreSQL database; null for a file in the data folder.</summary>
    public PostgresAddress? Database { get; init; }

    /// <summary>Folder of files and patches; null for one in the data folder.</summary>
    public string? BlobFolder { get; init; }

    /// <summary>S3-compatible storage in place of a folder; null for none.</summary>
    public BucketAddress? Bucket { get; init; }

    internal string DatabaseFile => Path.Combine(Data, DataFolder.DatabaseName);

    /// <summary>Opens the place of files and patches.</summary>
    /// <param name="data">The data folder, as it is now.</param>
    internal ITreeFiles OpenBlobs(string data) =>
        Bucket is { } bucket ? new BucketFiles(bucket, Path.Combine(data, "spool")) : new TreeFolder(BlobFolder ?? Path.Combine(data, DataFolder.RepositoryFolder));
}

/// <summary>What a backup is to hold.</summary>
/// <param name="Place">Of what server.</param>
/// <param name="File">Where to; must not be there.</param>
/// <param name="Readers">Who may open it.</param>
public sealed record BackupOrder(ServerPlace Place, string File, BackupReaders Readers)
{
    /// <summary>Whether the server's keys are left out.</summary>
    public bool WithoutKeys { get; init; }

    /// <summary>Whether files of releases go in.</summary>
    public bool WithBlobs { get; init; }

    /// <summary>The clock; null for the database's, which its servers go by, and of a file this machine's.</summary>
    public TimeProvider? Time { get; init; }
}

/// <summary>A backup that was made.</summary>
/// <param name="File">Where it is.</param>
/// <param name="At">Its moment.</param>
/// <param name="Bytes">Of the file.</param>
/// <param name="Stopped">Whether no server ran.</param>
/// <param name="Rows">Of all tables.</param>
/// <param name="Files">Keys, small files of the tree, and files of releases.</param>
/// <param name="Blobs">Files that releases name; whether they are in it is what was ordered.</param>
/// <param name="Missing">Those of them that the server itself lacks.</param>
public sealed record BackupMade(string File, DateTimeOffset At, long Bytes, bool Stopped, long Rows, long Files, int Blobs, ImmutableArray<string> Missing);

/// <summary>Writes a server's state into one file, also while the server runs: every table, the signed tree and the keys, as they are at one moment.</summary>
/// <remarks>
/// On PostgreSQL tables and tree are read in one transaction. On SQLite the tables are read in one transaction that begins while the tree cannot be written; what the tree names then
/// stays, so that it may be read after. Keys never change once they are there.
/// </remarks>
public static class Backup
{
    /// <summary>Tables that a backup does not hold: of several servers on one database, and the tree, which is held as files.</summary>
    static readonly string[] LeftOut = ["Leases", "SharedKeys", "TreeFiles"];

    internal static string Program { get; } = typeof(Backup).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0] ?? "";

    internal static IEnumerable<TableShape> Tables(CoppiceDb db) => TableShape.All(db.Model).Where(table => !LeftOut.Contains(table.Name));

    /// <summary>Makes a backup.</summary>
    /// <exception cref="BackupException">There is nothing to back up, or the file is there already.</exception>
    /// <exception cref="InvalidDataException">The database is of another version.</exception>
    /// <exception cref="DatabaseUnavailableException">The database does not answer.</exception>
    public static async Task<BackupMade> CreateAsync(BackupOrder order, CancellationToken cancel)
    {
        var (place, path) = (order.Place, Path.GetFullPath(order.File));
        if (!Directory.Exists(place.Data))
            throw new BackupException($"There is no data folder {place.Data}; give the server's with --data.");
        if (!order.WithoutKeys && !order.Readers.Seals)
            throw new BackupException("A backup with the server's keys is encrypted; give a password or a public key, or leave the keys out.");
        if (File.Exists(path))
            throw new BackupException($"{path} is there already; nothing was written. Choose another name.");

        using var folder = TryLock(place.Data);
        using var database = await Database.AttachAsync(place.Database, place.DatabaseFile, cancel);
        var clock = await NowAsync(database, order.Time, cancel);
        var (db, moment, tree, files) = Begin(database, place.Data);
        var part = path + ".part";
        try
        {
            var stopped = folder is not null && !await db.Leases.AnyAsync(lease => lease.Until > clock, cancel);
            BackupEnd end;
            (int Count, ImmutableArray<string> Missing) blobs;
            File.Delete(part); // of one that was cut short
            await using (var output = new FileStream(part, Private()))
            {
                using var writer = new BackupWriter(output, order.Readers);
                writer.Write(new(clock, Program, database.Place, stopped, !order.WithoutKeys, order.WithBlobs, Migrations.Known, await NextAsync(database, db, cancel), tree.Version, tree.Roles));
                if (!order.WithoutKeys)
                    WriteKeys(writer, place.Data);
                var named = WriteTree(writer, tree, files);
                foreach (var table in Tables(db))
                {
                    writer.WriteTable(table);
                    await foreach (var row in table.ReadAsync(db, cancel))
                        writer.WriteRow(table, row);
                }

                moment.Dispose(); // files of releases never change
                blobs = WriteBlobs(writer, named, place, order.WithBlobs, cancel);
                end = writer.Complete();
                output.Flush(flushToDisk: true);
            }

            File.Move(part, path, overwrite: false);
            return new(path, clock, new FileInfo(path).Length, stopped, end.Rows, end.Files, blobs.Count, blobs.Missing);
        }
        finally
        {
            File.Delete(part);
            moment.Dispose();
            await db.DisposeAsync();
        }
    }

    internal static async Task<DateTimeOffset> NowAsync(Database database, TimeProvider? time, CancellationToken cancel) =>
        time is null && database.IsShared ? DateTimeOffset.FromUnixTimeMilliseconds(await database.ClockAsync(cancel)) : (time ?? TimeProvider.System).GetUtcNow();

    /// <summary>Begins to read tables and tree as they are now.</summary>
    static (CoppiceDb Db, IDisposable Moment, BackedUpTree Tree, ITreeFiles Files) Begin(Database database, string data)
    {
        if (database.IsShared)
        {
            var (db, moment) = database.BeginReading();
            var files = new TreeAtMoment(db);
            return (db, moment, BackedUpTree.Of(files), files);
        }

        var folder = new TreeFolder(Path.Combine(data, DataFolder.RepositoryFolder));
        using (folder.LockForWriting())
        {
            var (db, moment) = database.BeginReading();
            return (db, moment, BackedUpTree.Of(folder), folder);
        }
    }

    /// <summary>The data folder, if no server has it.</summary>
    static DataFolder? TryLock(string data)
    {
        try
        {
            return DataFolder.Open(data);
        }
        catch (DataFolderBusyException)
        {
            return null; // as is usual
        }
    }

    static async Task<ImmutableSortedDictionary<string, long>> NextAsync(Database database, CoppiceDb db, CancellationToken cancel)
    {
        var next = ImmutableSortedDictionary.CreateBuilder<string, long>(StringComparer.Ordinal);
        foreach (var table in Tables(db).Where(table => table.Counter is not null))
            next[table.Name] = await database.Engine.NextNumberAsync(db, table, cancel);
        return next.ToImmutable();
    }

    static void WriteKeys(BackupWriter writer, string data)
    {
        foreach (var name in DataFolder.SharedFiles(data).Append(DataFolder.AdminToken).Where(name => File.Exists(Path.Combine([data, .. name.Split('/')]))))
        {
            using var content = File.OpenRead(Path.Combine([data, .. name.Split('/')]));
            writer.WriteFile(new(BackupFileKind.Key, name, content.Length), content);
        }
    }

    static List<BlobName> WriteTree(BackupWriter writer, BackedUpTree tree, ITreeFiles files)
    {
        var blobs = new Dictionary<Sha256Digest, BlobName>();
        foreach (var path in tree.Paths)
        {
            var bytes = path == RepositoryLayout.MetadataFileName(TopLevelRole.Timestamp, null)
                ? tree.State.Timestamp.Bytes.ToArray() // the one file that is ever replaced
                : RepositoryState.ReadFile(files, path) ?? throw new BackupException($"The repository has no {path}, which its metadata names; restore it before you back up what is damaged.");
            writer.WriteFile(new(BackupFileKind.Tree, path, bytes.Length), new MemoryStream(bytes));
            if (BackedUpTree.IsManifest(path))
            {
                foreach (var blob in BackedUpTree.Blobs(bytes))
                    blobs.TryAdd(blob.Digest, blob);
            }
        }

        return [.. blobs.Values.OrderBy(blob => blob.Digest.ToString(), StringComparer.Ordinal)];
    }

    static (int Count, ImmutableArray<string> Missing) WriteBlobs(BackupWriter writer, List<BlobName> named, ServerPlace place, bool include, CancellationToken cancel)
    {
        var missing = ImmutableArray.CreateBuilder<string>();
        var files = place.OpenBlobs(place.Data);
        using var owned = files as IDisposable;
        foreach (var blob in named)
        {
            cancel.ThrowIfCancellationRequested();
            var path = RepositoryLayout.BlobFile(blob.Digest);
            if (!include)
            {
                if (files.Length(path) is null)
                    missing.Add(blob.Digest.ToString());
                continue;
            }

            using var content = files.Open(path);
            if (content is null)
                missing.Add(blob.Digest.ToString());
            else
                writer.WriteFile(new(BackupFileKind.Blob, path, blob.Length), content);
        }

        return (named.Count, missing.ToImmutable());
    }

    internal static FileStreamOptions Private()
    {
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, Share = FileShare.None, BufferSize = 1 << 20 };
        if (!OperatingSystem.IsWindows())
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        return options;
    }
}
