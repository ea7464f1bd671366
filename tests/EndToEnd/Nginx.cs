using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace Coppice.EndToEnd;

/// <summary>nginx with the servers that a test says, in a folder that goes with it.</summary>
sealed class Nginx : IAsyncDisposable
{
    readonly Process process;

    Nginx(Process process, string folder) => (this.process, Folder) = (process, folder);

    /// <summary>Where its files are.</summary>
    public string Folder { get; }

    /// <param name="folder">A folder of its own, with what the servers read.</param>
    /// <param name="port">What one of the servers listens on, on this machine.</param>
    /// <param name="http">What stands within <c>http { … }</c>.</param>
    public static async Task<Nginx> StartAsync(string folder, int port, string http)
    {
        // Run by root, it would leave root for a user who cannot read a private folder.
        await File.WriteAllTextAsync(Path.Combine(folder, "nginx.conf"), $$"""
            daemon off;
            master_process off;
            pid {{folder}}/nginx.pid;
            {{(Environment.UserName == "root" ? "user root;" : "")}}
            events { worker_connections 64; }
            http {
              client_body_temp_path {{folder}}/body; proxy_temp_path {{folder}}/proxy; fastcgi_temp_path {{folder}}/fastcgi; uwsgi_temp_path {{folder}}/uwsgi; scgi_temp_path {{folder}}/scgi;
            {{http}}
            }
            """);
        var program = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Append("/usr/sbin").Select(path => Path.Combine(path, "nginx")).FirstOrDefault(File.Exists)
            ?? throw new FileNotFoundException("nginx is missing; install Debian's package nginx, as ./test does.");
        var process = Process.Start(new ProcessStartInfo(program, ["-e", $"{folder}/error.log", "-c", $"{folder}/nginx.conf", "-p", folder]) { RedirectStandardError = true })!;
        await Site.UntilAsync(async () =>
        {
            if (process.HasExited)
                Assert.Fail($"nginx ended with {process.ExitCode}: {await process.StandardError.ReadToEndAsync()}");
            try
            {
                using var client = new TcpClient();
                await client.ConnectAsync(IPAddress.Loopback, port);
                return true;
            }
            catch (SocketException) // it does not listen yet
            {
                return false;
            }
        }, "nginx listens");
        return new(process, folder);
    }

    public static int FreePort()
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
        Directory.Delete(Folder, recursive: true);
    }
}
