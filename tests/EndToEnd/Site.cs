using System.Text.Json;
using Coppice.Cli.Quickstart;
using Coppice.Client;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Rollouts;

namespace Coppice.EndToEnd;

/// <summary>A server and its devices as real processes, in a folder that goes with this object.</summary>
sealed class Site : IAsyncDisposable
{
    public static readonly TimeSpan Patience = TimeSpan.FromMinutes(4);

    readonly Dictionary<string, ChildProcess> agents = [];
    string listen = "http://127.0.0.1:0";
    ChildProcess? server;
    string? token; // the admin's, for good

    readonly string[] serve;

    Site(string[] serve)
    {
        this.serve = serve;
        Folder = Directory.CreateTempSubdirectory("coppice-site-").FullName;
    }

    /// <summary>The program under test, beside the tests.</summary>
    public static string Program { get; } = Path.Combine(AppContext.BaseDirectory, OperatingSystem.IsWindows() ? "coppice.exe" : "coppice");

    public string Folder { get; }

    public CoppiceClient Control { get; private set; } = null!;

    public Uri Url { get; private set; } = null!;

    public string JoinToken { get; private set; } = "";

    /// <param name="serve">Further options of <c>coppice serve</c>.</param>
    public static async Task<Site> StartAsync(params string[] serve)
    {
        var site = new Site(serve);
        await site.StartServerAsync();
        return site;
    }

    /// <summary>The server's data folder, below <see cref="Folder"/>.</summary>
    public string ServerFolder { get; set; } = "server";

    public string PathOf(params string[] parts) => Path.Combine([Folder, .. parts]);

    /// <summary>Starts the server, again at the same address if it ran before.</summary>
    public async Task StartServerAsync()
    {
        server = ChildProcess.Start(Program, Environment(), ["serve", "--data", PathOf(ServerFolder), "--listen", listen, "--log", "Warning", "--json", .. serve]);
        var ready = await server.EventAsync(told => told.TryGetProperty("url", out _), "serve", Patience, CancellationToken.None);
        if (JoinToken.Length > 0)
            return;
        Url = new(ready.GetProperty("url").GetString()!);
        listen = Url.GetLeftPart(UriPartial.Authority);
        JoinToken = ready.GetProperty("joinToken").GetString()!;
        Control = new(Url, Token());
    }

    public Task KillServerAsync() => server!.KillAsync();

    public Task<int> StopServerAsync() => server!.TerminateAsync(CancellationToken.None);

    public ChildProcess Agent(string name) => agents[name];

    /// <summary>Starts a device's agent; its folder is there from before if it ran before.</summary>
    public ChildProcess StartAgent(string name, params string[] more) => StartAgentAt(name, PathOf(name), more);

    public ChildProcess StartAgentAt(string name, string data, params string[] more) => StartAgent(Url.ToString(), name, data, more);

    /// <summary>Starts a device's agent behind a mirror.</summary>
    public ChildProcess StartAgentOf(string mirror, string name, params string[] more) => StartAgent(mirror, name, PathOf(name), more);

    ChildProcess StartAgent(string server, string name, string data, string[] more) => agents[name] = ChildProcess.Start(
        Program, Environment(),
        ["agent", "--server", server, "--join", JoinToken, "--name", name, "--data", data, .. Unless(more, "--poll", "150ms"), .. Unless(more, "--probation", "300ms"), "--json", .. more]);

    static string[] Unless(string[] given, string option, string value) => given.Contains(option) ? [] : [option, value];

    /// <summary>Runs a verb of the program to its end.</summary>
    public async Task<(int Exit, string Errors)> RunAsync(params string[] arguments)
    {
        await using var process = ChildProcess.Start(Program, Environment(), arguments);
        var exit = await process.ExitAsync(CancellationToken.None);
        return (exit, process.Errors);
    }

    /// <summary>Runs a verb of the program to its end, and tells what it said.</summary>
    public async Task<(int Exit, string Output, string Errors)> OutputAsync(params string[] arguments)
    {
        var start = new System.Diagnostics.ProcessStartInfo(Program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var (name, value) in Environment())
            start.Environment[name] = value;
        using var process = System.Diagnostics.Process.Start(start)!;
        var (output, errors) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        await process.WaitForExitAsync();
        return (process.ExitCode, await output, await errors);
    }

    /// <summary>Starts a device's agent that has no server, only what the options say.</summary>
    public ChildProcess StartOfflineAgent(string name, params string[] more) => agents[name] = ChildProcess.Start(
        Program, Environment(), ["agent", "--name", name, "--data", PathOf(name), "--poll", "150ms", "--probation", "300ms", "--json", .. more]);

    public async Task PublishAsync(string model, string version, params string[] rest)
    {
        var (exit, errors) = await RunAsync(["publish", model, version, .. rest]);
        Assert.True(exit == 0, $"publish {model} {version} ended with {exit}: {errors}");
    }

    /// <summary>Starts a rollout to every device.</summary>
    public Task<RolloutView> RollOutAsync(string model, string version) => Control.StartRolloutAsync(
        new(ModelName.Parse(model), SemanticVersion.Parse(version), [new Phase(1, TimeSpan.Zero)]) { Policy = new(0, PhaseAction.Hold), Why = "test" });

    /// <summary>Waits for a rollout to be complete; one that a killed device held by its refusal is tried again, as an operator would.</summary>
    public async Task CompleteAsync(string rollout)
    {
        await UntilAsync(async () =>
        {
            var view = (await Control.GetRolloutAsync(rollout)).Rollout;
            if (view.State == RolloutState.Held)
            {
                await Control.RetryAsync(rollout, view.Attempt + 1, "the device was killed, not the release bad");
                view = (await Control.GetRolloutAsync(rollout)).Rollout;
                if (view.State == RolloutState.Held)
                    await Control.ResumeAsync(rollout, "the device was killed, not the release bad");
            }

            return view.State == RolloutState.Complete;
        }, $"{rollout} complete");
    }

    /// <summary>Waits until every device serves a version of its only model, past probation. A rollout may be complete before: late devices still take it.</summary>
    public Task EverywhereAsync(string version) => UntilAsync(
        async () => (await Control.ListDevicesAsync()).Devices.All(device => device.Models.Single() is { Settled: true } model && model.Serving?.ToString() == version),
        $"{version} settled everywhere");

    /// <summary>Waits, looking again and again.</summary>
    public static async Task UntilAsync(Func<Task<bool>> holds, string what)
    {
        var start = TimeProvider.System.GetTimestamp();
        while (!await holds())
        {
            Assert.True(TimeProvider.System.GetElapsedTime(start) < Patience, $"not within {Patience.TotalSeconds} s: {what}");
            await Task.Delay(50);
        }
    }

    /// <summary>What the agent's own status says of a model, read from its folder.</summary>
    public async Task<JsonElement> StatusAsync(string data)
    {
        await using var process = ChildProcess.Start(Program, Environment(), "agent", "status", "--data", data, "--json");
        return await process.EventAsync(told => told.TryGetProperty("models", out _), "tell its status", Patience, CancellationToken.None);
    }

    string Token() => token ??= File.ReadAllText(PathOf(ServerFolder, "admin.token")).Trim();

    public Dictionary<string, string> Environment()
    {
        var variables = new Dictionary<string, string> { ["XDG_CONFIG_HOME"] = PathOf("config"), ["COPPICE_KEYS"] = PathOf("server", "keys", "offline") };
        if (Url is not null)
        {
            variables["COPPICE_SERVER"] = Url.ToString();
            variables["COPPICE_TOKEN"] = Token();
        }

        return variables;
    }

    public async ValueTask DisposeAsync()
    {
        Control?.Dispose();
        foreach (var agent in agents.Values)
            await agent.DisposeAsync();
        if (server is not null)
            await server.DisposeAsync();
        Directory.Delete(Folder, recursive: true);
    }
}
