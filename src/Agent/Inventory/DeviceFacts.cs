using System.Collections.Immutable;
using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;
using Coppice.Agent.Storage;
using Coppice.Fleet;
using Coppice.Inference;

namespace Coppice.Agent.Inventory;

/// <summary>What this device is, measured when asked.</summary>
/// <param name="disk">The data folder; its free space counts.</param>
/// <param name="runtimes">The runtimes of this process.</param>
/// <param name="app">Version of the app that embeds the agent; null when there is none.</param>
/// <param name="own">Facts that the embedding program or the operator of the machine states; they go over measured ones.</param>
public sealed class DeviceFacts(IDisk disk, IReadOnlyList<IModelRuntime> runtimes, string? app, IReadOnlyDictionary<string, string> own)
{
    readonly Lazy<ImmutableDictionary<string, string>> still = new(() => Still(runtimes, app));

    /// <summary>The version of this agent.</summary>
    public static string AgentVersion { get; } =
        typeof(DeviceFacts).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0] ?? "0.0.0";

    /// <summary>Names of facts that are told to nobody; one that ends with '*' is of all that begin so.</summary>
    public ImmutableArray<string> Withheld { get; init => field = value.IsDefault ? [] : value; } = [];

    /// <summary>What the operator calls the device.</summary>
    public Func<ImmutableDictionary<string, string>> Labels { get; init; } = () => [];

    /// <summary>Facts without labels, as they go to the server: without those that are withheld, whose names are in <see cref="FactSet.Withheld"/>.</summary>
    public ImmutableDictionary<string, string> Told()
    {
        var all = Measure();
        var kept = all.Keys.Where(IsWithheld).Order(StringComparer.Ordinal).ToArray();
        return kept.Length == 0 ? all : all.RemoveRange(kept).SetItem(FactSet.Withheld, FactSet.NamesOf(kept));
    }

    bool IsWithheld(string name) => Withheld.Any(one => one.EndsWith('*') ? name.StartsWith(one[..^1], StringComparison.Ordinal) : one == name);

    /// <summary>Facts without labels, all of them.</summary>
    public ImmutableDictionary<string, string> Measure()
    {
        var (total, free) = MachineMemory.Measure();
        return still.Value
            .SetItem("ram", Text(total)).SetItem("ram.total", Text(total)).SetItem("ram.free", Text(free))
            .SetItem("disk.free", Text(disk.FreeBytes))
            .SetItems(own);
    }

    /// <summary>Facts and labels, as choices read them.</summary>
    public FactSet Now() => new FactSet(Measure()).With(FactSet.OfLabels(Labels()));

    static ImmutableDictionary<string, string> Still(IReadOnlyList<IModelRuntime> runtimes, string? app)
    {
        var facts = ImmutableDictionary.CreateBuilder<string, string>();
        facts["os"] = OperatingSystem.IsAndroid() ? "android" : OperatingSystem.IsLinux() ? "linux" : OperatingSystem.IsWindows() ? "windows" : OperatingSystem.IsMacOS() ? "macos" : "other";
        facts["arch"] = RuntimeInformation.ProcessArchitecture.ToString().ToLowerInvariant();
        facts["cpus"] = Text(Environment.ProcessorCount);
        facts["agent"] = AgentVersion;
        facts["accelerators"] = "";
        if (app is not null)
            facts["app"] = app;
        foreach (var runtime in runtimes)
        {
            try
            {
                facts["runtime." + runtime.Name] = runtime.Version;
            }
            catch (InferenceException) // its native library is not here: releases for it do not fit, and say so
            {
            }
        }

        return facts.ToImmutable();
    }

    static string Text(long count) => count.ToString(CultureInfo.InvariantCulture);
}

/// <summary>The machine's memory.</summary>
static class MachineMemory
{
    /// <summary>Bytes there are, and bytes that a new load could take now.</summary>
    public static (long Total, long Free) Measure()
    {
        if (OperatingSystem.IsLinux())
        {
            long total = 0, free = 0;
            foreach (var line in File.ReadLines("/proc/meminfo"))
            {
                if (line.StartsWith("MemTotal:", StringComparison.Ordinal))
                    total = KiB(line);
                else if (line.StartsWith("MemAvailable:", StringComparison.Ordinal))
                    free = KiB(line);
            }

            // A container may be allowed less than the machine has.
            var allowed = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
            return allowed > 0 && allowed < total ? (allowed, Math.Min(free, Math.Max(0, allowed - Environment.WorkingSet))) : (total, free);
        }

        var info = GC.GetGCMemoryInfo();
        return (info.TotalAvailableMemoryBytes, Math.Max(0, info.TotalAvailableMemoryBytes - info.MemoryLoadBytes));
    }

    static long KiB(string line) => 1024 * long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture);
}
