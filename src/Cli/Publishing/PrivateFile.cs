namespace Coppice.Cli.Publishing;

/// <summary>Files that only their owner can read.</summary>
static class PrivateFile
{
    /// <summary>Writes a file that must not be there yet.</summary>
    /// <exception cref="PublicationException">It is there, or cannot be written.</exception>
    public static void WriteNew(string path, byte[] bytes)
    {
        try
        {
            Write(path, FileMode.CreateNew, bytes);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new PublicationException(File.Exists(path) ? $"{path} is there already; nothing was changed. Choose another name." : $"{path} cannot be written ({e.Message})", e);
        }
    }

    /// <summary>Puts other bytes in the place of a file: after a power cut there is the old one or the new one.</summary>
    /// <exception cref="PublicationException">It cannot be written.</exception>
    public static void Replace(string path, byte[] bytes)
    {
        try
        {
            File.Delete(path + ".new");
            Write(path + ".new", FileMode.CreateNew, bytes);
            File.Move(path + ".new", path, overwrite: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new PublicationException($"{path} cannot be written ({e.Message})", e);
        }
    }

    static void Write(string path, FileMode mode, byte[] bytes)
    {
        var options = new FileStreamOptions { Mode = mode, Access = FileAccess.Write, Share = FileShare.None };
        if (!OperatingSystem.IsWindows())
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        using var stream = new FileStream(path, options);
        stream.Write(bytes);
        stream.Flush(flushToDisk: true);
    }
}
