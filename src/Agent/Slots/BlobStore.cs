using System.Security.Cryptography;
using Coppice.Agent.Storage;
using Coppice.Registry;
using Coppice.Trust;

namespace Coppice.Agent.Slots;

/// <summary>Files by the SHA-256 of their bytes. A name appears only after its bytes were hashed and are safe on the disk.</summary>
/// <param name="disk">The data folder.</param>
/// <param name="quota">Most bytes that blobs, and the beginnings of blobs, may take together.</param>
public sealed class BlobStore(IDisk disk, long quota)
{
    const int BufferBytes = 1 << 17;

    /// <summary>Most bytes that blobs may take together.</summary>
    public long Quota => quota;

    /// <summary>Whether a blob is here, by name and length; <see cref="Holds"/> reads it.</summary>
    public bool Has(ReleaseFile file) => disk.LengthOf(DataFolder.Blob(file.Digest)) == file.Length;

    /// <summary>Whether a blob is here and still has its digest: reads all of it.</summary>
    public bool Holds(ReleaseFile file, CancellationToken cancel) => Has(file) && DigestOf(DataFolder.Blob(file.Digest), cancel) == file.Digest;

    /// <summary>The digest of any file in the data folder.</summary>
    public Sha256Digest DigestOf(string path, CancellationToken cancel)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        using var stream = disk.OpenRead(path);
        var buffer = new byte[BufferBytes];
        for (int read; (read = stream.Read(buffer)) > 0;)
        {
            cancel.ThrowIfCancellationRequested();
            hash.AppendData(buffer, 0, read);
        }

        return new(hash.GetHashAndReset());
    }

    /// <summary>Takes in a part whose bytes were found to have the digest and were synced.</summary>
    public void Adopt(Sha256Digest digest)
    {
        var path = DataFolder.Blob(digest);
        disk.MakeFolder(DiskExtensions.FolderOf(path));
        disk.Rename(DataFolder.Part(digest), path);
        disk.SyncFolder(DiskExtensions.FolderOf(path));
        disk.SyncFolder(DataFolder.Fetching);
        foreach (var left in disk.Files(DataFolder.Fetching).Where(name => name.StartsWith($"{digest}.", StringComparison.Ordinal)))
            disk.Delete($"{DataFolder.Fetching}/{left}"); // of whichever way did not come to its end
    }

    /// <summary>Drops a blob that is not what its name says.</summary>
    public void Drop(Sha256Digest digest) => disk.Delete(DataFolder.Blob(digest));

    /// <summary>Bytes that blobs and beginnings of blobs take now.</summary>
    public long Used()
    {
        var used = 0L;
        foreach (var (path, _) in All())
            used += disk.LengthOf(path) ?? 0;
        return used;
    }

    /// <summary>Bytes of the blobs, and beginnings of blobs, that are not wanted.</summary>
    public long Unwanted(IReadOnlySet<Sha256Digest> wanted) =>
        All().Where(file => !Sha256Digest.TryParse(file.Digest, out var known) || !wanted.Contains(known)).Sum(file => disk.LengthOf(file.Path) ?? 0);

    /// <summary>Deletes every blob and part that is not wanted, and what a power cut left of fetching a blob that is here.</summary>
    /// <param name="wanted">Digests that stay.</param>
    public void Collect(IReadOnlySet<Sha256Digest> wanted)
    {
        foreach (var (path, digest) in All())
        {
            if (!Sha256Digest.TryParse(digest, out var known) || !wanted.Contains(known) || (path != DataFolder.Blob(known) && disk.LengthOf(DataFolder.Blob(known)) is not null))
                disk.Delete(path);
        }

        foreach (var map in disk.Files(DataFolder.RangeMaps).Where(map => !Sha256Digest.TryParse(map.Split('.')[0], out var known) || disk.LengthOf(DataFolder.Blob(known)) is null))
            disk.Delete($"{DataFolder.RangeMaps}/{map}");
    }

    IEnumerable<(string Path, string Digest)> All()
    {
        foreach (var folder in disk.Folders(DataFolder.Blobs))
        {
            foreach (var name in disk.Files($"{DataFolder.Blobs}/{folder}"))
                yield return ($"{DataFolder.Blobs}/{folder}/{name}", name);
        }

        foreach (var name in disk.Files(DataFolder.Fetching))
            yield return ($"{DataFolder.Fetching}/{name}", name.Split('.')[0]);
    }
}
