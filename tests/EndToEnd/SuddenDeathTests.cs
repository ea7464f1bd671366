using System.Globalization;
using Coppice.Cli.Quickstart;
using Coppice.Numerics;
using Coppice.Protocol;
using Coppice.Rollouts;

namespace Coppice.EndToEnd;

/// <summary>SIGKILL at random moments of whole update cycles, of agents and of the server.</summary>
/// <remarks>The moments come from a seed, but what a process does at that moment depends on the machine: a failure tells the seed and what was killed where.</remarks>
public sealed class SuddenDeathTests
{
    const int Sites = 4;

    /// <summary>Kills of agents over all sites, and a quarter as many of servers; COPPICE_KILLS for more or fewer: 200 takes a quarter of an hour.</summary>
    static readonly int AgentKills = int.Parse(Environment.GetEnvironmentVariable("COPPICE_KILLS") ?? "48", CultureInfo.InvariantCulture);

    static readonly string[] Versions = ["1.0.0", "2.0.0"];

    /// <summary>Two releases of a real graph, by the quickstart's own training; loading and trial are real.</summary>
    static readonly Lazy<BearingReleases> Models = new(() => BearingReleases.Make(seed: 7, devices: 1, windowsPerDevice: 8));

    [Fact]
    public async Task Killed_agents_always_come_back_with_a_whole_release_and_reach_the_plan()
    {
        await using var site = await Site.StartAsync();
        await PublishBothAsync(site);
        for (var i = 0; i < Sites; i++)
            site.StartAgent($"till-{i}", "--model", "demo/bearing");
        await site.CompleteAsync((await site.RollOutAsync("demo/bearing", Versions[0])).Id);
        await site.EverywhereAsync(Versions[0]);

        var random = new SeededRandom(11);
        for (var cycle = 1; cycle * Sites * 2 <= AgentKills; cycle++)
        {
            var rollout = await site.RollOutAsync("demo/bearing", Versions[cycle % 2]);
            for (var kill = 0; kill < 2; kill++)
            {
                await Task.WhenAll(Enumerable.Range(0, Sites).Select(i =>
                {
                    var after = TimeSpan.FromMilliseconds(random.NextInt32(900));
                    return KillAsync(site, $"till-{i}", after, $"cycle {cycle}, kill {kill}, after {after.TotalMilliseconds} ms");
                }));
            }

            await site.CompleteAsync(rollout.Id);
        }

        // A device killed on probation after its rollout was complete has refused the release, as it should, and serves the other one.
        await Site.UntilAsync(
            async () => (await site.Control.ListDevicesAsync()).Devices.All(device => device.Models.Single().Serving is { } serving && Versions.Contains(serving.ToString())),
            "every device serving one of the two releases");
    }

    /// <summary>Kills an agent after a time, starts it again, and sees it serve one whole release.</summary>
    static async Task KillAsync(Site site, string name, TimeSpan after, string when)
    {
        await Task.Delay(after); // the moment of the kill is what is tested
        await site.Agent(name).KillAsync();
        var again = site.StartAgent(name, "--model", "demo/bearing");
        var loaded = await again.EventAsync(
            told => told.GetProperty("kind").GetString() is "loaded" or "switched" or "takenBack" or "settled", $"serve again ({name}, {when})", Site.Patience, CancellationToken.None);
        Assert.Contains(loaded.GetProperty("release").GetString(), Versions);
    }

    [Fact]
    public async Task Kills_of_the_server_lose_and_double_nothing()
    {
        var kills = Math.Max(1, AgentKills / 4);
        await using var site = await Site.StartAsync();
        await PublishBothAsync(site);
        for (var i = 0; i < 2; i++)
            site.StartAgent($"till-{i}", "--model", "demo/bearing");
        await site.CompleteAsync((await site.RollOutAsync("demo/bearing", Versions[0])).Id);
        await site.EverywhereAsync(Versions[0]);

        var random = new SeededRandom(13);
        var rollouts = 1;
        for (var killed = 0; killed < kills; rollouts++)
        {
            var rollout = await site.RollOutAsync("demo/bearing", Versions[rollouts % 2]);
            for (var kill = 0; kill < 5 && killed < kills; kill++, killed++)
            {
                await Task.Delay(random.NextInt32(500)); // the moment of the kill is what is tested
                await site.KillServerAsync();
                await site.StartServerAsync();
            }

            await site.CompleteAsync(rollout.Id);
            await site.EverywhereAsync(Versions[rollouts % 2]);
        }

        foreach (var device in (await site.Control.ListDevicesAsync()).Devices)
        {
            var reports = (await site.Control.ListReportsAsync(device.Id, limit: 500)).Reports.Select(kept => kept.Report.Sequence).Order().ToList();
            Assert.Equal(Enumerable.Range(1, reports.Count).Select(i => (long)i), reports); // none lost, none doubled
            Assert.Equal(rollouts, (await site.Control.ListReportsAsync(device.Id, limit: 500)).Reports.Count(kept => kept.Report.Kind == ReportKind.Settled)); // every rollout changed the release, and each settled once
        }

        Assert.All((await site.Control.ListRolloutsAsync()).Rollouts, rollout => Assert.Equal(RolloutState.Complete, rollout.State));
    }

    static async Task PublishBothAsync(Site site)
    {
        for (var i = 0; i < Versions.Length; i++)
        {
            var file = site.PathOf($"bearing-{i}.onnx");
            await File.WriteAllBytesAsync(file, Models.Value.Releases[i].Onnx);
            await site.PublishAsync("demo/bearing", Versions[i], file);
        }
    }
}
