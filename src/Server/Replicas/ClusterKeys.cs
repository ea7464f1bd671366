using System.Security.Cryptography;
using Coppice.Server.Storage;
using Microsoft.EntityFrameworkCore;

namespace Coppice.Server.Replicas;

/// <summary>Gives every server on a database the same keys: files of the data folder, in the database sealed under a key that each server is given.</summary>
/// <remarks>
/// Shared are the online keys, the audit log's, the outbox's, and the authorities. Offline keys and the admin's token stay where they were made. A file is
/// never replaced: what changes, as when an authority follows another, has a new name.
/// </remarks>
sealed class ClusterKeys : IDisposable
{
    public const int KeyBytes = 32;

    readonly SecretBox box;

    ClusterKeys(SecretBox box) => this.box = box;

    /// <summary>Reads the cluster's key.</summary>
    /// <param name="file">Holds 32 random bytes in base64.</param>
    /// <exception cref="InvalidDataException">It is no such file.</exception>
    public static ClusterKeys Open(string file)
    {
        var bytes = new byte[KeyBytes];
        return Convert.TryFromBase64String(File.ReadAllText(file).Trim(), bytes, out var read) && read == KeyBytes
            ? new(SecretBox.Of(bytes))
            : throw new InvalidDataException($"{file} is no cluster key: {KeyBytes} random bytes in base64 are wanted. Make one, once for all servers: openssl rand -base64 {KeyBytes} > {file}");
    }

    /// <summary>Takes what the other servers have, and gives them what this one has.</summary>
    /// <returns>How many files came.</returns>
    /// <exception cref="InvalidDataException">A file differs, or was sealed under another key.</exception>
    public async Task<int> ShareAsync(Database database, DataFolder data, CancellationToken cancel)
    {
        // As nearly always: a look, not a write.
        var known = await database.ReadAsync(db => db.SharedKeys.Select(row => row.Name).ToListAsync(cancel), cancel);
        var own = Names(data);
        return own.SetEquals(known) ? 0 : await database.WriteAsync(db => ShareAsync(db, data, cancel), cancel);
    }

    /// <summary>Makes a change to the files that no other server comes between.</summary>
    /// <param name="database">The database.</param>
    /// <param name="data">The files.</param>
    /// <param name="change">Called when the files are those of all.</param>
    /// <param name="cancel">Ends the call before the change.</param>
    public Task<T> ChangeAsync<T>(Database database, DataFolder data, Func<T> change, CancellationToken cancel) => database.WriteAsync(async db =>
    {
        await ShareAsync(db, data, cancel);
        var result = change();
        await ShareAsync(db, data, cancel);
        return result;
    }, cancel);

    /// <summary>Keeps new online keys before anything is signed with them.</summary>
    /// <param name="database">Holds no tree yet.</param>
    /// <param name="folder">Of the keys, which are going to be the data folder's.</param>
    /// <param name="cancel">Ends the call.</param>
    public Task<int> KeepOnlineAsync(Database database, string folder, CancellationToken cancel) => database.WriteAsync(async db =>
    {
        await db.SharedKeys.ExecuteDeleteAsync(cancel); // of a first start that was cut short: nothing was signed with them
        var files = Directory.GetFiles(folder, "*.pem");
        foreach (var file in files)
            db.SharedKeys.Add(new() { Name = $"keys/{DataFolder.Online}/{Path.GetFileName(file)}", Sealed = box.Seal(await File.ReadAllBytesAsync(file, cancel)) });
        return files.Length;
    }, cancel);

    /// <summary>Whether servers on the database share keys.</summary>
    public static Task<bool> AreSharedAsync(Database database, CancellationToken cancel) => database.ReadAsync(db => db.SharedKeys.AnyAsync(cancel), cancel);

    public void Dispose() => box.Dispose();

    async Task<int> ShareAsync(CoppiceDb db, DataFolder data, CancellationToken cancel)
    {
        var came = 0;
        var own = Names(data);
        foreach (var row in await db.SharedKeys.AsNoTracking().OrderBy(row => row.Name).ToListAsync(cancel))
        {
            var file = Path.Combine([data.Path, .. row.Name.Split('/')]);
            var bytes = Opened(row);
            if (!own.Remove(row.Name))
            {
                DataFolder.MakePrivate(data.Path, Path.GetDirectoryName(file)!);
                DataFolder.WritePrivate(file, bytes);
                came++;
            }
            else if (!(await File.ReadAllBytesAsync(file, cancel)).AsSpan().SequenceEqual(bytes))
                throw new InvalidDataException($"{file} differs from that of the other servers on the database; a server joins them with an empty data folder. Move the folder away, and start again.");
        }

        foreach (var name in own)
            db.SharedKeys.Add(new() { Name = name, Sealed = box.Seal(await File.ReadAllBytesAsync(Path.Combine([data.Path, .. name.Split('/')]), cancel)) });
        await db.SaveChangesAsync(cancel);
        return came;
    }

    byte[] Opened(SharedKeyRow row)
    {
        try
        {
            return box.Open(row.Sealed);
        }
        catch (CryptographicException e)
        {
            throw new InvalidDataException($"The keys in the database were sealed under another cluster key than the one given; give every server the same --cluster-key.", e);
        }
    }

    static HashSet<string> Names(DataFolder data) => DataFolder.SharedFiles(data.Path).ToHashSet(StringComparer.Ordinal);
}
