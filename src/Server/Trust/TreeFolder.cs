using System.Diagnostics;

namespace Coppice.Server.Trust;

/// <summary>The repository's tree in a folder of this machine.</summary>
/// <remarks>
/// A file is written under <c>.partial/</c>, flushed to the disk and renamed. Renames reach the disk in their order on
/// journaling file systems (ext4, XFS, NTFS, APFS), so that a timestamp there means that all it names is there too.
/// </remarks>
public sealed class TreeFolder : ITreeFiles
{
    const string PartialFolder = ".partial";
    static readonly TimeSpan LockPatience = TimeSpan.FromSeconds(30);
    static readonly TimeSpan LockPause = TimeSpan.FromMilliseconds(20);

    readonly string _root;
    readonly Lock _oneWriter = new();

    /// <param name="root">Made when it is not there.</param>
    public TreeFolder(string root)
    {
        _root = Path.GetFullPath(root);
        Directory.CreateDirectory(Path.Combine(_root, PartialFolder));
    }

    /// <summary>Absolute.</summary>
    public string Root => _root;

    public ITreeWriting LockForWriting()
    {
        var waited = Stopwatch.StartNew();
        if (!_oneWriter.TryEnter(LockPatience))
            throw Busy();
        try
        {
            while (true)
            {
                try
                {
                    // Held by the system for as long as the process lives; nothing to clean up after a crash.
                    var held = new FileStream(Path.Combine(_root, ".lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
                    return new Writer(held, _oneWriter);
                }
                catch (IOException) when (waited.Elapsed < LockPatience)
                {
                    Thread.Sleep(LockPause); // another process writes; it needs milliseconds
                }
            }
        }
        catch (IOException)
        {
            _oneWriter.Exit();
            throw Busy();
        }
        catch
        {
            _oneWriter.Exit();
            throw;
        }
    }

    public long? Length(string path)
    {
        var file = new FileInfo(Full(path));
        return file.Exists ? file.Length : null;
    }

    public Stream? Open(string path)
    {
        try
        {
            return new FileStream(
                Full(path), FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, 64 * 1024, useAsync: true);
        }
        catch (Exception absent) when (absent is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
    }

    public IReadOnlyList<string> List(string folder)
    {
        var full = Full(folder);
        return Directory.Exists(full) ? [.. Directory.EnumerateFiles(full).Select(file => Path.GetFileName(file))] : [];
    }

    public ITreeFile Create(string path)
    {
        var temporary = Path.Combine(_root, PartialFolder, Guid.NewGuid().ToString("N"));
        return new PartialFile(temporary, Full(path));
    }

    public void Delete(string path)
    {
        if (File.Exists(Full(path)))
            File.Delete(Full(path));
    }

    public void RemoveLeftovers(DateTimeOffset olderThan)
    {
        foreach (var file in new DirectoryInfo(Path.Combine(_root, PartialFolder)).EnumerateFiles())
        {
            if (file.LastWriteTimeUtc < olderThan.UtcDateTime)
                file.Delete();
        }
    }

    string Full(string path) => Path.Combine([_root, .. path.Split('/')]);

    static IOException Busy() =>
        new($"Another writer has held the repository for {LockPatience.TotalSeconds:0} seconds; let it finish, then try again.");

    sealed class Writer(FileStream held, Lock oneWriter) : ITreeWriting
    {
        public void Complete()
        {
            // Each file is in its place already, the timestamp last.
        }

        public void Dispose()
        {
            held.Dispose();
            oneWriter.Exit();
        }
    }

    sealed class PartialFile : ITreeFile
    {
        readonly string _temporary;
        readonly string _path;
        readonly FileStream _content;
        bool _committed;

        public PartialFile(string temporary, string path)
        {
            (_temporary, _path) = (temporary, path);
            _content = new FileStream(temporary, FileMode.CreateNew, FileAccess.Write, FileShare.None, 64 * 1024, useAsync: true);
        }

        public Stream Content => _content;

        public void Commit()
        {
            _content.Flush(flushToDisk: true);
            _content.Dispose();
            Directory.CreateDirectory(Path.GetDirectoryName(_path)!);
            File.Move(_temporary, _path, overwrite: true);
            _committed = true;
        }

        public void Dispose()
        {
            _content.Dispose();
            if (!_committed)
                File.Delete(_temporary);
        }
    }
}
