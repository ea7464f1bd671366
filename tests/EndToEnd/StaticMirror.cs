using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Coppice.EndToEnd;

/// <summary>A folder behind nginx, as an operator's mirror serves a repository.</summary>
sealed class StaticMirror : IAsyncDisposable
{
    readonly Process process;
    readonly string folder;

    StaticMirror(Process process, string folder, Uri address) => (this.process, this.folder, Address) = (process, folder, address);

    /// <summary>Where it listens, ending in '/'.</summary>
    public Uri Address { get; }

    /// <summary>Every request so far: its status, its path, the ranges it asked for, and the bytes of the answer's body.</summary>
    public IReadOnlyList<(int Status, string Path, string Range, long Bytes)> Requests => [.. File.ReadLines(Path.Combine(folder, "access.log")).Select(line => line.Split('|'))
        .Select(parts => (int.Parse(parts[0], CultureInfo.InvariantCulture), parts[1], parts[2], long.Parse(parts[3], CultureInfo.InvariantCulture)))];

    public static async Task<StaticMirror> StartAsync(string repository)
    {
        var folder = Directory.CreateTempSubdirectory("coppice-mirror-").FullName;
        var port = FreePort();
        // Run by root, it would leave root for a user who cannot read a private folder.
        await File.WriteAllTextAsync(Path.Combine(folder, "nginx.conf"), $$"""
            daemon off;
            master_process off;
            pid {{folder}}/nginx.pid;
            {{(Environment.UserName == "root" ? "user root;" : "")}}
            events { worker_connections 64; }
            http {
              log_format told '$status|$uri|$http_range|$body_bytes_sent';
              access_log {{folder}}/access.log told;
              client_body_temp_path {{folder}}/body; proxy_temp_path {{folder}}/proxy; fastcgi_temp_path {{folder}}/fastcgi; uwsgi_temp_path {{folder}}/uwsgi; scgi_temp_path {{folder}}/scgi;
              server { listen 127.0.0.1:{{port}}; root {{repository}}; }
            }
            """);
        var program = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Append("/usr/sbin").Select(path => Path.Combine(path, "nginx")).FirstOrDefault(File.Exists)
            ?? throw new FileNotFoundException("nginx is missing; install Debian's package nginx, as ./test does.");
        var process = Process.Start(new ProcessStartInfo(program, ["-e", $"{folder}/error.log", "-c", $"{folder}/nginx.conf", "-p", folder]) { RedirectStandardError = true })!;
        var mirror = new StaticMirror(process, folder, new($"http://127.0.0.1:{port}/"));
        using var http = new HttpClient();
        await Site.UntilAsync(async () =>
        {
            if (process.HasExited)
                Assert.Fail($"nginx ended with {process.ExitCode}: {await process.StandardError.ReadToEndAsync()}");
            try
            {
                using var answer = await http.GetAsync(mirror.Address);
                return true;
            }
            catch (HttpRequestException) // it does not listen yet
            {
                return false;
            }
        }, "nginx listens");
        return mirror;
    }

    static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    public async ValueTask DisposeAsync()
    {
        process.Kill();
        await process.WaitForExitAsync();
        process.Dispose();
        Directory.Delete(folder, recursive: true);
    }
}
