using System.Globalization;

namespace Coppice.Bench;

/// <summary>The most anonymous memory that this process holds while something runs, looked at every few milliseconds.</summary>
sealed class PeakMemory
{
    readonly Task watcher;
    volatile bool done;

    public PeakMemory()
    {
        Before = Most = Anonymous();
        watcher = Task.Run(async () =>
        {
            while (!done)
            {
                Most = Math.Max(Most, Anonymous());
                await Task.Delay(5);
            }
        });
    }

    /// <summary>Bytes at the beginning.</summary>
    public long Before { get; }

    /// <summary>The most bytes until now.</summary>
    public long Most { get; private set; }

    /// <summary>Ends the watch.</summary>
    public Task StopAsync()
    {
        done = true;
        return watcher;
    }

    /// <summary>What the watch saw.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"memory: {Before / 1e6:0.0} MB before, {Most / 1e6:0.0} MB at most: {(Most - Before) / 1e6:0.0} MB more");

    static long Anonymous() => 1024 * long.Parse(
        File.ReadLines("/proc/self/status").First(line => line.StartsWith("RssAnon:", StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture);
}
