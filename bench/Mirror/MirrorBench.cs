using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using Coppice.Trust;

namespace Coppice.Bench.Mirror;

/// <summary>A mirror, or a server, beside nginx, serving the very same files in turns: requests and megabytes a second, and processor time of the server.</summary>
static class MirrorBench
{
    const int Turns = 3;
    const int Connections = 16;
    static readonly TimeSpan Span = TimeSpan.FromSeconds(4);

    /// <param name="coppice">Path of the program.</param>
    /// <param name="ours">What of it serves: <c>mirror</c> or <c>server</c>.</param>
    public static async Task<int> RunAsync(string coppice, string ours)
    {
        var folder = Directory.CreateTempSubdirectory("coppice-bench-mirror-").FullName;
        try
        {
            var repository = Path.Combine(folder, "repository");
            const string timestamp = "repository/metadata/timestamp.json";
            if (ours == "mirror")
                Put(repository, "metadata/timestamp.json", 900);
            using var mirror = Start(coppice, ours, folder, out var mirrorUrl); // a server makes its repository itself
            var (small, large) = (PutBlob(repository, 64 << 10), PutBlob(repository, 64 << 20));
            using var nginx = StartNginx(folder, repository, out var nginxUrl);
            await UpAsync(new(nginxUrl, timestamp));

            Console.WriteLine($"{Environment.ProcessorCount} processors, {Connections} connections, {Turns} turns of {Span.TotalSeconds:0} s each, medians; the load comes from the same machine.");
            Console.WriteLine("| what | server | requests/s | MB/s | server's µs a request | server's s a GB |");
            Console.WriteLine("|---|---|---|---|---|---|");
            foreach (var (what, file, polls) in new[] { ("poll that finds nothing new", timestamp, true), ("blob of 64 KiB", small, false), ("blob of 64 MiB", large, false) })
            {
                var seen = new Dictionary<string, List<(Answered Answered, double Seconds)>> { [ours] = [], ["nginx"] = [] };
                for (var turn = 0; turn < Turns; turn++)
                {
                    foreach (var (name, process, url) in new[] { (ours, mirror, mirrorUrl), ("nginx", nginx, nginxUrl) })
                    {
                        var address = new Uri(url, file);
                        var tag = polls ? await HttpLoad.TagAsync(address) : null;
                        var before = ProcessorTime(process);
                        var answered = await HttpLoad.RunAsync(address, tag, Connections, Span);
                        seen[name].Add((answered, ProcessorTime(process) - before));
                    }
                }

                foreach (var (name, turns) in seen)
                {
                    Console.WriteLine(string.Create(
                        CultureInfo.InvariantCulture,
                        $"| {what} | {name} | {Median(turns, t => t.Answered.Requests / t.Answered.Seconds):0} | {Median(turns, t => t.Answered.Bytes / t.Answered.Seconds / 1e6):0} | {Median(turns, t => t.Seconds / t.Answered.Requests * 1e6):0.0} | {Median(turns, t => t.Answered.Bytes == 0 ? 0 : t.Seconds / t.Answered.Bytes * 1e9):0.000} |"));
                }

                var ratio = Median(seen[ours], t => t.Answered.Requests / t.Answered.Seconds) / Median(seen["nginx"], t => t.Answered.Requests / t.Answered.Seconds);
                var work = Median(seen["nginx"], t => t.Seconds / t.Answered.Requests) / Median(seen[ours], t => t.Seconds / t.Answered.Requests);
                Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"| {what} | {ours} ÷ nginx | {ratio:0.00} | {ratio:0.00} | per processor second {work:0.00} | |"));
            }

            nginx.Kill(entireProcessTree: true);
            mirror.Kill();
            return 0;
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    static double Median<T>(List<T> turns, Func<T, double> of) => turns.Select(of).Order().ElementAt(turns.Count / 2);

    static string Put(string repository, string path, int length)
    {
        var bytes = new byte[length];
        new Random(length).NextBytes(bytes);
        var full = Path.Combine(repository, path);
        Directory.CreateDirectory(Path.GetDirectoryName(full)!);
        File.WriteAllBytes(full, bytes);
        return "repository/" + path;
    }

    static string PutBlob(string repository, int length)
    {
        var bytes = new byte[length];
        new Random(length).NextBytes(bytes);
        return Put(repository, RepositoryLayout.BlobFile(Sha256Digest.Of(bytes)), length);
    }

    static Process Start(string coppice, string ours, string folder, out Uri url)
    {
        // A mirror's upstream is away: what is measured is the site's own copy.
        string[] verb = ours == "mirror" ? ["mirror", "--upstream", "http://127.0.0.1:9"] : ["serve"];
        var process = Process.Start(new ProcessStartInfo(coppice, [.. verb, "--data", folder, "--listen", "http://127.0.0.1:0", "--log", "None", "--json"]) { RedirectStandardOutput = true })!;
        var ready = process.StandardOutput.ReadLine() ?? throw new InvalidOperationException($"the {ours} did not start.");
        url = new(JsonElement.Parse(ready).GetProperty("url").GetString()!);
        return process;
    }

    static Process StartNginx(string folder, string repository, out Uri url)
    {
        int port;
        using (var listener = new TcpListener(IPAddress.Loopback, 0))
        {
            listener.Start();
            port = ((IPEndPoint)listener.LocalEndpoint).Port;
        }

        var configuration = Path.Combine(folder, "nginx.conf");
        File.WriteAllText(configuration, $$"""
            worker_processes auto;
            daemon off;
            user root;
            pid {{folder}}/nginx.pid;
            error_log {{folder}}/nginx.log;
            events { worker_connections 1024; }
            http {
                access_log off;
                sendfile on;
                tcp_nopush on;
                keepalive_requests 100000000;
                open_file_cache max=1000;
                server { listen 127.0.0.1:{{port}}; location /repository/ { alias {{repository}}/; } }
            }
            """);
        url = new($"http://127.0.0.1:{port}/");
        return Process.Start(new ProcessStartInfo("nginx", ["-c", configuration, "-p", folder]))!;
    }

    static async Task UpAsync(Uri file)
    {
        using var http = new HttpClient();
        for (var i = 0; ; i++)
        {
            try
            {
                (await http.GetAsync(file)).Dispose();
                return;
            }
            catch (HttpRequestException) when (i < 100)
            {
                await Task.Delay(50);
            }
        }
    }

    /// <summary>Processor seconds of a process and those that it started.</summary>
    static double ProcessorTime(Process process)
    {
        var children = File.ReadAllText($"/proc/{process.Id}/task/{process.Id}/children").Split(' ', StringSplitOptions.RemoveEmptyEntries);
        return children.Append(process.Id.ToString(CultureInfo.InvariantCulture)).Sum(id =>
        {
            var stat = File.ReadAllText($"/proc/{id}/stat");
            var fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
            return (long.Parse(fields[11], CultureInfo.InvariantCulture) + long.Parse(fields[12], CultureInfo.InvariantCulture)) / 100.0;
        });
    }
}
