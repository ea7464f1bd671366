using System.Collections.Concurrent;
using System.Diagnostics;
using System.Security.Cryptography;
using Coppice.Client;
using Coppice.Tests;

namespace Coppice.Server.Tests.Replicas;

/// <summary>Servers as processes of their own on one PostgreSQL and one folder of blobs, each with a data folder and a clock of its own. What is asked of one that is away is asked of the next, as a proxy does.</summary>
sealed class Replicas : IAsyncDisposable
{
    static readonly TimeSpan Patience = TimeSpan.FromMinutes(4);

    readonly string folder = Directory.CreateDirectory(RunningServer.NewFolder()).FullName;
    readonly ConcurrentDictionary<string, Process> processes = [];
    readonly ConcurrentDictionary<string, Uri> urls = [];
    readonly ConcurrentDictionary<string, double> clocks = [];
    readonly ConcurrentQueue<string> log = [];
    string? admin;

    public required PostgresCluster Cluster { get; init; }

    public required string Database { get; init; }

    public string OfflineKeys { get; private set; } = "";

    public string Log => string.Join('\n', log);

    public static async Task<Replicas> StartAsync(params (string Name, double MinutesAhead)[] servers)
    {
        var cluster = await PostgresCluster.StartAsync();
        var replicas = new Replicas { Cluster = cluster, Database = await cluster.NewDatabaseAsync() };
        await File.WriteAllTextAsync(Path.Combine(replicas.folder, "cluster.key"), Convert.ToBase64String(RandomNumberGenerator.GetBytes(32)));
        foreach (var (name, ahead) in servers)
            replicas.clocks[name] = ahead;
        await Task.WhenAll(servers.Select(server => replicas.StartAsync(server.Name))); // at once: one of them makes the repository
        var first = servers.Single(server => File.Exists(replicas.In(server.Name, "admin.token"))).Name;
        replicas.admin = (await File.ReadAllTextAsync(replicas.In(first, "admin.token"))).Trim();
        replicas.OfflineKeys = replicas.In(first, "keys", "offline");
        return replicas;
    }

    public string In(params string[] parts) => Path.Combine([folder, .. parts]);

    public CoppiceClient Client(string name) => new(urls[name], admin!);

    public HttpClient Http(string name) => new() { BaseAddress = urls[name], Timeout = TimeSpan.FromSeconds(20) };

    public async Task StartAsync(string name)
    {
        var start = new ProcessStartInfo("dotnet") { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var argument in new[] { "exec", typeof(Replicas).Assembly.Location, In(name), Database, In("cluster.key"), In("blobs"), clocks[name].ToString(System.Globalization.CultureInfo.InvariantCulture) })
            start.ArgumentList.Add(argument);
        var process = Process.Start(start)!;
        processes[name] = process;
        process.ErrorDataReceived += (_, line) => log.Enqueue($"{name}: {line.Data}");
        process.BeginErrorReadLine();
        using var patience = new CancellationTokenSource(Patience);
        urls[name] = new(await process.StandardOutput.ReadLineAsync(patience.Token) ?? throw new InvalidOperationException($"{name} did not start.\n{Log}"));
    }

    /// <summary>Ends a server as a power cut would.</summary>
    public async Task KillAsync(string name)
    {
        var process = processes[name];
        process.Kill();
        await process.WaitForExitAsync();
        process.Dispose();
    }

    /// <summary>Asks one server after the other, until one answers.</summary>
    public async Task<T> AskAsync<T>(Func<string, Task<T>> ask)
    {
        var began = TimeProvider.System.GetTimestamp();
        for (var i = Random.Shared.Next(); ; i++) // which of them is first must not matter
        {
            var name = clocks.Keys.Order(StringComparer.Ordinal).ElementAt((int)((uint)i % clocks.Count));
            try
            {
                return await ask(name);
            }
            catch (Exception e) when (e is HttpRequestException or System.Net.Sockets.SocketException or TaskCanceledException or ControlException { Problem.Status: >= 500 or null })
            {
                Assert.True(TimeProvider.System.GetElapsedTime(began) < Patience, $"No server answered: {e}\n{Log}");
                await Task.Delay(100);
            }
        }
    }

    public async Task UntilAsync(Func<Task<bool>> holds, string what)
    {
        for (var began = TimeProvider.System.GetTimestamp(); !await holds(); await Task.Delay(100))
            Assert.True(TimeProvider.System.GetElapsedTime(began) < Patience, $"not within {Patience.TotalSeconds} s: {what}\n{Log}");
    }

    /// <summary>The server that moves rollouts on.</summary>
    public async Task<string> ConductorAsync()
    {
        string? holder = null;
        await UntilAsync(async () =>
        {
            var pid = (await Cluster.QueryAsync(Database, """SELECT split_part("Holder", '/', 2) FROM "Leases" WHERE "Until" > extract(epoch FROM clock_timestamp()) * 1000""")).Trim();
            holder = clocks.Keys.FirstOrDefault(name => processes.TryGetValue(name, out var process) && IsRunning(process) && $"{process.Id}" == pid);
            return holder is not null;
        }, "a server has the lease");
        return holder!;
    }

    static bool IsRunning(Process process)
    {
        try
        {
            return !process.HasExited;
        }
        catch (InvalidOperationException) // disposed of
        {
            return false;
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var process in processes.Values.Where(IsRunning))
        {
            process.Kill();
            await process.WaitForExitAsync();
            process.Dispose();
        }

        await Cluster.DisposeAsync();
        Directory.Delete(folder, recursive: true);
    }
}
