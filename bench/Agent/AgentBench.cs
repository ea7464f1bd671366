using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using Coppice.Agent.Link;
using Coppice.Agent.Serving;
using Coppice.Agent.Slots;
using Coppice.Agent.Storage;
using Coppice.Formats;
using Coppice.Inference;
using Coppice.Registry;
using Coppice.Runtimes.OnnxRuntime;
using Coppice.Trust;

namespace Coppice.Bench.Agent;

/// <summary>What the agent costs the app it lives in.</summary>
/// <remarks>
/// <c>agent lease</c>: a lease taken and given back. <c>agent switch MODEL.onnx</c>: runs while the release is switched a hundred times,
/// against the same runs left alone. <c>agent shadow MODEL.onnx</c>: leases and runs with the same model as a shadow. <c>agent fetch</c>: memory and speed of fetching and verifying 1 GB. <c>agent memory COPPICE</c>: resident memory of the daemon.
/// </remarks>
static class AgentBench
{
    static readonly ModelName Model = ModelName.Parse("bench/model");

    public static async Task<int> RunAsync(string[] args)
    {
        switch (args)
        {
            case ["lease"]:
                Lease();
                return 0;
            case ["switch", var model]:
                Switches(model);
                return 0;
            case ["shadow", var model]:
                await ShadowsAsync(model);
                return 0;
            case ["fetch", .. var size]:
                await FetchAsync(size is [var megabytes] ? int.Parse(megabytes, CultureInfo.InvariantCulture) : 1_000);
                return 0;
            case ["memory", var program]:
                return Memory(program);
            default:
                Console.Error.WriteLine("Say what to measure: agent lease | agent switch MODEL.onnx | agent shadow MODEL.onnx | agent fetch [MEGABYTES] | agent memory COPPICE");
                return 2;
        }
    }

    static LoadedRelease Load(int release, IModelSession? session)
    {
        var version = SemanticVersion.Parse($"{release}.0.0");
        var variant = new Variant("plain", [new("model.onnx", Sha256Digest.Of([1]), 1)], ModelFormat.Onnx, "onnxruntime");
        return new(new(version, Sha256Digest.Of(BitConverter.GetBytes(release)), "plain", "r", 1), new(1, Model, version, [variant]), variant, session, null, TimeProvider.System);
    }

    static void Serve(ModelHost host, LoadedRelease loaded)
    {
        host.Prepare(loaded);
        host.Serve(loaded.Slot, keep: false);
    }

    static void Lease()
    {
        using var host = new ModelHost(Model);
        Serve(host, Load(1, null));
        Take(host, 5_000_000); // compiled by now
        Leases(host, "lease");
    }

    static void Leases(ModelHost host, string name)
    {
        foreach (var threads in (int[])[1, Environment.ProcessorCount])
        {
            const int Rounds = 20_000_000;
            var before = GC.GetTotalAllocatedBytes(precise: true);
            var start = Environment.CpuUsage.TotalTime; // not the wall clock: other programs may share the machine
            Parallel.For(0, threads, new() { MaxDegreeOfParallelism = threads }, _ => Take(host, Rounds));
            var nanoseconds = (Environment.CpuUsage.TotalTime - start).TotalNanoseconds / ((double)Rounds * threads);
            var allocated = (GC.GetTotalAllocatedBytes(precise: true) - before) / ((double)Rounds * threads);
            Say($"{name}, {threads} thread(s): {nanoseconds:0.0} ns of processor time, {allocated:0.0000} bytes allocated each");
        }
    }

    static void Take(ModelHost host, int rounds)
    {
        for (var i = 0; i < rounds; i++)
        {
            using var lease = host.Lease();
        }
    }

    static void Switches(string path)
    {
        var runtime = new OnnxRuntime();
        IModelSession Open() => runtime.Load(ModelSource.AtPath(ModelFormat.Onnx, Path.GetFullPath(path)), new SessionLimits(IntraOpThreads: 1));
        using var host = new ModelHost(Model);
        Serve(host, Load(1, Open()));
        Percentiles("steady", host, null);
        Percentiles("a hundred switches", host, () =>
        {
            for (var release = 2; release <= 101; release++)
            {
                Serve(host, Load(release, Open()));
                Thread.Sleep(40);
            }
        });
    }

    static async Task ShadowsAsync(string path)
    {
        var runtime = new OnnxRuntime();
        LoadedRelease Open(int release) => Load(release, runtime.Load(ModelSource.AtPath(ModelFormat.Onnx, Path.GetFullPath(path)), new SessionLimits(IntraOpThreads: 1)));
        using var host = new ModelHost(Model);
        Serve(host, Open(1));
        Percentiles("no shadow", host, null);
        foreach (var share in (double[])[0.1, 1])
        {
            var run = await ShadowRun.StartAsync(Load(2, null).Slot, () => Open(2), share, TimeSpan.FromMinutes(1), TimeProvider.System, default);
            host.RunBeside(run);
            Percentiles(string.Create(CultureInfo.InvariantCulture, $"a shadow of {100 * share:0} %"), host, null);
            var counts = run.Read();
            Say($"  of its turns {counts.Answered.Runs} copied, {counts.Dropped} dropped, {counts.Agreed} of {counts.Compared} agreed, {counts.Runs.Errors} failed");
        }

        Take(host, 5_000_000);
        Leases(host, "lease with a shadow");
        host.DropShadow();
        Percentiles("no shadow any more", host, null);
    }

    static void Percentiles(string name, ModelHost host, Action? meanwhile)
    {
        var timings = new List<double>(1_000_000);
        using var done = new CancellationTokenSource();
        var failures = 0;
        var thread = new Thread(() =>
        {
            Tensor[] inputs;
            using (var lease = host.Lease())
                inputs = Coppice.Agent.Quality.TrialRunner.BlankInputs(lease.Session.Inputs)!;
            for (var i = 0; !done.IsCancellationRequested; i++)
            {
                var start = Stopwatch.GetTimestamp();
                try
                {
                    using var lease = host.Lease();
                    lease.Run(inputs).Dispose();
                }
                catch (InferenceException)
                {
                    failures++;
                }

                if (i > 500) // warm
                    timings.Add(Stopwatch.GetElapsedTime(start).TotalMicroseconds);
            }
        });
        thread.Start();
        if (meanwhile is null)
            Thread.Sleep(5_000);
        else
            meanwhile();
        done.Cancel();
        thread.Join();
        timings.Sort();
        Say($"{name}: {timings.Count} runs, {failures} failed, p50 {timings[timings.Count / 2]:0} µs, p95 {timings[timings.Count * 95 / 100]:0} µs, p99 {timings[timings.Count * 99 / 100]:0} µs, worst {timings[^1]:0} µs");
    }

    static async Task FetchAsync(int megabytes)
    {
        var folder = Directory.CreateTempSubdirectory("coppice-bench-").FullName;
        try
        {
            var file = Prepare(Path.Combine(folder, "repository"), megabytes);
            var disk = new FolderDisk(Path.Combine(folder, "data"));
            var blobs = new BlobStore(disk, long.MaxValue);
            var way = new WholeBlob(disk, new FolderFiles(Path.Combine(folder, "repository")), new(0, TimeProvider.System), TimeSpan.FromSeconds(30), TimeProvider.System);
            GC.Collect();
            var memory = new PeakMemory();
            var watch = Stopwatch.StartNew();
            await new FilePuller(disk, blobs, [way]).PullAsync(file, (_, _) => { }, default);
            var fetched = watch.Elapsed;
            var whole = blobs.Holds(file, default);
            await memory.StopAsync();
            Say($"fetch of {megabytes} MB from a folder: {megabytes / fetched.TotalSeconds:0} MB/s, then read back and verified ({whole}): {megabytes / (watch.Elapsed - fetched).TotalSeconds:0} MB/s");
            Console.WriteLine(memory);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    static ReleaseFile Prepare(string repository, int megabytes)
    {
        var path = Path.Combine(repository, "blob");
        Directory.CreateDirectory(repository);
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var random = new Random(1);
        var block = new byte[1_000_000];
        using (var stream = File.Create(path))
        {
            for (var i = 0; i < megabytes; i++)
            {
                random.NextBytes(block);
                hash.AppendData(block);
                stream.Write(block);
            }
        }

        var digest = new Sha256Digest(hash.GetHashAndReset());
        var place = Path.Combine(repository, RepositoryLayout.BlobFile(digest));
        Directory.CreateDirectory(Path.GetDirectoryName(place)!);
        File.Move(path, place);
        return new("blob", digest, megabytes * 1_000_000L);
    }

    /// <summary>Resident bytes of this process that no file backs.</summary>
    static long Status(string process, string field) => 1024 * long.Parse(
        File.ReadLines($"/proc/{process}/status").First(line => line.StartsWith(field + ":", StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture);

    /// <summary>The daemon with no model to be had, a little after its first polls.</summary>
    static int Memory(string program)
    {
        var folder = Directory.CreateTempSubdirectory("coppice-bench-").FullName;
        using var process = Process.Start(new ProcessStartInfo(program, ["agent", "--data", folder, "--repository", folder, "--root", new string('0', 64), "--model", "bench/none", "--poll", "1s"])
        {
            RedirectStandardOutput = true,
        })!;
        Thread.Sleep(10_000);
        var (resident, anonymous) = (Status($"{process.Id}", "VmRSS"), Status($"{process.Id}", "RssAnon"));
        Process.Start("kill", ["-TERM", $"{process.Id}"]).WaitForExit();
        process.WaitForExit();
        Say($"daemon without models: {resident / 1e6:0.0} MB resident, {anonymous / 1e6:0.0} MB of it its own; ended with {process.ExitCode}");
        Directory.Delete(folder, recursive: true);
        return process.ExitCode;
    }

    static void Say(FormattableString text) => Console.WriteLine(text.ToString(CultureInfo.InvariantCulture));
}
