using System.Collections.Immutable;
using System.Globalization;
using Coppice.Client;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Rollouts;
using Coppice.Trust;

namespace Coppice.Cli.Quickstart;

/// <summary>The quickstart as it is told: each chapter does something for real, and checks that it was seen.</summary>
/// <param name="folder">Where everything of it is kept.</param>
/// <param name="narrator">Tells it.</param>
sealed class QuickstartStory(string folder, Narrator narrator) : IAsyncDisposable
{
    const int DeviceCount = 6;
    const int WindowsPerDevice = 40;
    const ulong Seed = 2026;

    /// <summary>A share that lets two of the six go first.</summary>
    const double Canary = 1 / 3.0;

    static readonly ModelName Model = ModelName.Parse("plant/bearing");
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    readonly ImmutableArray<string> names = [.. Enumerable.Range(1, DeviceCount).Select(i => $"press-{i}")];
    readonly Dictionary<string, ChildProcess> agents = [];
    readonly List<string> seen = [];
    ChildProcess? server;
    CoppiceClient? control;
    Uri? url;
    string joinToken = "";
    string? rollout;

    /// <summary>What was seen, a sentence each.</summary>
    public IReadOnlyList<string> Seen => seen;

    CoppiceClient Control => control ?? throw new InvalidOperationException("The server is not started.");

    /// <summary>Tells the whole story.</summary>
    /// <exception cref="QuickstartException">Something was not seen.</exception>
    public async Task TellAsync(CancellationToken cancel)
    {
        var models = await TrainAsync(cancel);
        await StartAsync(cancel);
        await FirstReleaseAsync(models.Releases[0], cancel);
        await BetterReleaseAsync(models.Releases[0], models.Releases[1], cancel);
        await BadReleaseAsync(models.Releases[2], cancel);
        await KilledDeviceAsync(models.Releases[3], cancel);
        await StopAsync(cancel);
    }

    async Task<BearingReleases> TrainAsync(CancellationToken cancel)
    {
        narrator.Chapter("A model team trains a bearing-fault classifier");
        var models = await narrator.WorkAsync(
            "Simulating vibration of rolling bearings and training four releases…", () => Task.Run(() => BearingReleases.Make(Seed, DeviceCount, WindowsPerDevice), cancel));
        foreach (var release in models.Releases)
        {
            await File.WriteAllBytesAsync(ModelFile(release), release.Onnx, cancel);
            await File.WriteAllBytesAsync(EvaluationFile(release), release.Evaluation.ToJsonLines(), cancel);
            narrator.Say(string.Create(
                CultureInfo.InvariantCulture,
                $"  {release.Version}  {ByteSize.Format(release.Onnx.Length)}, {100 * release.HeldOutAccuracy:0.#} % right on machines it has never heard.  {release.Notes}"));
        }

        for (var i = 0; i < DeviceCount; i++)
            await File.WriteAllBytesAsync(DeviceData(names[i]), models.Devices[i].ToJsonLines(), cancel);
        return models;
    }

    async Task StartAsync(CancellationToken cancel)
    {
        narrator.Chapter($"A server and {DeviceCount} devices start, each its own process");
        var data = Path.Combine(folder, "server");
        server = ChildProcess.Start(ChildProcess.ThisProgram, Environment([]), "serve", "--data", data, "--listen", "http://127.0.0.1:0", "--json");
        var ready = await server.EventAsync(told => told.TryGetProperty("url", out _), "serve", Patience, cancel);
        url = new(ready.GetProperty("url").GetString()!);
        joinToken = ready.GetProperty("joinToken").GetString()!;
        var token = (await File.ReadAllTextAsync(Path.Combine(data, "admin.token"), cancel)).Trim();
        control = new(url, token);
        environment = Environment([new("COPPICE_SERVER", url.ToString()), new("COPPICE_TOKEN", token), new("COPPICE_KEYS", Path.Combine(data, "keys", "offline"))]);
        narrator.Say($"  server at {url}, process {server.Id}");
        foreach (var name in names)
            StartAgent(name);
        await WatchAsync(_ => Task.FromResult(false), view => view.Rows.Count == DeviceCount && known == DeviceCount, "six devices enrolled", cancel);
        narrator.Say($"  {DeviceCount} devices enrolled with the join token; each made its own key and keeps {WindowsPerDevice} labelled recordings of its own machine");
    }

    IReadOnlyDictionary<string, string> environment = new Dictionary<string, string>();
    int known;

    async Task FirstReleaseAsync(BearingRelease release, CancellationToken cancel)
    {
        narrator.Chapter("1.0.0 goes to all devices");
        await PublishAsync(release, [], cancel);
        await RollOutAsync(release, [new(1, TimeSpan.Zero)], cancel);
        await WatchAsync(Complete, view => view.Rows.All(row => row.Serves == release.Version), "1.0.0 serving everywhere", cancel);
        Saw($"{release.Version} arrived on {DeviceCount} of {DeviceCount} devices, was tried on each, and serves.");
    }

    async Task BetterReleaseAsync(BearingRelease before, BearingRelease release, CancellationToken cancel)
    {
        narrator.Chapter("1.1.0 is better: two canaries first, then all");
        await PublishAsync(release, ["--min-accuracy", "80%", "--max-accuracy-drop", "10%"], cancel);
        await AwaitPatchAsync(before, release, cancel);
        await RollOutAsync(release, [new(Canary, TimeSpan.FromSeconds(1)), new(1, TimeSpan.Zero)], cancel);
        var canaries = 0;
        await WatchAsync(Complete, view =>
        {
            if (phase == 0)
                canaries = Math.Max(canaries, view.Rows.Count(row => row.Serves == release.Version));
            return view.Rows.All(row => row.Serves == release.Version);
        }, "1.1.0 serving everywhere", cancel);
        Require(canaries is 1 or 2, $"{canaries} devices served {release.Version} in its canary phase");
        var counts = (await Control.GetRolloutAsync(rollout!, cancel: cancel)).Rollout;
        Saw($"{release.Version} went to a canary phase and then to all {DeviceCount}; {ByteSize.Format(counts.BytesFetched)} crossed the network for {ByteSize.Format(counts.BytesTotal)} of files.");
    }

    /// <summary>The server makes a patch by itself from what the devices run. Devices that ask before it is made take the whole file, so the story waits a little.</summary>
    async Task AwaitPatchAsync(BearingRelease before, BearingRelease release, CancellationToken cancel)
    {
        using var http = new HttpClient();
        var patch = new Uri(url!, "repository/" + RepositoryLayout.PatchFile([Sha256Digest.Of(before.Onnx.Span)], Sha256Digest.Of(release.Onnx.Span)));
        for (var tries = 0; tries < 100; tries++)
        {
            using var answer = await http.SendAsync(new(HttpMethod.Head, patch), cancel);
            if (answer is { IsSuccessStatusCode: true, Content.Headers.ContentLength: { } length })
            {
                narrator.Say($"  the server made a patch from {before.Version}: {ByteSize.Format(length)} in place of {ByteSize.Format(release.Onnx.Length)}");
                return;
            }

            await Task.Delay(150, cancel);
        }

        narrator.Say("  the server's patch is not ready yet; devices take the whole file");
    }

    async Task BadReleaseAsync(BearingRelease release, CancellationToken cancel)
    {
        narrator.Chapter("1.2.0 learned from a wrong label sheet");
        narrator.Say(string.Create(CultureInfo.InvariantCulture, $"  Its team's own check says {100 * release.TeamAccuracy:0.#} %: the same sheet. It passes every check at publication."));
        await PublishAsync(release, ["--min-accuracy", "80%", "--max-accuracy-drop", "10%"], cancel);
        await RollOutAsync(release, [new(Canary, TimeSpan.FromHours(24)), new(1, TimeSpan.Zero)], cancel);
        var refused = new HashSet<string>();
        var served = false;
        await WatchAsync(
            async _ => (await Control.GetRolloutAsync(rollout!, cancel: cancel)).Rollout.State == RolloutState.Held,
            view =>
            {
                served |= view.Rows.Any(row => row.Serves == release.Version);
                refused.UnionWith(view.Rows.Where(row => row.State == FleetState.Refused).Select(row => row.Device));
                return refused.Count > 0;
            }, "1.2.0 refused and the rollout held", cancel);
        var held = await Control.GetRolloutAsync(rollout!, cancel: cancel);
        narrator.Say($"  The server holds {rollout}: {held.Rollout.Why}");
        foreach (var device in held.Devices.Where(device => device.Kind == ReportKind.Refused))
            narrator.Say($"  {device.Device} says: {device.Why}");
        var reverted = await Control.RevertAsync(rollout!, "Refused on the devices' own data; the label sheet was wrong.", null, cancel);
        Require(reverted.State == RolloutState.Reverted, $"the rollout is {reverted.State} after revert");
        var page = await Control.ListDevicesAsync(cancel: cancel);
        Require(page.Devices.All(device => device.Models.Single().Serving?.ToString() == "1.1.0"), "a device does not serve 1.1.0 after the revert");
        Require(!served, "a device served 1.2.0");
        Saw($"{release.Version} was refused by {(refused.Count == 1 ? "a canary" : $"{refused.Count} canaries")} on the device's own data, never served anywhere, and its rollout was held by the server and reverted.");
    }

    async Task KilledDeviceAsync(BearingRelease release, CancellationToken cancel)
    {
        narrator.Chapter("1.2.1 has its labels put right; a device is killed in the middle of the update");
        await PublishAsync(release, ["--min-accuracy", "80%", "--max-accuracy-drop", "10%"], cancel);
        // One device has a slow line, so that the kill meets it while it fetches.
        var victim = names[^1];
        await StopAgentAsync(victim, cancel);
        StartAgent(victim, "--rate", "100KB");
        await agents[victim].EventAsync(Is("loaded"), "load 1.1.0 again", Patience, cancel);
        await RollOutAsync(release, [new(1, TimeSpan.Zero)], cancel);
        await agents[victim].EventAsync(told => Is("started")(told) && told.GetProperty("release").GetString() == release.Version, "begin to fetch", Patience, cancel);
        await agents[victim].KillAsync();
        narrator.Say($"  {victim}: SIGKILL while it fetched {release.Version}");
        StartAgent(victim);
        var recovered = await agents[victim].EventAsync(Is("loaded"), "serve again what it served", Patience, cancel);
        Require(recovered.GetProperty("release").GetString() == "1.1.0", $"after the kill {victim} serves {recovered.GetProperty("release").GetString()}");
        narrator.Say($"  {victim}: back, serving 1.1.0 as before, and goes on with the update where it was");
        await WatchAsync(Complete, view => view.Rows.All(row => row.Serves == release.Version), $"{release.Version} serving everywhere", cancel);
        Saw($"{victim} was killed in the middle of the update, came back serving 1.1.0, and finished the update to {release.Version}.");
    }

    async Task StopAsync(CancellationToken cancel)
    {
        foreach (var name in names)
            await StopAgentAsync(name, cancel);
        Require(await server!.TerminateAsync(cancel) == 0, $"the server did not end in order: {server.Errors}");
    }

    async Task PublishAsync(BearingRelease release, string[] limits, CancellationToken cancel)
    {
        await using var publish = ChildProcess.Start(
            ChildProcess.ThisProgram, environment,
            ["publish", Model.ToString(), release.Version, ModelFile(release), "--eval", EvaluationFile(release), "--notes", release.Notes, "--repo", url!.ToString(), .. limits]);
        var exit = await publish.ExitAsync(cancel);
        Require(exit == 0, $"publishing {release.Version} ended with {exit}: {publish.Errors}");
        narrator.Say($"  published {Model} {release.Version}, signed with the release key");
    }

    async Task RollOutAsync(BearingRelease release, ImmutableArray<Phase> phases, CancellationToken cancel)
    {
        var started = await Control.StartRolloutAsync(
            new(Model, SemanticVersion.Parse(release.Version), phases) { Salt = CanarySalt(), Policy = new(0, PhaseAction.Hold), Why = "quickstart" }, cancel);
        rollout = started.Id;
        phase = 0;
        narrator.Say($"  rollout {started.Id}: {string.Join(" → ", phases.Select(p => p.Share < 1 ? $"{p.Share:P0}" : "all"))}");
    }

    int phase;

    /// <summary>A salt by which the canary share reaches two of the six: with so few devices chance may give none or all.</summary>
    string CanarySalt()
    {
        for (var i = 0; ; i++)
        {
            var salt = $"quickstart-{i}";
            if (names.Count(name => Cohort.Reaches(Canary, Cohort.Of(salt, name))) == 2)
                return salt;
        }
    }

    async Task<bool> Complete(FleetView view) => (await Control.GetRolloutAsync(rollout!, cancel: default)).Rollout.State == RolloutState.Complete;

    Task WatchAsync(Func<FleetView, Task<bool>> andServer, Func<FleetView, bool> holds, string what, CancellationToken cancel) =>
        narrator.WatchAsync(
            async () =>
            {
                // The rollout first: what a device then says it serves is never older than what it said about the rollout.
                var detail = rollout is null ? null : await Control.GetRolloutAsync(rollout, cancel: cancel);
                var page = await Control.ListDevicesAsync(cancel: cancel);
                (known, phase) = (page.Devices.Length, detail?.Rollout.Phase ?? 0);
                foreach (var (name, agent) in agents)
                    Require(!agent.HasExited, $"{name} ended by itself: {agent.Errors}");
                return FleetView.Of(names, page.Devices, detail, name => agents.ContainsKey(name));
            },
            async view => holds(view) && (rollout is null || await andServer(view)), what, Patience, cancel);

    void StartAgent(string name, params string[] more)
    {
        agents[name] = ChildProcess.Start(
            ChildProcess.ThisProgram, environment,
            [
                "agent", "--server", url!.ToString(), "--join", joinToken, "--name", name, "--data", Path.Combine(folder, name), "--model", Model.ToString(),
                "--trial-data", $"{Model}={DeviceData(name)}", "--poll", "500ms", "--probation", "1s", "--json", .. more,
            ]);
    }

    async Task StopAgentAsync(string name, CancellationToken cancel)
    {
        var agent = agents[name];
        agents.Remove(name);
        var exit = await agent.TerminateAsync(cancel);
        await agent.DisposeAsync();
        Require(exit == 0, $"{name} ended with {exit}: {agent.Errors}");
    }

    void Saw(string what)
    {
        seen.Add(what);
        narrator.Say($"  seen: {what}");
    }

    static void Require(bool holds, string otherwise)
    {
        if (!holds)
            throw new QuickstartException($"Not as it should be: {otherwise}.");
    }

    static Func<System.Text.Json.JsonElement, bool> Is(string kind) =>
        told => told.TryGetProperty("kind", out var found) && string.Equals(found.GetString(), kind, StringComparison.OrdinalIgnoreCase);

    /// <summary>The publisher's memory of repositories goes into the folder too, not into the user's home.</summary>
    Dictionary<string, string> Environment(IEnumerable<KeyValuePair<string, string>> more) => new(more) { ["XDG_CONFIG_HOME"] = Path.Combine(folder, "config") };

    string ModelFile(BearingRelease release) => Path.Combine(folder, $"bearing-{release.Version}.onnx");

    string EvaluationFile(BearingRelease release) => Path.Combine(folder, $"bearing-{release.Version}.evaluation.jsonl");

    string DeviceData(string name) => Path.Combine(folder, $"{name}.labelled.jsonl");

    public async ValueTask DisposeAsync()
    {
        control?.Dispose();
        foreach (var agent in agents.Values)
            await agent.DisposeAsync();
        if (server is not null)
            await server.DisposeAsync();
    }
}
