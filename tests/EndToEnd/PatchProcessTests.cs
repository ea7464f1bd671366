using System.Buffers.Binary;
using System.Diagnostics;
using System.Globalization;
using System.Text;
using Coppice.Delta;
using Coppice.Formats;
using Coppice.Numerics;

namespace Coppice.EndToEnd;

/// <summary><c>coppice patch apply</c> as real processes that are killed, run out of disk, or run on lesser processors.</summary>
public sealed class PatchProcessTests : IDisposable
{
    const int Columns = 512;

    /// <summary>Kills of each way to apply; COPPICE_PATCH_KILLS for more or fewer.</summary>
    static readonly int Kills = int.Parse(Environment.GetEnvironmentVariable("COPPICE_PATCH_KILLS") ?? "12", CultureInfo.InvariantCulture);

    /// <summary>What the whole process may take on a device, whatever the file's size: 48 MB is aimed at, 45 to 49 were seen.</summary>
    const long MostResident = 52_000_000;

    readonly string folder = Directory.CreateTempSubdirectory("coppice-patch-").FullName;

    string PathOf(string name) => Path.Combine(folder, name);

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public async Task A_killed_process_leaves_no_half_made_file_and_the_old_one_untouched()
    {
        var (old, made) = MakePair(rows: 8192, moved: true);
        var random = new SeededRandom(21);
        var whole = await TimeAsync("apply", PathOf("old"), PathOf("patch"), "-o", PathOf("new"), "--threads", "1");
        File.Delete(PathOf("new"));
        var ended = 0;
        for (var kill = 1; kill <= Kills; kill++)
        {
            ended += await RunAndKillAsync(random, whole, "apply", PathOf("old"), PathOf("patch"), "-o", PathOf("new"), "--threads", "1") ? 0 : 1;
            if (File.Exists(PathOf("new")))
                AssertSame(made, await File.ReadAllBytesAsync(PathOf("new")), $"kill {kill} left another file under the new name");
            File.Delete(PathOf("new"));
        }

        Assert.Equal(old, await File.ReadAllBytesAsync(PathOf("old")));
        await RunAsync([], 0, "apply", PathOf("old"), PathOf("patch"), "-o", PathOf("new"));
        Assert.Equal(made, await File.ReadAllBytesAsync(PathOf("new")));
        Console.WriteLine($"{Kills} runs of about {whole.TotalMilliseconds:0} ms, {ended} ended before the kill");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_file_that_is_patched_in_place_goes_on_after_any_kill(bool moved)
    {
        var (old, made) = MakePair(rows: 8192, moved);
        var random = new SeededRandom(22);
        await File.WriteAllBytesAsync(PathOf("file"), old);
        var whole = await TimeAsync("apply", PathOf("file"), PathOf("patch"), "--in-place");
        await File.WriteAllBytesAsync(PathOf("file"), old);
        var completed = 0;
        for (var kill = 1; kill <= Kills; kill++)
        {
            if (await RunAndKillAsync(random, whole, "apply", PathOf("file"), PathOf("patch"), "--in-place") && kill < Kills)
                continue; // killed once more while it goes on
            await RunAsync([], 0, "apply", PathOf("file"), PathOf("patch"), "--in-place");
            AssertSame(made, await File.ReadAllBytesAsync(PathOf("file")), $"after kill {kill} the file became another one");
            Assert.False(File.Exists(PathOf("file.journal")));
            await File.WriteAllBytesAsync(PathOf("file"), old);
            completed++;
        }

        Console.WriteLine($"{Kills} runs of about {whole.TotalMilliseconds:0} ms, {completed} files completed in between");
    }

    /// <summary>The published patches hold every technique and every kind of blocks; what is off stays off in the child's runtime.</summary>
    [Theory]
    [InlineData("DOTNET_EnableHWIntrinsic")]
    [InlineData("DOTNET_EnableAVX")]
    [InlineData("DOTNET_EnableAVX2")]
    [InlineData("DOTNET_EnableBMI2")]
    [InlineData("DOTNET_EnableAVX512", "DOTNET_EnableAVX512F")]
    [InlineData]
    public async Task The_published_patches_make_the_same_bytes_on_lesser_processors(params string[] off)
    {
        var golden = Path.Combine(Tests.RepositoryRoot.Path, "tests", "Golden", "delta");
        foreach (var (old, patch, made) in ((string, string, string)[])[("old.bin", "patch.cpp3", "new.bin"), ("blocks.old.gguf", "blocks.cpp3", "blocks.new.gguf")])
        {
            await RunAsync(off, 0, "apply", Path.Combine(golden, old), Path.Combine(golden, patch), "-o", PathOf(made));
            Assert.Equal(await File.ReadAllBytesAsync(Path.Combine(golden, made)), await File.ReadAllBytesAsync(PathOf(made)));
        }
    }

    [Fact]
    public async Task A_full_disk_leaves_the_old_file_and_says_what_is_wrong()
    {
        if (!OperatingSystem.IsLinux() || Environment.UserName != "root")
        {
            Assert.False(Environment.GetEnvironmentVariable("CI") == "true", "a build server runs this test as root: it mounts a small disk");
            Console.WriteLine("NOT RUN: mounting a small disk needs root.");
            return;
        }

        var (old, made) = MakePair(rows: 4096, moved: true);
        var disk = Directory.CreateDirectory(PathOf("disk")).FullName;
        await SystemAsync("mount", "-t", "tmpfs", "-o", $"size={old.Length + (1 << 20)}", "tmpfs", disk);
        try
        {
            // No room for both: the new file cannot be finished, and nothing is left of it.
            var file = Path.Combine(disk, "file");
            await File.WriteAllBytesAsync(file, old);
            var said = await RunAsync([], 1, "apply", file, PathOf("patch"), "-o", Path.Combine(disk, "new"));
            Assert.Contains("space", said, StringComparison.OrdinalIgnoreCase);
            Assert.Equal([file], Directory.GetFiles(disk));
            Assert.Equal(old, await File.ReadAllBytesAsync(file));

            // No room for the journal either. With more room the same command goes on to the new file.
            said = await RunAsync([], 1, "apply", file, PathOf("patch"), "--in-place");
            Assert.Contains("space", said, StringComparison.OrdinalIgnoreCase);
            await SystemAsync("mount", "-o", $"remount,size={4 * old.Length}", disk);
            await RunAsync([], 0, "apply", file, PathOf("patch"), "--in-place");
            Assert.Equal(made, await File.ReadAllBytesAsync(file));
        }
        finally
        {
            await SystemAsync("umount", disk);
        }
    }

    [Theory]
    [InlineData(1024)]
    [InlineData(65536)]
    public async Task The_process_takes_as_little_memory_for_a_large_file_as_for_a_small_one(int rows)
    {
        if (!OperatingSystem.IsLinux())
            return;
        var (_, made) = MakePair(rows, moved: false);
        using var process = Process.Start(StartOf([], "apply", PathOf("old"), PathOf("patch"), "-o", PathOf("new")))!;
        var peak = 0L;
        while (!process.WaitForExit(1))
            peak = Math.Max(peak, Peak(process.Id));
        Assert.Equal(0, process.ExitCode);
        AssertSame(made, await File.ReadAllBytesAsync(PathOf("new")), "the patch made another file");
        Console.WriteLine($"{peak / 1e6:0.0} MB for {made.Length / 1e6:0} MB");
        Assert.InRange(peak, 1, MostResident);
    }

    /// <summary>Peak resident bytes; 0 when the process has just ended.</summary>
    static long Peak(int process)
    {
        try
        {
            return 1024 * File.ReadLines($"/proc/{process}/status").Where(line => line.StartsWith("VmHWM:", StringComparison.Ordinal))
                .Select(line => long.Parse(line["VmHWM:".Length..].Replace("kB", "", StringComparison.Ordinal), CultureInfo.InvariantCulture)).FirstOrDefault();
        }
        catch (IOException)
        {
            return 0;
        }
    }

    /// <summary>A fine-tune in bfloat16 as a safetensors file, and the patch; moved: with a longer header and two tensors in another order.</summary>
    (byte[] Old, byte[] New) MakePair(int rows, bool moved)
    {
        var random = new SeededRandom(20);
        var (a, b) = (Weights(random, rows * Columns / 2), Weights(random, rows * Columns / 2));
        var old = Safetensors("first", ("a", a), ("b", b));
        var (c, d) = (Tuned(random, a), Tuned(random, b));
        var made = moved ? Safetensors("the second one", ("b", d), ("a", c)) : Safetensors("other", ("a", c), ("b", d));
        File.WriteAllBytes(PathOf("old"), old);
        using var patch = File.Create(PathOf("patch"));
        PatchEncoder.Create(new MemorySource(old), new MemorySource(made), patch, new() { Level = PatchLevel.Fast });
        return (old, made);
    }

    static ushort[] Weights(SeededRandom random, int count)
    {
        var weights = new ushort[count];
        for (var i = 0; i < count; i++)
            weights[i] = (ushort)(0x3C00 + random.NextInt32(512) | random.NextInt32(2) << 15);
        return weights;
    }

    static ushort[] Tuned(SeededRandom random, ushort[] weights) => Array.ConvertAll(weights, weight => (ushort)(weight + random.NextInt32(5) - 2));

    static byte[] Safetensors(string note, params (string Name, ushort[] Values)[] tensors)
    {
        var header = new StringBuilder($$"""{"__metadata__":{"note":"{{note}}"}""");
        var at = 0;
        foreach (var (name, values) in tensors)
        {
            header.Append(CultureInfo.InvariantCulture, $",\"{name}\":{{\"dtype\":\"BF16\",\"shape\":[{values.Length / Columns},{Columns}],\"data_offsets\":[{at},{at + 2 * values.Length}]}}");
            at += 2 * values.Length;
        }
        var text = Encoding.UTF8.GetBytes(header.Append('}').ToString());
        var file = new byte[8 + text.Length + at];
        BinaryPrimitives.WriteInt64LittleEndian(file, text.Length);
        text.CopyTo(file, 8);
        var to = file.AsSpan(8 + text.Length);
        foreach (var value in tensors.SelectMany(tensor => tensor.Values))
        {
            BinaryPrimitives.WriteUInt16LittleEndian(to, value);
            to = to[2..];
        }
        return file;
    }

    static ProcessStartInfo StartOf(string[] off, params string[] arguments)
    {
        var start = new ProcessStartInfo(Site.Program, ["patch", .. arguments]) { RedirectStandardError = true };
        foreach (var name in off)
            start.Environment[name] = "0";
        return start;
    }

    /// <summary>Starts a process and kills it at a random moment of the time it takes.</summary>
    /// <returns>False when it had ended by itself.</returns>
    static async Task<bool> RunAndKillAsync(SeededRandom random, TimeSpan whole, params string[] arguments)
    {
        using var process = Process.Start(StartOf([], arguments))!;
        await Task.Delay((int)(whole.TotalMilliseconds * (0.3 + random.NextInt32(800) / 1000.0))); // the moment of the kill is what is tested
        process.Kill();
        await process.WaitForExitAsync();
        if (process.ExitCode == 0)
            return false;
        Assert.Equal(128 + 9, process.ExitCode);
        return true;
    }

    static void AssertSame(byte[] wanted, byte[] found, string otherwise) => Assert.True(wanted.AsSpan().SequenceEqual(found), otherwise);

    static async Task<TimeSpan> TimeAsync(params string[] arguments)
    {
        var start = Stopwatch.GetTimestamp();
        await RunAsync([], 0, arguments);
        return Stopwatch.GetElapsedTime(start);
    }

    /// <summary>Runs to the end.</summary>
    /// <returns>What it wrote to standard error.</returns>
    static async Task<string> RunAsync(string[] off, int code, params string[] arguments)
    {
        using var process = Process.Start(StartOf(off, arguments))!;
        var said = await process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.True(process.ExitCode == code, $"{string.Join(' ', arguments)} ended with {process.ExitCode}: {said}");
        return said;
    }

    static async Task SystemAsync(string program, params string[] arguments)
    {
        using var process = Process.Start(program, arguments);
        await process.WaitForExitAsync();
        Assert.True(process.ExitCode == 0, $"{program} {string.Join(' ', arguments)} ended with {process.ExitCode}");
    }
}
