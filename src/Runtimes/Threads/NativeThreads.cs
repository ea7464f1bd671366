using System.Runtime.InteropServices;

namespace Coppice.Runtimes.Threads;

/// <summary>What the BCL does not do on Linux: a thread's priority.</summary>
public static partial class NativeThreads
{
    const int OfThread = 0; // PRIO_PROCESS with id 0: on Linux, the thread that calls
    const int Nice = 10;

    /// <summary>Lets every other thread of ordinary priority run before the calling one. Threads that it starts from now on are as low. A wish: where the system refuses, it goes on as it is.</summary>
    public static void LowerCalling()
    {
        if (OperatingSystem.IsLinux())
            _ = SetPriority(OfThread, 0, Nice); // no right is needed to be lower
        else
            Thread.CurrentThread.Priority = ThreadPriority.Lowest;
    }

    [LibraryImport("libc", EntryPoint = "setpriority")]
    private static partial int SetPriority(int which, int who, int nice);
}
