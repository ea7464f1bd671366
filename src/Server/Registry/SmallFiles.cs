using System.Collections.Concurrent;
using Coppice.Trust;
using Microsoft.Extensions.Primitives;
using Microsoft.Net.Http.Headers;

namespace Coppice.Server.Registry;

/// <summary>Small files of a folder, kept in memory for as long as they do not change: what devices ask for all the time.</summary>
/// <remarks>
/// Time and length of a file tell whether it changed, but for changes within one tick of the file system's clock. So what was written only just now is not kept:
/// what is kept was still for a while when it was read, and the next change gives it another time.
/// </remarks>
sealed class SmallFiles
{
    const int MostFiles = 4096;
    const int MostBytes = 64 << 10;
    static readonly TimeSpan Still = TimeSpan.FromSeconds(2);

    readonly ConcurrentDictionary<string, Kept> files = new(StringComparer.Ordinal);

    /// <summary>A file's bytes, and the tag that is their digest.</summary>
    internal sealed record Kept(DateTime Written, long Length, byte[] Bytes, EntityTagHeaderValue Tag)
    {
        /// <summary>The tag as a header has it.</summary>
        public StringValues TagText { get; } = Tag.Tag.ToString();
    }

    /// <summary>A file as it is now.</summary>
    /// <param name="path">Absolute.</param>
    /// <returns>Null when there is none.</returns>
    /// <exception cref="IOException">It cannot be read.</exception>
    public Kept? Find(string path)
    {
        var file = new FileInfo(path);
        if (!file.Exists)
            return null;
        if (files.TryGetValue(path, out var kept) && kept.Written == file.LastWriteTimeUtc && kept.Length == file.Length)
            return kept;
        try
        {
            var bytes = File.ReadAllBytes(path);
            var read = new Kept(file.LastWriteTimeUtc, file.Length, bytes, new($"\"{Sha256Digest.Of(bytes)}\""));
            if (DateTime.UtcNow - read.Written > Still && bytes.Length == read.Length && bytes.Length <= MostBytes)
            {
                if (files.Count >= MostFiles)
                    files.Clear();
                files[path] = read;
            }

            return read;
        }
        catch (FileNotFoundException) // taken away between the two looks
        {
            return null;
        }
    }
}
