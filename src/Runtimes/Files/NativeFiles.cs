using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Coppice.Runtimes.Files;

/// <summary>What a durable store needs of the system and the BCL of .NET 10 does not give: hard links, and folders that are synced.</summary>
public static partial class NativeFiles
{
    /// <summary>Gives a file a second name. False where the file system has no hard links; the caller copies then.</summary>
    /// <param name="existing">Absolute path of the file.</param>
    /// <param name="name">Absolute path that is not there yet.</param>
    public static bool TryLink(string existing, string name) =>
        OperatingSystem.IsWindows() ? CreateHardLink(name, existing, 0) : LinkPosix(existing, name) == 0;

    /// <summary>Makes the names in a folder safe from a power cut. Windows journals names by itself and has no such call.</summary>
    /// <exception cref="IOException">The folder cannot be opened or synced.</exception>
    public static void SyncFolder(string folder)
    {
        if (OperatingSystem.IsWindows())
            return;
        var descriptor = OpenPosix(folder, 0);
        if (descriptor < 0)
            throw new IOException($"{folder}: cannot be opened to sync it (error {Marshal.GetLastPInvokeError()}).");
        using var handle = new SafeFileHandle(descriptor, ownsHandle: true);
        RandomAccess.FlushToDisk(handle);
    }

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int OpenPosix(string path, int flags);

    [LibraryImport("libc", EntryPoint = "link", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int LinkPosix(string existing, string name);

    [LibraryImport("kernel32", EntryPoint = "CreateHardLinkW", SetLastError = true, StringMarshalling = StringMarshalling.Utf16)]
    [return: MarshalAs(UnmanagedType.Bool)]
    private static partial bool CreateHardLink(string name, string existing, nint security);
}
