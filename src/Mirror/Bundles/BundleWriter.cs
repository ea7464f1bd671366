using System.Security.Cryptography;
using Coppice.Protocol;
using Coppice.Trust;

namespace Coppice.Mirror.Bundles;

/// <summary>Writes a bundle front to back. A writer that was killed is begun again and goes on after the last whole file.</summary>
/// <param name="path">Where it will be; until it is whole it lies beside it as <c>.part</c>.</param>
/// <param name="partBytes">Most bytes of one part; null for one file.</param>
public sealed class BundleWriter(string path, long? partBytes = null)
{
    const int BufferBytes = 1 << 20;

    /// <summary>The longest part that FAT32 takes.</summary>
    public const long FatBytes = (4L << 30) - 1;

    /// <summary>Writes.</summary>
    /// <param name="index">What goes in.</param>
    /// <param name="open">Opens a file's bytes from an offset of zero.</param>
    /// <param name="written">Told of every run of bytes, kept ones too.</param>
    /// <param name="cancel">Ends the call; what is written stays for the next.</param>
    /// <exception cref="InvalidDataException">A file's bytes are not what the index says.</exception>
    public async Task WriteAsync(BundleIndex index, Func<BundleEntry, Task<Stream>> open, Action<long> written, CancellationToken cancel)
    {
        var part = path + ".part";
        var head = index.Write();
        var buffer = new byte[BufferBytes];
        using (var file = PartedFile.OpenWrite(part, partBytes))
        {
            var from = Resume(file, index, head, buffer, cancel);
            if (from == 0)
            {
                file.SetLength(0);
                file.Position = 0;
                file.Write(head);
            }

            var first = index.Entries[Math.Min(from, index.Entries.Length - 1)];
            file.SetLength(from == index.Entries.Length ? index.Length : Math.Min(file.Length, first.Offset));
            file.Position = from == index.Entries.Length ? index.Length : first.Offset;
            written(file.Position);
            foreach (var entry in index.Entries.Skip(from))
                await CopyAsync(entry, open, file, buffer, written, cancel);
            file.Flush();
        }

        foreach (var old in PartedFile.Names(path))
            File.Delete(old);
        PartedFile.Rename(part, path);
    }

    /// <summary>How many files are whole already; 0 when the file is of another bundle.</summary>
    static int Resume(PartedFile file, BundleIndex index, byte[] head, byte[] buffer, CancellationToken cancel)
    {
        var here = new byte[head.Length];
        file.Position = 0;
        if (file.Length < head.Length || file.ReadAtLeast(here, here.Length, throwOnEndOfStream: false) < here.Length || !here.AsSpan().SequenceEqual(head))
            return 0;
        for (var i = 0; i < index.Entries.Length; i++)
        {
            var entry = index.Entries[i];
            if (file.Length < entry.Offset + entry.Length)
                return i;
            using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            file.Position = entry.Offset;
            for (var left = entry.Length; left > 0;)
            {
                cancel.ThrowIfCancellationRequested();
                var read = file.Read(buffer.AsSpan(0, (int)Math.Min(buffer.Length, left)));
                hash.AppendData(buffer, 0, read);
                left -= read;
            }

            if (new Sha256Digest(hash.GetHashAndReset()) != entry.Digest) // torn by a power cut
                return i;
        }

        return index.Entries.Length;
    }

    static async Task CopyAsync(BundleEntry entry, Func<BundleEntry, Task<Stream>> open, PartedFile file, byte[] buffer, Action<long> written, CancellationToken cancel)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        await using var from = await open(entry);
        var length = 0L;
        for (int read; (read = await from.ReadAsync(buffer, cancel)) > 0;)
        {
            length += read;
            if (length > entry.Length)
                throw new InvalidDataException($"{entry.Path} goes on after {entry.Length} bytes, which is all it should have.");
            hash.AppendData(buffer, 0, read);
            file.Write(buffer.AsSpan(0, read));
            written(read);
        }

        if (length != entry.Length || new Sha256Digest(hash.GetHashAndReset()) != entry.Digest)
            throw new InvalidDataException($"{entry.Path} is not what the repository says: it is damaged there, or was replaced while it was read.");
    }
}
