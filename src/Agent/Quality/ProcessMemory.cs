using System.Globalization;

namespace Coppice.Agent.Quality;

/// <summary>How much memory this process holds.</summary>
static class ProcessMemory
{
    /// <summary>Resident bytes. On Linux from /proc, which counts native memory at once; elsewhere what the runtime tells.</summary>
    public static long Resident()
    {
        if (!OperatingSystem.IsLinux())
            return Environment.WorkingSet;
        var fields = File.ReadAllText("/proc/self/statm").Split(' ');
        return long.Parse(fields[1], CultureInfo.InvariantCulture) * Environment.SystemPageSize;
    }
}
