using Coppice.Runtimes.Files;

namespace Coppice.Agent.Storage;

/// <summary>A folder of the operating system.</summary>
public sealed class FolderDisk : IDisk
{
    readonly string root;
    readonly DriveInfo drive;

    /// <param name="root">The data folder; made when it is not there.</param>
    public FolderDisk(string root)
    {
        this.root = Path.GetFullPath(root);
        MakePrivate(this.root);
        drive = new DriveInfo(this.root);
    }

    /// <summary>Makes a folder that only its owner can open, unless it is there: who wants to share it makes it beforehand.</summary>
    public static void MakePrivate(string folder)
    {
        if (OperatingSystem.IsWindows())
            Directory.CreateDirectory(folder); // takes the rights of the user's profile
        else
            Directory.CreateDirectory(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }

    /// <inheritdoc/>
    public long FreeBytes => drive.AvailableFreeSpace;

    /// <inheritdoc/>
    public string FullPath(string path) => path.Length == 0 ? root : Path.Combine(root, path.Replace('/', Path.DirectorySeparatorChar));

    /// <inheritdoc/>
    public long? LengthOf(string path) => new FileInfo(FullPath(path)) is { Exists: true } file ? file.Length : null;

    /// <inheritdoc/>
    public Stream OpenRead(string path) =>
        new FileStream(FullPath(path), FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 1, FileOptions.SequentialScan);

    /// <inheritdoc/>
    public IDiskFile Create(string path) => new WrittenFile(FullPath(path), FileMode.Create, secret: DataFolder.IsSecret(path));

    /// <inheritdoc/>
    public IDiskFile Append(string path) => new WrittenFile(FullPath(path), FileMode.Append);

    /// <inheritdoc/>
    public void Cut(string path, long length)
    {
        using var stream = new FileStream(FullPath(path), FileMode.Open, FileAccess.Write, FileShare.Read, bufferSize: 0);
        stream.SetLength(length);
    }

    /// <inheritdoc/>
    public void Rename(string from, string to) => File.Move(FullPath(from), FullPath(to), overwrite: true);

    /// <inheritdoc/>
    public void Link(string existing, string name)
    {
        File.Delete(FullPath(name));
        if (!NativeFiles.TryLink(FullPath(existing), FullPath(name))) // FAT on a card, or a mount that forbids it
            Copy(existing, name);
    }

    void Copy(string existing, string name)
    {
        using var from = OpenRead(existing);
        using var to = Create(name);
        var buffer = new byte[1 << 16];
        for (int read; (read = from.Read(buffer)) > 0;)
            to.Write(buffer.AsSpan(0, read));
        to.Sync();
    }

    /// <inheritdoc/>
    public void Delete(string path)
    {
        if (Directory.Exists(FullPath(DiskExtensions.FolderOf(path))))
            File.Delete(FullPath(path));
    }

    /// <inheritdoc/>
    public void DeleteFolder(string folder)
    {
        if (Directory.Exists(FullPath(folder)))
            Directory.Delete(FullPath(folder), recursive: true);
    }

    /// <inheritdoc/>
    public void MakeFolder(string folder)
    {
        if (folder.Length == 0 || Directory.Exists(FullPath(folder)))
            return;
        var above = DiskExtensions.FolderOf(folder);
        MakeFolder(above);
        Directory.CreateDirectory(FullPath(folder));
        SyncFolder(above);
    }

    /// <inheritdoc/>
    public void SyncFolder(string folder) => NativeFiles.SyncFolder(FullPath(folder));

    /// <inheritdoc/>
    public IReadOnlyList<string> Files(string folder) => Names(folder, Directory.GetFiles);

    /// <inheritdoc/>
    public IReadOnlyList<string> Folders(string folder) => Names(folder, Directory.GetDirectories);

    string[] Names(string folder, Func<string, string[]> list)
    {
        if (!Directory.Exists(FullPath(folder)))
            return [];
        var names = Array.ConvertAll(list(FullPath(folder)), path => Path.GetFileName(path));
        Array.Sort(names, StringComparer.Ordinal);
        return names;
    }

    sealed class WrittenFile(string path, FileMode mode, bool secret = false) : IDiskFile
    {
        readonly FileStream stream = new(path, Options(mode, secret));

        public long Length => stream.Length;

        public void Write(ReadOnlySpan<byte> bytes) => stream.Write(bytes);

        public void Sync() => RandomAccess.FlushToDisk(stream.SafeFileHandle);

        public void Dispose() => stream.Dispose();

        static FileStreamOptions Options(FileMode mode, bool secret)
        {
            var options = new FileStreamOptions { Mode = mode, Access = FileAccess.Write, Share = FileShare.Read, BufferSize = 0 };
            if (secret && !OperatingSystem.IsWindows()) // the device's keys; who else uses the machine may read models only
                options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
            return options;
        }
    }
}
