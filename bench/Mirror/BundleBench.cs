using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using Coppice.Mirror.Tests;
using Coppice.Trust;

namespace Coppice.Bench.Mirror;

/// <summary>Bundles through the program itself: made, applied, applied again; beside reading, hashing and writing the same bytes.</summary>
static class BundleBench
{
    const int Turns = 3;

    /// <param name="coppice">Path of the program.</param>
    /// <param name="megabytes">Of the release's one file.</param>
    public static int Run(string coppice, int megabytes)
    {
        var folder = Directory.CreateTempSubdirectory("coppice-bench-bundle-").FullName;
        try
        {
            string In(string name) => Path.Combine(folder, name);
            using var repository = new SignedRepository();
            var model = repository.PathOf(RepositoryLayout.BlobFile(repository.Roll("1.0.0", megabytes * 1_000_000)));
            var root = repository.Root.ToString();

            Console.WriteLine($"{megabytes} MB in one file, medians of {Turns}; whole processes, with their start");
            Console.WriteLine("| what | MB/s | processor s |");
            Console.WriteLine("|---|---|---|");
            Show("read and hash, SHA-256 alone", megabytes, () => Hash(model));
            Show("copy, hash and sync, as a person would", megabytes, () => CopyAndHash(model, In("copy")));
            Show("`coppice bundle create`", megabytes, () =>
            {
                File.Delete(In("site.cpb"));
                return Do(coppice, folder, "bundle", "create", "--model", "plant/bearing@1.0.0", "--repository", repository.Folder, "--root", root, "-o", In("site.cpb"));
            });
            Show("`coppice bundle apply`, nothing there yet", megabytes, () =>
            {
                if (Directory.Exists(In("site")))
                    Directory.Delete(In("site"), recursive: true);
                return Do(coppice, folder, "bundle", "apply", In("site.cpb"), "--repository", In("site"), "--root", root);
            });
            Show("`coppice bundle apply`, everything there", megabytes, () => Do(coppice, folder, "bundle", "apply", In("site.cpb"), "--repository", In("site"), "--root", root));
            return 0;
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    static void Show(string what, int megabytes, Func<double> run)
    {
        var turns = new List<(double Wall, double Processor)>();
        for (var i = 0; i < Turns; i++)
        {
            var start = Stopwatch.GetTimestamp();
            var processor = run();
            turns.Add((Stopwatch.GetElapsedTime(start).TotalSeconds, processor));
        }

        var (wall, work) = (turns.Select(turn => turn.Wall).Order().ElementAt(Turns / 2), turns.Select(turn => turn.Processor).Order().ElementAt(Turns / 2));
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"| {what} | {megabytes / wall:0} | {work:0.00} |"));
    }

    static double Hash(string path)
    {
        var before = Process.GetCurrentProcess().TotalProcessorTime;
        using var file = File.OpenRead(path);
        SHA256.HashData(file);
        return (Process.GetCurrentProcess().TotalProcessorTime - before).TotalSeconds;
    }

    static double CopyAndHash(string from, string to)
    {
        var before = Process.GetCurrentProcess().TotalProcessorTime;
        File.Delete(to);
        File.Copy(from, to);
        using (var copy = File.Open(to, FileMode.Open))
        {
            SHA256.HashData(copy);
            copy.Flush(flushToDisk: true);
        }

        return (Process.GetCurrentProcess().TotalProcessorTime - before).TotalSeconds;
    }

    static double Do(string coppice, string folder, params string[] arguments)
    {
        var start = new ProcessStartInfo(coppice, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["XDG_CONFIG_HOME"] = Path.Combine(folder, "config");
        var before = ProcessorTimeOfChildren();
        using var process = Process.Start(start)!;
        var (output, errors) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        process.WaitForExit();
        return process.ExitCode == 0
            ? ProcessorTimeOfChildren() - before
            : throw new InvalidOperationException($"{string.Join(' ', arguments)}: {errors.Result}{output.Result}");
    }

    /// <summary>Processor seconds of processes that were started here and have ended.</summary>
    static double ProcessorTimeOfChildren()
    {
        var stat = File.ReadAllText("/proc/self/stat");
        var fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
        return (long.Parse(fields[13], CultureInfo.InvariantCulture) + long.Parse(fields[14], CultureInfo.InvariantCulture)) / 100.0;
    }
}
