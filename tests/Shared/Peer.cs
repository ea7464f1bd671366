using System.Diagnostics;
using System.Text.Json;

namespace Coppice.Tests;

/// <summary>A program of <c>tests/Peers</c>, run by Node.js: real software of others that the tests talk to. It ends with this object.</summary>
sealed class Peer : IAsyncDisposable
{
    static readonly TimeSpan Patience = TimeSpan.FromMinutes(3);
    static readonly string Folder = Path.Combine(RepositoryRoot.Path, "tests", "Peers");

    readonly Process process;
    readonly List<string> errors = [];
    bool ended;

    Peer(Process process) => this.process = process;

    /// <summary>What it told when it was ready: a line of JSON.</summary>
    public JsonElement Ready { get; private set; }

    /// <summary>What it has told since.</summary>
    public async Task<JsonElement> NextAsync()
    {
        using var patience = new CancellationTokenSource(Patience);
        while (await process.StandardOutput.ReadLineAsync(patience.Token) is { } line)
        {
            if (line is ['{', ..])
                return JsonElement.Parse(line);
        }

        throw new InvalidOperationException($"The program ended. {Errors}");
    }

    string Errors
    {
        get
        {
            lock (errors)
                return string.Join('\n', errors);
        }
    }

    public static async Task<Peer> StartAsync(string script, params string[] arguments)
    {
        await InstallAsync();
        var start = new ProcessStartInfo("node") { WorkingDirectory = Folder, RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        start.ArgumentList.Add(script);
        foreach (var argument in arguments)
            start.ArgumentList.Add(argument);
        var peer = new Peer(new() { StartInfo = start });
        peer.process.ErrorDataReceived += (_, line) =>
        {
            lock (peer.errors)
                peer.errors.Add(line.Data ?? "");
        };
        peer.process.Start();
        peer.process.BeginErrorReadLine();
        peer.Ready = await peer.NextAsync();
        return peer;
    }

    public async ValueTask DisposeAsync()
    {
        if (ended)
            return;
        ended = true;
        if (!process.HasExited)
        {
            process.Kill();
            await process.WaitForExitAsync();
        }

        process.Dispose();
    }

    // Once for all test programs, which run at the same time.
    static async Task InstallAsync()
    {
        var (wanted, installed) = (Path.Combine(Folder, "package-lock.json"), Path.Combine(Folder, "node_modules", ".coppice-lock.json")); // a copy of the one that was installed
        if (IsInstalled())
            return;
        Directory.CreateDirectory(Path.Combine(Folder, "node_modules"));
        var stopwatch = Stopwatch.StartNew();
        while (true)
        {
            try
            {
                await using var held = new FileStream(Path.Combine(Path.GetTempPath(), "coppice-test-peers.lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
                if (IsInstalled())
                    return;
                using var npm = Process.Start(new ProcessStartInfo("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]) { WorkingDirectory = Folder, RedirectStandardOutput = true })!;
                await npm.StandardOutput.ReadToEndAsync();
                await npm.WaitForExitAsync();
                Assert.True(npm.ExitCode == 0, $"'npm ci' in {Folder} ended with {npm.ExitCode}; check that npm reaches its registry.");
                File.Copy(wanted, installed, overwrite: true);
                return;
            }
            catch (IOException) when (stopwatch.Elapsed < Patience)
            {
                await Task.Delay(200); // another test program installs
            }
        }

        bool IsInstalled() => File.Exists(installed) && File.ReadAllText(installed) == File.ReadAllText(wanted);
    }
}
