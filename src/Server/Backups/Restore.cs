using System.Collections.Immutable;
using Coppice.Server.Storage;
using Coppice.Server.Trust;
using Coppice.Trust;
using Microsoft.EntityFrameworkCore;

namespace Coppice.Server.Backups;

/// <summary>What is to be put back where.</summary>
/// <param name="File">The backup.</param>
/// <param name="Place">An empty place: a data folder, and a database that holds no tables.</param>
public sealed record RestoreOrder(string File, ServerPlace Place)
{
    /// <summary>A private key that opens the file; null for none.</summary>
    public SealingKey? Key { get; init; }

    /// <summary>Asked for the password that opens it.</summary>
    public Func<string?> Password { get; init; } = () => null;

    /// <summary>Whether the server is only moved: it was stopped for the backup and has not run since, so that nothing was lost.</summary>
    public bool Moved { get; init; }

    /// <summary>The clock; null for the database's, which its servers go by, and of a file this machine's.</summary>
    public TimeProvider? Time { get; init; }
}

/// <summary>What was put back.</summary>
/// <param name="BackupAt">The backup's moment.</param>
/// <param name="At">When it was put back.</param>
/// <param name="Rows">Of all tables.</param>
/// <param name="Keys">Whether the server's keys were in it.</param>
/// <param name="Blobs">Files that releases name.</param>
/// <param name="Missing">SHA-256 of those of them that are not in the place where they belong.</param>
/// <param name="Held">Rollouts that wait for an operator's word now.</param>
/// <param name="Roles">Roles that were perhaps signed after the backup by keys that no server has; empty for a server that is only moved.</param>
public sealed record RestoreDone(DateTimeOffset BackupAt, DateTimeOffset At, long Rows, bool Keys, int Blobs, ImmutableArray<string> Missing, ImmutableArray<string> Held, ImmutableArray<string> Roles);

/// <summary>Puts a server's state back from a backup, into an empty place, whole or not at all.</summary>
/// <remarks>
/// The file is read three times: to see that every byte is right, for files of releases, and for the rest, which is one transaction of the database. What belongs into the data folder is
/// laid down beside its place and moved there at the end; until that is done, the folder is marked, and no server starts on it.
/// </remarks>
public static class Restore
{
    /// <summary>Puts a backup back.</summary>
    /// <exception cref="BackupException">The file is no backup, damaged, or does not open; or the place is not empty. Nothing was changed.</exception>
    /// <exception cref="InvalidDataException">The database is not empty, or refuses this user.</exception>
    /// <exception cref="DataFolderBusyException">A server runs on the data folder.</exception>
    /// <exception cref="DatabaseUnavailableException">The database does not answer.</exception>
    public static async Task<RestoreDone> RunAsync(RestoreOrder order, CancellationToken cancel)
    {
        using var reader = BackupReader.Open(order.File, order.Key, order.Password);
        var (header, named) = Check(reader, order);

        var place = order.Place with { Data = Path.GetFullPath(order.Place.Data) };
        using var data = DataFolder.Open(place.Data, restores: true);
        Clear(data);
        DataFolder.MakePrivate(data.Restoring);
        var done = false;
        try
        {
            DateTimeOffset now;
            ImmutableArray<string> missing;
            (long Rows, ImmutableArray<string> Held) taken;
            using (var database = await Database.OpenEmptyAsync(place.Database, Path.Combine(data.Restoring, DataFolder.DatabaseName), cancel))
            {
                now = await Backup.NowAsync(database, order.Time, cancel);
                if (now < header.At)
                    throw new BackupException($"The backup was made at {header.At.UtcDateTime:u}, and here it is {now.UtcDateTime:u}; put the clock right, for what devices may have seen since is reckoned by it. Nothing was changed.");
                missing = TakeBlobs(reader, header, named, place, data.Restoring, cancel);
                taken = await database.WriteAsync(async db =>
                {
                    var result = await TakeAsync(database, db, reader, header, order, data.Restoring, now, cancel);
                    await db.SaveChangesAsync(cancel);
                    if (database.IsShared)
                        Settle(data); // before the transaction ends: a folder without its tables is begun anew, tables without their keys could not be
                    return result;
                }, cancel);
            }

            if (place.Database is null)
                Settle(data); // the database is closed, and one file
            done = true;
            return new(header.At, now, taken.Rows, header.Keys, named.Count, missing, taken.Held, order.Moved ? [] : [.. header.Roles.Keys]);
        }
        finally
        {
            if (!done)
                Clear(data);
            Directory.Delete(data.Restoring, recursive: true);
        }
    }

    /// <summary>Reads the file to its end, and says whether it can be put back here.</summary>
    static (BackupHeader Header, Dictionary<Sha256Digest, long> Blobs) Check(BackupReader reader, RestoreOrder order)
    {
        BackupHeader? header = null;
        BackupFile? file = null;
        var manifest = new MemoryStream();
        var blobs = new Dictionary<Sha256Digest, long>();
        foreach (var item in reader.Items())
        {
            switch (item)
            {
                case BackupHeader first:
                    header = first;
                    if (first.Migrations.Except(Migrations.Known).ToArray() is { Length: > 0 } newer)
                        throw new BackupException($"The backup was made by coppice {first.Program}, which knows tables that this one does not ({string.Join(", ", newer)}); restore it with that version or a newer one.");
                    if (order.Moved && !first.Stopped)
                        throw new BackupException($"The backup of {first.At.UtcDateTime:u} was made beside a running server, which may have done more since: it is restored without --moved. To move a server, stop it, make a backup, and do not start it again.");
                    break;
                case BackupFile next:
                    file = next;
                    if (!IsGood(next))
                        throw new BackupException($"The backup holds '{next.Path}', which no part of a server has; it was not made by coppice.");
                    manifest.SetLength(0);
                    break;
                case ReadOnlyMemory<byte> bytes when file is { Kind: BackupFileKind.Tree } && BackedUpTree.IsManifest(file.Path):
                    manifest.Write(bytes.Span);
                    if (manifest.Length == file.Length)
                    {
                        foreach (var blob in BackedUpTree.Blobs(manifest.ToArray()))
                            blobs[blob.Digest] = blob.Length;
                    }

                    break;
            }
        }

        return (header!, blobs);
    }

    static bool IsGood(BackupFile file)
    {
        var parts = file.Path.Split('/');
        if (file.Length < 0 || parts.Any(part => part.Length is 0 or > 255 || part[0] == '.' || part.Any(c => !char.IsAsciiLetterOrDigit(c) && c is not ('.' or '_' or '+' or '-' or '%' or '~'))))
            return false;
        return file.Kind switch
        {
            BackupFileKind.Tree => parts is ["metadata" or "grants", _] or ["targets", _, _, _, _],
            BackupFileKind.Blob => parts is ["blobs", "sha256", _, var hex] && Sha256Digest.TryParse(hex, out var digest) && RepositoryLayout.BlobFile(digest) == file.Path,
            _ => parts is [DataFolder.AdminToken] or ["keys", DataFolder.Online, _] or ["keys", "audit.pem" or "outbox.key"] or ["authorities", _],
        };
    }

    /// <summary>Makes sure that nothing is in the folder; what a restore that was cut short has left goes.</summary>
    static void Clear(DataFolder data)
    {
        var begun = Directory.Exists(data.Restoring);
        foreach (var entry in new DirectoryInfo(data.Path).GetFileSystemInfos().Where(entry => entry.Name != DataFolder.LockFile && entry.FullName != data.Restoring).ToArray())
        {
            if (!begun)
                throw new BackupException($"{data.Path} is not empty (there is '{entry.Name}'); a backup is put back into an empty folder. Nothing was changed.");
            Delete(entry);
        }

        foreach (var entry in begun ? new DirectoryInfo(data.Restoring).GetFileSystemInfos() : [])
            Delete(entry);

        static void Delete(FileSystemInfo entry)
        {
            if (entry is DirectoryInfo folder)
                folder.Delete(recursive: true);
            else
                entry.Delete();
        }
    }

    /// <summary>Moves everything that was laid down into its place.</summary>
    static void Settle(DataFolder data)
    {
        foreach (var entry in new DirectoryInfo(data.Restoring).GetFileSystemInfos())
        {
            var to = Path.Combine(data.Path, entry.Name);
            if (entry is DirectoryInfo folder)
                folder.MoveTo(to);
            else
                ((FileInfo)entry).MoveTo(to);
        }
    }

    static ImmutableArray<string> TakeBlobs(BackupReader reader, BackupHeader header, Dictionary<Sha256Digest, long> named, ServerPlace place, string folder, CancellationToken cancel)
    {
        var files = place.OpenBlobs(folder);
        using var owned = files as IDisposable;
        if (header.Blobs)
        {
            ITreeFile? open = null;
            try
            {
                var left = 0L;
                foreach (var item in reader.Items())
                {
                    cancel.ThrowIfCancellationRequested();
                    if (item is BackupFile next)
                    {
                        left = next.Length;
                        open = next.Kind == BackupFileKind.Blob && files.Length(next.Path) != next.Length ? files.Create(next.Path) : null;
                    }
                    else if (item is ReadOnlyMemory<byte> bytes && open is not null)
                    {
                        open.Content.Write(bytes.Span);
                        if ((left -= bytes.Length) > 0)
                            continue;
                        open.Commit();
                        open.Dispose();
                        open = null;
                    }
                }
            }
            finally
            {
                open?.Dispose();
            }
        }

        return [.. named.Where(blob => files.Length(RepositoryLayout.BlobFile(blob.Key)) != blob.Value).Select(blob => blob.Key.ToString()).Order(StringComparer.Ordinal)];
    }

    static async Task<(long Rows, ImmutableArray<string> Held)> TakeAsync(
        Database database, CoppiceDb db, BackupReader reader, BackupHeader header, RestoreOrder order, string folder, DateTimeOffset now, CancellationToken cancel)
    {
        await Migrations.RunAsync(db, database.Engine, header.Migrations, cancel); // the tables as they were; a newer program brings them up to date after
        var rows = 0L;
        ITreeFiles small = database.IsShared ? new TreeIntoTables(database.Engine, db) : new TreeFolder(Path.Combine(folder, DataFolder.RepositoryFolder));
        var items = new Peeking(reader.Items().GetEnumerator());
        using (items)
        {
            while (items.Current is not BackupEnd and not BackupFile { Kind: BackupFileKind.Blob })
            {
                switch (items.Current)
                {
                    case TableShape table:
                        items.Next();
                        rows += await database.Engine.InsertAsync(db, table, items.Rows(), cancel);
                        break;
                    case BackupFile file:
                        items.Next();
                        var bytes = items.Bytes(file.Length);
                        if (file.Kind == BackupFileKind.Tree)
                        {
                            using var target = small.Create(file.Path);
                            target.Content.Write(bytes);
                            target.Commit();
                        }
                        else
                        {
                            var target = Path.Combine([folder, .. file.Path.Split('/')]);
                            DataFolder.MakePrivate(folder, Path.GetDirectoryName(target)!);
                            DataFolder.WritePrivate(target, bytes);
                        }

                        break;
                    default:
                        items.Next();
                        break;
                }
            }
        }

        await Migrations.RunAsync(db, database.Engine, Migrations.Known, cancel);
        return (rows, await new Aftermath(database, db, header, order.Moved, now).RunAsync(cancel));
    }

    /// <summary>The items of a backup, with the next one in view.</summary>
    sealed class Peeking : IDisposable
    {
        readonly IEnumerator<object> items;

        public Peeking(IEnumerator<object> items)
        {
            this.items = items;
            Next();
        }

        public object Current => items.Current;

        public void Next()
        {
            if (!items.MoveNext())
                throw new BackupException("The backup ended where it did not before; nothing was changed.");
        }

        /// <summary>The rows up to the next table or file.</summary>
        public IEnumerable<object?[]> Rows()
        {
            for (; items.Current is object?[] row; Next())
                yield return row;
        }

        public byte[] Bytes(long length)
        {
            var all = new byte[length];
            for (var at = 0; items.Current is ReadOnlyMemory<byte> bytes; Next())
            {
                bytes.Span.CopyTo(all.AsSpan(at));
                at += bytes.Length;
            }

            return all;
        }

        public void Dispose() => items.Dispose();
    }

    /// <summary>Writes the tree's small files into the tables that are being filled.</summary>
    sealed class TreeIntoTables(DatabaseEngine engine, CoppiceDb db) : ITreeFiles
    {
        readonly TableShape table = TableShape.All(db.Model).First(table => table.Name == "TreeFiles");

        public ITreeFile Create(string path) => new File(bytes =>
        {
            var row = table.Columns.Select(column => column.Name == "Path" ? (object?)path : bytes).ToArray();
            engine.InsertAsync(db, table, [row], CancellationToken.None).GetAwaiter().GetResult();
        });

        public long? Length(string path) => throw new NotSupportedException();

        public Stream? Open(string path) => throw new NotSupportedException();

        public IReadOnlyList<string> List(string folder) => throw new NotSupportedException();

        public ITreeWriting LockForWriting() => throw new NotSupportedException();

        public void Delete(string path) => throw new NotSupportedException();

        public void RemoveLeftovers(DateTimeOffset olderThan) => throw new NotSupportedException();

        sealed class File(Action<byte[]> keep) : ITreeFile
        {
            readonly MemoryStream content = new();

            public Stream Content => content;

            public void Commit() => keep(content.ToArray());

            public void Dispose() => content.Dispose();
        }
    }
}
