using System.Diagnostics;
using System.Globalization;
using Coppice.Delta;
using Coppice.Formats;

namespace Coppice.Bench.Delta;

/// <summary>Speed once the code is compiled: each pair in this process again and again, one worker, files in memory, the least processor time.</summary>
static class WarmDelta
{
    const int Makes = 2;
    const int Applies = 12;

    public static int Run(IEnumerable<(string Name, string Old, string New)> pairs, PatchLevel level)
    {
        Console.WriteLine("| pair | new bytes | patch | make MB/s | apply MB/s | apply, old file known, MB/s |");
        Console.WriteLine("|---|---|---|---|---|---|");
        var failed = false;
        foreach (var (name, oldPath, newPath) in pairs)
        {
            var (old, made) = (File.ReadAllBytes(oldPath), File.ReadAllBytes(newPath));
            var source = new MemorySource(old);
            byte[] patch = [];
            var making = Least(Makes, () =>
            {
                using var written = new MemoryStream();
                PatchEncoder.Create(source, new MemorySource(made), written, new() { Level = level });
                patch = written.ToArray();
            });
            var output = new MemoryStream(new byte[made.Length]);
            var applying = Least(Applies, () => Apply(patch, source, output, trusted: false));
            var trusting = Least(Applies, () => Apply(patch, source, output, trusted: true));
            var same = output.ToArray().AsSpan().SequenceEqual(made);
            failed |= !same;
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"| {name} | {made.Length} | {(same ? patch.Length : -1)} | {made.Length / making / 1e6:0.0} | {made.Length / applying / 1e6:0.0} | {made.Length / trusting / 1e6:0.0} |"));
        }
        return failed ? 1 : 0;
    }

    static void Apply(byte[] patch, MemorySource old, MemoryStream output, bool trusted)
    {
        output.Position = 0;
        PatchDecoder.Apply(new MemoryStream(patch), [old], output, new() { TrustOldFiles = trusted });
    }

    static double Least(int times, Action work)
    {
        using var self = Process.GetCurrentProcess();
        var least = double.PositiveInfinity;
        for (var i = 0; i < times; i++)
        {
            self.Refresh();
            var before = self.TotalProcessorTime;
            work();
            self.Refresh();
            least = Math.Min(least, (self.TotalProcessorTime - before).TotalSeconds);
        }
        return least;
    }
}
