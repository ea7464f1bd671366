using System.Security.Cryptography;
using Coppice.Agent.Storage;
using Coppice.Trust;

namespace Coppice.Mirror.Tree;

/// <summary>A site's copy of a repository: the files that any web server could serve, written so that a power cut leaves what was before or what comes after.</summary>
/// <param name="disk">Its folder.</param>
public sealed class SiteTree(IDisk disk)
{
    /// <summary>Where files lie until they are whole; not served.</summary>
    public const string Partial = ".partial";

    const string Timestamp = "metadata/timestamp.json";
    const int BufferBytes = 1 << 20;
    const long SyncEvery = 64L << 20;

    /// <summary>The folder.</summary>
    public IDisk Disk => disk;

    /// <summary>Keeps other writers of the metadata out, of this process and others, until disposed of.</summary>
    /// <exception cref="IOException">Another one writes.</exception>
    public IDisposable? LockForWriting()
    {
        if (disk.FullPath(".lock") is not { } path)
            return null; // a disk in memory has one writer
        try
        {
            return new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException e)
        {
            throw new IOException($"{Path.GetDirectoryName(path)} is being written by another process; try again in a moment. ({e.Message})", e);
        }
    }

    /// <summary>Bytes in a file; null when it is not here.</summary>
    public long? LengthOf(string path) => disk.LengthOf(path);

    /// <summary>Puts a small file in its place, safe from a power cut on return.</summary>
    public void PutSmall(string path, ReadOnlySpan<byte> bytes)
    {
        disk.MakeFolder(DiskExtensions.FolderOf(path));
        disk.Replace(path, bytes);
    }

    /// <summary>Puts the timestamp in its place: from here on the tree is what it names. Everything else is there already.</summary>
    public void PutTimestamp(ReadOnlySpan<byte> bytes) => PutSmall(Timestamp, bytes);

    /// <summary>Takes in a file by its digest, going on with what an earlier attempt left. Nothing has its name before all of it was hashed and is safe.</summary>
    /// <param name="path">Where it will lie.</param>
    /// <param name="digest">The SHA-256 that it must have.</param>
    /// <param name="length">The length that it must have.</param>
    /// <param name="open">Opens its bytes at an offset.</param>
    /// <param name="taken">Told of every run of bytes that came.</param>
    /// <param name="cancel">Ends the call; what has come stays.</param>
    /// <returns>False when it was here already.</returns>
    /// <exception cref="InvalidDataException">The bytes are others.</exception>
    public async Task<bool> TakeAsync(string path, Sha256Digest digest, long length, Func<long, Task<Stream>> open, Action<int> taken, CancellationToken cancel)
    {
        if (disk.LengthOf(path) == length)
            return false;
        disk.MakeFolder(Partial);
        var part = $"{Partial}/{Sha256Digest.Of(System.Text.Encoding.UTF8.GetBytes(path))}";
        var resumed = disk.LengthOf(part) > 0;
        var found = await AppendAsync(part, length, open, taken, cancel);
        if (found != digest && resumed) // its beginning may have been torn by a power cut
        {
            disk.Delete(part);
            found = await AppendAsync(part, length, open, taken, cancel);
        }

        if (found != digest)
        {
            disk.Delete(part);
            throw new InvalidDataException(found is null
                ? $"{path} does not have the {length} bytes that it should have."
                : $"{path} has the SHA-256 {found}; {digest} is wanted. It was damaged or altered.");
        }

        disk.MakeFolder(DiskExtensions.FolderOf(path));
        disk.Rename(part, path);
        disk.SyncFolder(DiskExtensions.FolderOf(path));
        return true;
    }

    async Task<Sha256Digest?> AppendAsync(string part, long length, Func<long, Task<Stream>> open, Action<int> taken, CancellationToken cancel)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var buffer = new byte[BufferBytes];
        if (disk.LengthOf(part) > length)
            disk.Delete(part);
        var here = disk.HashPart(part, hash, buffer, cancel);
        using var file = disk.Append(part);
        if (here < length)
        {
            await using var from = await open(here);
            var unsynced = 0L;
            for (int read; (read = await from.ReadAsync(buffer, cancel)) > 0;)
            {
                if (here + read > length)
                    return null;
                hash.AppendData(buffer, 0, read);
                file.Write(buffer.AsSpan(0, read));
                here += read;
                taken(read);
                if ((unsynced += read) >= SyncEvery)
                {
                    file.Sync();
                    unsynced = 0;
                }
            }
        }

        file.Sync();
        return here == length ? new Sha256Digest(hash.GetHashAndReset()) : null;
    }
}
