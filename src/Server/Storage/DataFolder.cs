using System.Text;

namespace Coppice.Server.Storage;

/// <summary>The folder that holds everything a server keeps, for its owner alone, locked while a server runs on it.</summary>
sealed class DataFolder : IDisposable
{
    public const string Online = "online";

    public const string Offline = "offline";

    const UnixFileMode Owner = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    readonly FileStream held;

    DataFolder(string path, FileStream held) => (Path, this.held) = (path, held);

    /// <summary>Absolute.</summary>
    public string Path { get; }

    public string DatabaseFile => In("coppice.db");

    public string AdminTokenFile => In("admin.token");

    /// <summary>The signed static tree.</summary>
    public string Repository => In("repository");

    public string Keys => In("keys");

    /// <summary>The keys and certificates of the authorities that certify devices.</summary>
    public string Authorities => In("authorities");

    /// <summary>The key that the server signs plans with.</summary>
    public string OnlineKeys => In("keys", Online);

    /// <summary>Keys that the server made for the first start and never reads again.</summary>
    public string OfflineKeys => In("keys", Offline);

    /// <summary>Makes the folder if it is not there, and locks it.</summary>
    /// <exception cref="DataFolderBusyException">Another server runs on it.</exception>
    public static DataFolder Open(string path)
    {
        path = System.IO.Path.GetFullPath(path);
        MakePrivate(path);
        try
        {
            // The lock goes with the process, however it ends.
            return new(path, new FileStream(System.IO.Path.Combine(path, "lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None));
        }
        catch (IOException e) when (e is not (FileNotFoundException or DirectoryNotFoundException))
        {
            throw new DataFolderBusyException(path, e);
        }
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
