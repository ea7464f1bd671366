using System.Collections.Immutable;
using System.Text.Json;
using Coppice.Agent;
using Coppice.Agent.Storage;
using Coppice.Cli.Quickstart;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Rollouts;

namespace Coppice.EndToEnd;

/// <summary>A site behind a mirror, as real processes: the server dies, the mirror dies, and nothing that devices report is lost or counted twice.</summary>
public sealed class MirrorProcessTests
{
    [Fact]
    public async Task A_site_takes_a_release_while_the_server_is_dead_and_its_reports_arrive_once()
    {
        await using var site = await Site.StartAsync();
        await PublishAsync(site, "1.0.0");
        var first = await site.RollOutAsync("plant/press", "1.0.0");
        var (mirror, url) = await MirrorAsync(site, "http://127.0.0.1:0");
        await Site.UntilAsync(async () => (await StatusAsync(url)).GetProperty("timestampVersion").ValueKind == JsonValueKind.Number, "the mirror has the repository");
        site.StartAgentOf(url, "cell", "--model", "plant/press");
        await site.EverywhereAsync("1.0.0"); // joined, signed and served through the mirror
        await site.CompleteAsync(first.Id);
        await site.Control.LabelDeviceAsync("cell", ImmutableDictionary<string, string>.Empty.Add("ring", "canary"));
        await Site.UntilAsync(() => Task.FromResult(File.Exists(site.PathOf("cell", DataFolder.Passport))), "the device has its labels, signed, through the mirror");
        await site.Agent("cell").TerminateAsync(CancellationToken.None);

        // The mirror takes in what the server has, and the server dies.
        await PublishAsync(site, "2.0.0");
        await site.Control.StartRolloutAsync(new(ModelName.Parse("plant/press"), SemanticVersion.Parse("2.0.0"), [new Phase(1, TimeSpan.Zero)])
        {
            Selector = "ring = \"canary\"",
            Policy = new(0, PhaseAction.Hold),
            Why = "for who is labelled so",
        });
        var fetched = (await StatusAsync(url)).GetProperty("held").GetInt64();
        await Site.UntilAsync(async () => (await StatusAsync(url)).GetProperty("held").GetInt64() > fetched, "the mirror fetches ahead");
        await site.KillServerAsync();

        site.StartAgentOf(url, "cell", "--model", "plant/press");
        await Site.UntilAsync(async () => (await StatusAsync(url)).GetProperty("reportsWaiting").GetInt32() > 0, "the mirror keeps reports");
        await Site.UntilAsync(() => Task.FromResult(IsDone(AgentStatus.Read(site.PathOf("cell")), "2.0.0")), "the device serves what the mirror has, and has handed every report over");

        // The mirror dies as well, before anything was carried on.
        await mirror.KillAsync();
        await mirror.DisposeAsync();
        (mirror, _) = await MirrorAsync(site, url);
        await site.StartServerAsync();
        await site.EverywhereAsync("2.0.0");
        await Site.UntilAsync(async () => (await StatusAsync(url)).GetProperty("reportsWaiting").GetInt32() == 0, "the mirror has carried everything on");

        var reports = (await site.Control.ListReportsAsync("cell")).Reports.Select(kept => kept.Report).OrderBy(report => report.Sequence).ToList();
        Assert.Equal(Enumerable.Range(1, reports.Count).Select(i => (long)i), reports.Select(report => report.Sequence));
        foreach (var version in new[] { "1.0.0", "2.0.0" })
            Assert.Single(reports, report => report.Kind == ReportKind.Settled && report.Release.ToString() == version);
        await mirror.DisposeAsync();
    }

    static bool IsDone(AgentStatus status, string version) =>
        status is { ReportsWaiting: 0, Models: [{ State.Serving: { Settled: true } serving }] } && serving.Release.ToString() == version;

    static async Task<JsonElement> StatusAsync(string url)
    {
        using var http = new HttpClient();
        return JsonElement.Parse(await http.GetByteArrayAsync(new Uri(new Uri(url), "/v1/mirror/status")));
    }

    static async Task<(ChildProcess Mirror, string Url)> MirrorAsync(Site site, string listen)
    {
        var mirror = ChildProcess.Start(
            Site.Program, new Dictionary<string, string>(), "mirror", "--upstream", site.Url.ToString(), "--data", site.PathOf("mirror"), "--listen", listen, "--poll", "250ms", "--log", "Error", "--json");
        var ready = await mirror.EventAsync(told => told.TryGetProperty("url", out _), "mirror", Site.Patience, CancellationToken.None);
        return (mirror, new Uri(ready.GetProperty("url").GetString()!).GetLeftPart(UriPartial.Authority));
    }

    static async Task PublishAsync(Site site, string version)
    {
        var file = site.PathOf($"press-{version}.bin");
        var bytes = new byte[300_000];
        new Random(version[0]).NextBytes(bytes);
        await File.WriteAllBytesAsync(file, bytes);
        await site.PublishAsync("plant/press", version, file);
    }
}
