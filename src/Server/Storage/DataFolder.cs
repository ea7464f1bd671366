using System.Text;

namespace Coppice.Server.Storage;

/// <summary>The folder that holds everything a server keeps, for its owner alone, locked while a server runs on it.</summary>
sealed class DataFolder : IDisposable
{
    public const string Online = "online";

    public const string Offline = "offline";

    public const string DatabaseName = "coppice.db";

    public const string AdminToken = "admin.token";

    public const string RepositoryFolder = "repository";

    public const string LockFile = "lock";

    const string AuthoritiesFolder = "authorities";

    const UnixFileMode Owner = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    readonly FileStream held;

    DataFolder(string path, FileStream held) => (Path, this.held) = (path, held);

    /// <summary>Absolute.</summary>
    public string Path { get; }

    public string DatabaseFile => In(DatabaseName);

    public string AdminTokenFile => In(AdminToken);

    /// <summary>The signed static tree.</summary>
    public string Repository => In(RepositoryFolder);

    public string Keys => In("keys");

    /// <summary>The keys and certificates of the authorities that certify devices.</summary>
    public string Authorities => In(AuthoritiesFolder);

    /// <summary>The key that the server signs plans with.</summary>
    public string OnlineKeys => In("keys", Online);

    /// <summary>Keys that the server made for the first start and never reads again.</summary>
    public string OfflineKeys => In("keys", Offline);

    /// <summary>Where a restore lays things down that are not in their place yet. While it is there, the folder is no server's.</summary>
    public string Restoring => In("restore.part");

    /// <summary>Makes the folder if it is not there, and locks it.</summary>
    /// <param name="path">The folder.</param>
    /// <param name="restores">Whether it is opened to be filled from a backup.</param>
    /// <exception cref="DataFolderBusyException">Another server runs on it.</exception>
    /// <exception cref="InvalidDataException">A restore was begun in it and not finished.</exception>
    public static DataFolder Open(string path, bool restores = false)
    {
        path = System.IO.Path.GetFullPath(path);
        MakePrivate(path);
        try
        {
            // The lock goes with the process, however it ends.
            var opened = new DataFolder(path, new FileStream(System.IO.Path.Combine(path, LockFile), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None));
            if (restores || !Directory.Exists(opened.Restoring))
                return opened;
            opened.Dispose();
            throw new InvalidDataException($"A restore into {path} was not finished, and nothing in it counts; run 'coppice admin restore' again.");
        }
        catch (IOException e) when (e is not (FileNotFoundException or DirectoryNotFoundException))
        {
            throw new DataFolderBusyException(path, e);
        }
    }

    /// <summary>The files of a data folder that servers on one database have alike, and a backup holds: online keys, the audit log's, the outbox's, the authorities. Never what is in <see cref="OfflineKeys"/>.</summary>
    /// <param name="path">The folder.</param>
    /// <returns>Relative, with '/'.</returns>
    public static IEnumerable<string> SharedFiles(string path) =>
        from place in new[] { ($"keys/{Online}", "*.pem"), ("keys", "audit.pem"), ("keys", "outbox.key"), (AuthoritiesFolder, "*.key"), (AuthoritiesFolder, "*.pem") }
        let folder = System.IO.Path.Combine([path, .. place.Item1.Split('/')])
        where Directory.Exists(folder)
        from file in Directory.GetFiles(folder, place.Item2).Order(StringComparer.Ordinal)
        select $"{place.Item1}/{System.IO.Path.GetFileName(file)}";

    /// <summary>Makes a folder that only its owner can open, with those above it.</summary>
    public static void MakePrivate(string root, string folder)
    {
        var path = root;
        foreach (var part in System.IO.Path.GetRelativePath(root, folder).Split(System.IO.Path.DirectorySeparatorChar))
            MakePrivate(path = System.IO.Path.Combine(path, part));
    }

    /// <summary>Makes a folder that only its owner can open.</summary>
    public static void MakePrivate(string path)
    {
        if (OperatingSystem.IsWindows())
            Directory.CreateDirectory(path); // takes the rights of the user's profile
        else
            Directory.CreateDirectory(path, Owner);
    }

    /// <summary>Writes a file that only its owner can read, whole or not at all.</summary>
    public static void WritePrivate(string file, string text) => WritePrivate(file, Encoding.UTF8.GetBytes(text));

    /// <summary>Writes a file that only its owner can read, whole or not at all.</summary>
    public static void WritePrivate(string file, ReadOnlySpan<byte> bytes)
    {
        var options = new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.Write, Share = FileShare.None };
        if (!OperatingSystem.IsWindows())
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        var part = file + ".part";
        File.Delete(part); // the mode is set only on a new file
        using (var stream = new FileStream(part, options))
        {
            stream.Write(bytes);
            stream.Flush(flushToDisk: true);
        }

        File.Move(part, file, overwrite: true);
    }

    public void Dispose() => held.Dispose();

    string In(params ReadOnlySpan<string> parts) => System.IO.Path.Combine([Path, .. parts]);
}

/// <summary>Another server runs on the data folder.</summary>
public sealed class DataFolderBusyException(string path, Exception inner)
    : Exception($"Another server runs on {path}: it holds the file 'lock' there. Stop it, or give this one its own folder with --data.", inner);
