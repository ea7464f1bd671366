namespace Coppice.Agent.Inventory;

/// <summary>Tells one run of the machine from the next.</summary>
static class MachineBoot
{
    const string LinuxId = "/proc/sys/kernel/random/boot_id";

    /// <summary>The same text as long as the machine runs on; empty where the system does not say, which counts as no restart.</summary>
    public static string Current() => File.Exists(LinuxId) ? File.ReadAllText(LinuxId).Trim() : "";
}
