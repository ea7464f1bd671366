using System.Collections.Concurrent;
using System.Data.Common;
using Coppice.Server.Trust;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Storage;

namespace Coppice.Server.Storage;

/// <summary>The small files of the repository's tree in the database, for servers that share it.</summary>
/// <remarks>
/// What is written under the lock is one transaction with the lock in it: a server that loses its connection has written nothing, so that no two ever publish
/// different metadata of one version, and what a dead writer began is not there.
/// </remarks>
#pragma warning disable CA1001 // what is being written is disposed of by who holds the lock
sealed class TreeTable(Database database) : ITreeFiles
#pragma warning restore CA1001
{
    static readonly TimeSpan LockPatience = TimeSpan.FromSeconds(30);

    /// <summary>Bytes of files that are remembered.</summary>
    const long MostRemembered = 64 << 20;

    readonly Database database = database;
    readonly Lock oneWriter = new();
    readonly ConcurrentDictionary<string, byte[]> remembered = new(StringComparer.Ordinal);
    long bytesRemembered;
    Writing? current; // of the thread that holds the lock

    public ITreeWriting LockForWriting()
    {
        if (!oneWriter.TryEnter(LockPatience))
            throw new IOException($"Another request of this server has held the repository for {LockPatience.TotalSeconds:0} seconds; let it finish, then try again.");
        try
        {
            return current = new(this, database.BeginTree());
        }
        catch
        {
            oneWriter.Exit();
            throw;
        }
    }

    public long? Length(string path) => !IsWriting && RepositoryTree.NeverChanges(path) && remembered.TryGetValue(path, out var known)
        ? known.Length
        : Read(db => db.TreeFiles.Where(row => row.Path == path).Select(row => (long?)row.Bytes.Length).FirstOrDefault());

    public Stream? Open(string path)
    {
        var stays = RepositoryTree.NeverChanges(path);
        byte[]? bytes;
        if (IsWriting)
            bytes = Find(current!.Db);
        else if (!stays || !remembered.TryGetValue(path, out bytes))
        {
            try
            {
                bytes = database.Read(Find);
                if (bytes is not null)
                    Remember(path, bytes);
            }
            catch (DatabaseUnavailableException) when (remembered.TryGetValue(path, out bytes))
            {
                // Devices read on what was there last, as they would from a CDN: it is signed, and says until when it counts.
            }
        }

        return bytes is null ? null : new MemoryStream(bytes, writable: false);

        byte[]? Find(CoppiceDb db) => db.TreeFiles.Where(row => row.Path == path).Select(row => row.Bytes).FirstOrDefault();
    }

    public IReadOnlyList<string> List(string folder)
    {
        var prefix = folder + "/";
        return [.. Read(db => db.TreeFiles.Where(row => row.Path.StartsWith(prefix)).Select(row => row.Path).ToList()).Select(path => path[prefix.Length..]).Where(name => !name.Contains('/', StringComparison.Ordinal))];
    }

    public ITreeFile Create(string path) => new File(this, path);

    public void Delete(string path) => Write(db => db.TreeFiles.Where(row => row.Path == path).ExecuteDelete());

    // A transaction that was not committed left nothing.
    public void RemoveLeftovers(DateTimeOffset olderThan)
    {
    }

    bool IsWriting => oneWriter.IsHeldByCurrentThread && current is not null;

    T Read<T>(Func<CoppiceDb, T> read) => IsWriting ? database.Guard(() => read(current!.Db)) : database.Read(read);

    void Write(Action<CoppiceDb> write)
    {
        if (IsWriting)
        {
            database.Guard(() =>
            {
                write(current!.Db);
                return true;
            });
            return;
        }

        using var alone = LockForWriting();
        write(current!.Db);
        alone.Complete();
    }

    void Remember(string path, byte[] bytes)
    {
        if (Interlocked.Add(ref bytesRemembered, bytes.Length) > MostRemembered)
        {
            remembered.Clear();
            Interlocked.Exchange(ref bytesRemembered, bytes.Length);
        }

        remembered[path] = bytes;
    }

    sealed class Writing(TreeTable table, (CoppiceDb Db, IDbContextTransaction Transaction) begun) : ITreeWriting
    {
        public CoppiceDb Db => begun.Db;

        public void Complete() => table.database.Guard(() =>
        {
            begun.Transaction.Commit();
            return true;
        });

        public void Dispose()
        {
            table.current = null;
            try
            {
                begun.Transaction.Dispose();
                begun.Db.Dispose();
            }
            catch (DbException)
            {
                // The connection is gone, and what was not committed with it.
            }
            finally
            {
                table.oneWriter.Exit();
            }
        }
    }

    sealed class File(TreeTable table, string path) : ITreeFile
    {
        readonly MemoryStream content = new();

        public Stream Content => content;

        public void Commit()
        {
            var bytes = content.ToArray();
            table.Write(db => db.Database.ExecuteSql($"""INSERT INTO "TreeFiles" ("Path", "Bytes") VALUES ({path}, {bytes}) ON CONFLICT ("Path") DO UPDATE SET "Bytes" = excluded."Bytes" """));
        }

        public void Dispose() => content.Dispose();
    }
}
