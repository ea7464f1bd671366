using System.Diagnostics;
using System.Globalization;
using Coppice.Delta;
using Coppice.Formats;

namespace Coppice.Bench.Delta;

/// <summary>Patches of every pair of files in some folders: size, time and memory, beside the delta tools that are installed.</summary>
/// <remarks>
/// <c>delta FOLDER… [--only TEXT] [--level Fast|Default|Max] [--no-peers | --warm]</c>, pairs by <c>delta make FILE FOLDER</c>. Pairs are NAME/old.EXT with NAME/new.EXT, and NAME.old.EXT with
/// NAME.new.EXT. Every result is compared byte by byte. Making and applying run in processes of their own, one thread each, so times and
/// peaks are those of whole processes, start and compilation included. With <c>--warm</c>: each pair several times in this process, one thread,
/// the least processor time of all, so that compilation is left out.
/// </remarks>
static class DeltaBench
{
    const double Million = 1e6;

    public static int Run(string[] args)
    {
        if (args is ["--make" or "--apply", ..])
            return Child(args);
        if (args is ["make", var file, var folder])
            return MadePairs.Run(file, folder);
        var folders = new List<string>();
        var (only, level, peers, warm) = ("", "Default", true, false);
        for (var i = 0; i < args.Length; i++)
        {
            switch (args[i])
            {
                case "--only" when i + 1 < args.Length:
                    only = args[++i];
                    break;
                case "--level" when i + 1 < args.Length:
                    level = args[++i];
                    break;
                case "--no-peers":
                    peers = false;
                    break;
                case "--warm":
                    warm = true;
                    break;
                default:
                    folders.Add(args[i]);
                    break;
            }
        }
        if (folders.Count == 0)
        {
            Console.Error.WriteLine("Say where the pairs are: delta FOLDER… [--only TEXT] [--level Fast|Default|Max] [--no-peers | --warm]");
            return 2;
        }

        var pairs = folders.SelectMany(Pairs).Where(pair => pair.Name.Contains(only, StringComparison.Ordinal));
        if (warm)
            return WarmDelta.Run(pairs, Enum.Parse<PatchLevel>(level));
        var tools = peers ? DeltaPeer.Installed() : [];
        Console.WriteLine($"| pair | new bytes | patch | % | {string.Concat(tools.Select(tool => $"{tool.Name} | "))}best peer ÷ ours | make MB/s | make peak MB | apply MB/s | apply peak MB |");
        Console.WriteLine($"|{string.Concat(Enumerable.Repeat("---|", 9 + tools.Count))}");
        var work = Directory.CreateTempSubdirectory("delta-bench");
        var failed = false;
        try
        {
            foreach (var (name, old, made) in pairs)
                failed |= !Measure(name, old, made, level, tools, work.FullName);
        }
        finally
        {
            work.Delete(recursive: true);
        }
        return failed ? 1 : 0;
    }

    static IEnumerable<(string Name, string Old, string New)> Pairs(string folder)
    {
        foreach (var old in Directory.EnumerateFiles(folder, "old.*", SearchOption.AllDirectories).Order(StringComparer.Ordinal))
            yield return (Path.GetFileName(Path.GetDirectoryName(old)!), old, Path.Combine(Path.GetDirectoryName(old)!, "new" + Path.GetFileName(old)[3..]));
        foreach (var old in Directory.EnumerateFiles(folder, "*.old.*").Order(StringComparer.Ordinal))
            yield return (Path.GetFileName(old).Split(".old.")[0], old, old.Replace(".old.", ".new.", StringComparison.Ordinal));
    }

    static bool Measure(string name, string old, string made, string level, List<DeltaPeer> tools, string work)
    {
        var (patch, result) = (Path.Combine(work, "patch"), Path.Combine(work, "result"));
        var making = Start("--make", old, made, patch, level);
        var applying = Start("--apply", old, patch, result);
        var same = DeltaPeer.Same(made, result);
        var length = new FileInfo(made).Length;
        var size = new FileInfo(patch).Length;
        var sizes = tools.ConvertAll(tool => tool.Measure(old, made, work));
        var best = sizes.Where(peer => peer is not null).DefaultIfEmpty(null).Min();
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"| {name} | {length} | {(same ? size.ToString(CultureInfo.InvariantCulture) : "WRONG")} | {100.0 * size / length:0.000} | {string.Concat(sizes.Select(peer => $"{peer?.ToString(CultureInfo.InvariantCulture) ?? "failed"} | "))}"
            + $"{(double?)best / size:0.00} | {length / making.Seconds / Million:0.0} | {making.PeakMegabytes:0} | {length / applying.Seconds / Million:0.0} | {applying.PeakMegabytes:0} |"));
        return same;
    }

    static (double Seconds, double PeakMegabytes) Start(params string[] arguments)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!) { RedirectStandardOutput = true };
        if (Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet")
            start.ArgumentList.Add(typeof(DeltaBench).Assembly.Location);
        start.ArgumentList.Add("delta");
        foreach (var argument in arguments)
            start.ArgumentList.Add(argument);
        using var child = Process.Start(start)!;
        var said = child.StandardOutput.ReadToEnd().Split(' ');
        child.WaitForExit();
        return child.ExitCode == 0 && said.Length == 2
            ? (double.Parse(said[0], CultureInfo.InvariantCulture), double.Parse(said[1], CultureInfo.InvariantCulture))
            : throw new InvalidOperationException($"{string.Join(' ', arguments)} ended with {child.ExitCode}.");
    }

    /// <summary>Does one thing, and says its processor seconds and its peak memory.</summary>
    static int Child(string[] args)
    {
        if (args[0] == "--make")
        {
            using var patch = File.Create(args[3]);
            PatchEncoder.Create(
                [PatchSource.Of(new FileOnDisk(args[1]))], PatchSource.Of(new FileOnDisk(args[2])), patch, new() { Level = Enum.Parse<PatchLevel>(args[4]) });
        }
        else
        {
            using var patch = File.OpenRead(args[2]);
            using var made = new FileStream(args[3], FileMode.Create, FileAccess.ReadWrite);
            PatchDecoder.Apply(patch, [new FileOnDisk(args[1])], made);
        }
        using var self = Process.GetCurrentProcess();
        Console.Write(string.Create(CultureInfo.InvariantCulture, $"{self.TotalProcessorTime.TotalSeconds} {self.PeakWorkingSet64 / Million}"));
        return 0;
    }

    sealed class FileOnDisk(string path) : IByteSource
    {
        readonly Microsoft.Win32.SafeHandles.SafeFileHandle handle = File.OpenHandle(path);

        public long Length => RandomAccess.GetLength(handle);

        public void Read(long offset, Span<byte> into)
        {
            while (!into.IsEmpty)
            {
                var read = RandomAccess.Read(handle, into, offset);
                if (read == 0)
                    throw new EndOfStreamException();
                offset += read;
                into = into[read..];
            }
        }
    }
}
