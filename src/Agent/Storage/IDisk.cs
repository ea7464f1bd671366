using System.Security.Cryptography;

namespace Coppice.Agent.Storage;

/// <summary>The agent's data folder. Everything the agent keeps is written through here, so that tests can cut the power between any two calls.</summary>
/// <remarks>
/// Paths are relative, with '/'. What was written is safe from a power cut only after <see cref="IDiskFile.Sync"/>; a new, renamed or
/// deleted name only after <see cref="SyncFolder"/> of the folder that holds it. A rename is atomic: afterwards the name means the old
/// file or the new one. All members throw <see cref="IOException"/> when the disk refuses, a full one included.
/// </remarks>
public interface IDisk
{
    /// <summary>Bytes that can still be written.</summary>
    long FreeBytes { get; }

    /// <summary>The path as other programs and native libraries know it; null when the disk exists in memory only.</summary>
    string? FullPath(string path);

    /// <summary>Length of a file in bytes; null when there is none.</summary>
    long? LengthOf(string path);

    /// <summary>Opens a file for reading.</summary>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    Stream OpenRead(string path);

    /// <summary>Makes an empty file in place of any that is there. Its folder must exist.</summary>
    IDiskFile Create(string path);

    /// <summary>Opens a file to write at its end; makes it when it is not there. Its folder must exist.</summary>
    IDiskFile Append(string path);

    /// <summary>Shortens a file to its first bytes.</summary>
    void Cut(string path, long length);

    /// <summary>Gives a file another name, in place of any that has it.</summary>
    void Rename(string from, string to);

    /// <summary>Gives the bytes of a file a second name; they stay as long as one name does. Copies where the system has no hard links.</summary>
    void Link(string existing, string name);

    /// <summary>Removes a name; nothing happens when it is not there.</summary>
    void Delete(string path);

    /// <summary>Removes a folder and everything in it; nothing happens when it is not there.</summary>
    void DeleteFolder(string folder);

    /// <summary>Makes a folder and those above it, each of them safe from a power cut on return.</summary>
    void MakeFolder(string folder);

    /// <summary>Makes the names in a folder safe from a power cut.</summary>
    void SyncFolder(string folder);

    /// <summary>Names of the files in a folder, in order; none when the folder is not there.</summary>
    IReadOnlyList<string> Files(string folder);

    /// <summary>Names of the folders in a folder, in order; none when it is not there.</summary>
    IReadOnlyList<string> Folders(string folder);
}

/// <summary>A file that is being written.</summary>
public interface IDiskFile : IDisposable
{
    /// <summary>Bytes in the file.</summary>
    long Length { get; }

    /// <summary>Writes at the end.</summary>
    void Write(ReadOnlySpan<byte> bytes);

    /// <summary>Makes what was written safe from a power cut.</summary>
    void Sync();
}

/// <summary>What is made of the disk's primitives.</summary>
public static class DiskExtensions
{
    /// <summary>The folder that holds a path; empty for the top.</summary>
    public static string FolderOf(string path) => path.LastIndexOf('/') is >= 0 and var at ? path[..at] : "";

    /// <summary>Puts a small file in place of another: after a power cut there is the old one or the new one, whole.</summary>
    public static void Replace(this IDisk disk, string path, ReadOnlySpan<byte> bytes)
    {
        var temporary = path + ".new";
        using (var file = disk.Create(temporary))
        {
            file.Write(bytes);
            file.Sync();
        }

        disk.Rename(temporary, path);
        disk.SyncFolder(FolderOf(path));
    }

    /// <summary>The whole of a small file, as it was at one moment; null when it is not there.</summary>
    /// <exception cref="IOException">It is longer than <paramref name="most"/> bytes.</exception>
    public static byte[]? ReadSmall(this IDisk disk, string path, int most)
    {
        if (disk.LengthOf(path) is null)
            return null;
        try
        {
            using var stream = disk.OpenRead(path);
            // Of the file that was opened: the agent may have put another in its place since somebody else asked for the name.
            var length = stream.Length;
            if (length > most)
                throw new IOException($"{path} has {length} bytes where at most {most} are expected; it is damaged. Delete it.");
            var bytes = new byte[length];
            stream.ReadExactly(bytes);
            return bytes;
        }
        catch (FileNotFoundException)
        {
            return null; // it went meanwhile
        }
    }

    /// <summary>Takes what is there of a file into a digest, so that it is gone on with where it ended.</summary>
    /// <param name="disk">Where it is.</param>
    /// <param name="path">The file; may be missing.</param>
    /// <param name="hash">Takes its bytes.</param>
    /// <param name="buffer">Memory to read by.</param>
    /// <param name="cancel">Ends the reading.</param>
    /// <returns>Its bytes; 0 when it is not there.</returns>
    public static long HashPart(this IDisk disk, string path, IncrementalHash hash, byte[] buffer, CancellationToken cancel)
    {
        if (disk.LengthOf(path) is null)
            return 0;
        using var stream = disk.OpenRead(path);
        var length = 0L;
        for (int read; (read = stream.Read(buffer)) > 0; length += read)
        {
            cancel.ThrowIfCancellationRequested();
            hash.AppendData(buffer, 0, read);
        }

        return length;
    }
}
