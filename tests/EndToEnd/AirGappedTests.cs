using System.Text.Json;
using Coppice.Cli.Quickstart;
using Coppice.Trust;

namespace Coppice.EndToEnd;

/// <summary>A site behind a mirror, and one that only a stick reaches, as real processes.</summary>
public sealed class AirGappedTests
{
    static readonly string[] Devices = ["press-1", "press-2", "press-3"];

    [Fact]
    public async Task A_site_is_served_and_heard_through_a_mirror_that_loses_its_upstream_and_its_life()
    {
        await using var site = await Site.StartAsync();
        await PublishAsync(site, "1.0.0");
        var first = await site.RollOutAsync("plant/press", "1.0.0");
        await using var mirror = new MirrorProcess(site);
        await mirror.StartAsync();
        foreach (var device in Devices)
            site.StartAgentOf(mirror.Url, device, "--model", "plant/press");
        await site.CompleteAsync(first.Id);

        // The network goes; a stick brings the next release, and the mirror dies on the way.
        await PublishAsync(site, "2.0.0");
        var second = await site.RollOutAsync("plant/press", "2.0.0");
        var bundle = site.PathOf("site.cpb");
        await RunAsync(site, "bundle", "create", "--model", "plant/press", "--repository", new Uri(site.Url, "repository/").ToString(), "-o", bundle);
        await site.KillServerAsync();
        await mirror.KillAsync();
        await mirror.StartAsync();
        await RunAsync(site, "bundle", "apply", bundle, "--mirror", mirror.Folder);
        foreach (var device in Devices)
            await Site.UntilAsync(async () => Serving(await site.StatusAsync(site.PathOf(device))) == "2.0.0", $"{device} serves what the stick brought");
        await Site.UntilAsync(async () => (await mirror.StatusAsync()).GetProperty("reportsWaiting").GetInt32() > 0, "reports wait");
        await mirror.KillAsync();
        await mirror.StartAsync();

        // The network comes back: everything that was said arrives, once.
        await site.StartServerAsync();
        await site.CompleteAsync(second.Id);
        await site.EverywhereAsync("2.0.0");
        foreach (var device in Devices)
        {
            var reports = (await site.Control.ListReportsAsync(device)).Reports;
            Assert.Equal(reports.Select(report => report.Sequence).Distinct().Count(), reports.Length);
            Assert.Single(reports, report => report.Kind == Protocol.ReportKind.Settled && report.Release.ToString() == "2.0.0");
        }
    }

    [Fact]
    public async Task A_device_without_any_network_takes_what_a_stick_brings()
    {
        await using var site = await Site.StartAsync();
        await PublishAsync(site, "1.0.0");
        await site.RollOutAsync("plant/press", "1.0.0");
        var (bundle, data) = (site.PathOf("site.cpb"), site.PathOf("cell"));
        var root = Sha256Digest.Of(await File.ReadAllBytesAsync(site.PathOf("server", "repository", "metadata", "1.root.json"))).ToString();
        await RunAsync(site, "bundle", "create", "--model", "plant/press", "--split", "1MiB", "-o", bundle);
        await site.StopServerAsync();

        await RunAsync(site, "bundle", "inspect", bundle, "--root", root);
        await RunAsync(site, "bundle", "apply", bundle, "--data", data, "--root", root);
        await using var agent = ChildProcess.Start(
            Site.Program, new Dictionary<string, string>(), "agent", "--root", root, "--name", "cell", "--model", "plant/press", "--data", data, "--poll", "150ms", "--probation", "300ms", "--json");
        await Site.UntilAsync(async () => Serving(await site.StatusAsync(data)) == "1.0.0", "the device serves what the stick brought");
    }

    static string? Serving(JsonElement status) =>
        status.GetProperty("models").EnumerateArray().FirstOrDefault() is { ValueKind: JsonValueKind.Object } model && model.TryGetProperty("release", out var release) ? release.GetString() : null;

    static async Task PublishAsync(Site site, string version)
    {
        var file = site.PathOf($"press-{version}.bin");
        await File.WriteAllBytesAsync(file, [.. Enumerable.Range(0, 2_500_000).Select(i => (byte)(i * version[0]))]);
        await site.PublishAsync("plant/press", version, file);
    }

    static async Task RunAsync(Site site, params string[] arguments)
    {
        var (exit, errors) = await site.RunAsync(arguments);
        Assert.True(exit == 0, $"{string.Join(' ', arguments)}: {errors}");
    }

    /// <summary>The mirror, which comes back at the same address.</summary>
    sealed class MirrorProcess(Site site) : IAsyncDisposable
    {
        readonly HttpClient http = new();
        string listen = "http://127.0.0.1:0";
        ChildProcess? process;

        public string Folder { get; } = site.PathOf("mirror");

        public string Url => listen;

        public async Task StartAsync()
        {
            process = ChildProcess.Start(Site.Program, new Dictionary<string, string>(), "mirror", "--upstream", site.Url.ToString(), "--data", Folder, "--listen", listen, "--poll", "150ms", "--log", "Warning", "--json");
            var ready = await process.EventAsync(told => told.TryGetProperty("url", out _), "mirror", Site.Patience, CancellationToken.None);
            listen = new Uri(ready.GetProperty("url").GetString()!).GetLeftPart(UriPartial.Authority);
        }

        public Task KillAsync() => process!.KillAsync();

        public async Task<JsonElement> StatusAsync() => JsonElement.Parse(await http.GetByteArrayAsync(new Uri($"{listen}/v1/mirror/status")));

        public async ValueTask DisposeAsync()
        {
            http.Dispose();
            if (process is not null)
                await process.DisposeAsync();
        }
    }
}
