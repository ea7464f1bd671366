using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Coppice.Tests;

/// <summary>PostgreSQL as Debian packages it, in a temporary folder, on a port of this machine. It ends with this process, and its folder goes with it.</summary>
/// <remarks>Its own collation is a language's, not that of bytes, so that a query that leans on the order of bytes is seen to say so.</remarks>
sealed class PostgresCluster : IAsyncDisposable
{
    const string Password = "not:a/secret";

    static readonly TimeSpan Patience = TimeSpan.FromMinutes(3);
    static readonly Lazy<Task<PostgresCluster>> one = new(StartAsync);

    readonly string folder;
    readonly string programs;
    readonly int port;
    Process process;
    int databases;

    PostgresCluster(string folder, string programs, int port)
    {
        (this.folder, this.programs, this.port) = (folder, programs, port);
        process = Run();
    }

    /// <summary>One for all tests of a program that do not end it.</summary>
    public static Task<PostgresCluster> SharedAsync() => one.Value;

    public static async Task<PostgresCluster> StartAsync()
    {
        var programs = Directory.Exists("/usr/lib/postgresql")
            ? Directory.GetDirectories("/usr/lib/postgresql").Select(version => Path.Combine(version, "bin")).Where(bin => File.Exists(Path.Combine(bin, "initdb"))).Order(StringComparer.Ordinal).LastOrDefault()
            : null;
        Assert.True(programs is not null, "PostgreSQL is missing; install Debian's package postgresql, as ./test does.");
        var folder = Directory.CreateTempSubdirectory("coppice-postgres-").FullName;
        await File.WriteAllTextAsync(Path.Combine(folder, "password"), Password);
        Directory.CreateDirectory(Path.Combine(folder, "data"));
        if (IsRoot)
            await EndAsync(Start("chown", ["-R", "postgres", folder]));
        await EndAsync(Start([.. AsPostgres, Path.Combine(programs, "initdb"), "--pgdata", Path.Combine(folder, "data"), "--username", "coppice", "--pwfile", Path.Combine(folder, "password"), "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale-provider", "icu", "--icu-locale", "en-US", "--locale", "C", "--no-sync", "--no-instructions"]));
        var cluster = new PostgresCluster(folder, programs, FreePort());
        await cluster.UntilReadyAsync();
        return cluster;
    }

    /// <summary>The address of a new, empty database.</summary>
    public async Task<string> NewDatabaseAsync()
    {
        var name = string.Create(CultureInfo.InvariantCulture, $"coppice_{Interlocked.Increment(ref databases)}");
        await EndAsync(Start([Path.Combine(programs, "createdb"), .. Connection, name]));
        return $"postgres://coppice:{Uri.EscapeDataString(Password)}@127.0.0.1:{port}/{name}";
    }

    /// <summary>Runs SQL in a database and gives what it answers, a line for each row, columns parted by '|'.</summary>
    public async Task<string> QueryAsync(string address, string sql) =>
        (await EndAsync(Start([Path.Combine(programs, "psql"), .. Connection, "--no-psqlrc", "--tuples-only", "--no-align", "--command", sql, new Uri(address).AbsolutePath.TrimStart('/')]))).Trim();

    /// <summary>Ends it as a power cut would.</summary>
    public async Task KillAsync()
    {
        var pid = int.Parse((await File.ReadAllLinesAsync(Path.Combine(folder, "data", "postmaster.pid")))[0], CultureInfo.InvariantCulture);
        await EndAsync(Start("kill", ["-KILL", pid.ToString(CultureInfo.InvariantCulture)]));
        await process.WaitForExitAsync();
    }

    /// <summary>Starts it again at the same address.</summary>
    public async Task RestartAsync()
    {
        await process.StandardInput.WriteLineAsync("keep the folder");
        process.Dispose();
        process = Run();
        await UntilReadyAsync();
    }

    public async ValueTask DisposeAsync()
    {
        process.StandardInput.Close();
        await process.WaitForExitAsync();
        process.Dispose();
        for (var began = TimeProvider.System.GetTimestamp(); Directory.Exists(folder); await Task.Delay(20))
            Assert.True(TimeProvider.System.GetElapsedTime(began) < Patience, $"{folder} was not removed.");
    }

    static bool IsRoot => Environment.UserName == "root";

    // The server refuses to be run by root; the package has made a user for it.
    static string[] AsPostgres => IsRoot ? ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] : [];

    string[] Connection => ["--host", "127.0.0.1", "--port", port.ToString(CultureInfo.InvariantCulture), "--username", "coppice", "--no-password"];

    // The shell waits for the end of its input, which comes however this process ends.
    Process Run() => Start(
        ["sh", "-c", "exec 3<&0; \"$@\" </dev/null & server=$!; (if read -r _ <&3; then exit; fi; kill -INT $server; while kill -0 $server; do sleep 0.05; done; rm -rf \"$0\") 2>/dev/null & wait $server", folder,
            .. AsPostgres, Path.Combine(programs, "postgres"), "-D", Path.Combine(folder, "data"), "-p", port.ToString(CultureInfo.InvariantCulture), "-k", folder, "-h", "127.0.0.1",
            "-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_connections=300", "-c", "shared_buffers=64MB", "-c", "log_min_messages=fatal", "-c", "autovacuum=off"]);

    async Task UntilReadyAsync()
    {
        var began = TimeProvider.System.GetTimestamp();
        while (true)
        {
            using var ask = Start([Path.Combine(programs, "pg_isready"), "--quiet", "--host", "127.0.0.1", "--port", port.ToString(CultureInfo.InvariantCulture)]);
            await ask.WaitForExitAsync();
            if (ask.ExitCode == 0)
                return;
            Assert.True(TimeProvider.System.GetElapsedTime(began) < Patience && !process.HasExited, "PostgreSQL did not start.");
            await Task.Delay(50);
        }
    }

    static Process Start(string[] command) => Start(command[0], command[1..]);

    static Process Start(string program, string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = "/" };
        start.Environment["PGPASSWORD"] = Password;
        return Process.Start(start)!;
    }

    static async Task<string> EndAsync(Process process)
    {
        using (process)
        {
            var (output, errors) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
            await process.WaitForExitAsync();
            Assert.True(process.ExitCode == 0, $"{process.StartInfo.FileName} {string.Join(' ', process.StartInfo.ArgumentList)} ended with {process.ExitCode}: {await errors}");
            return await output;
        }
    }

    static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
