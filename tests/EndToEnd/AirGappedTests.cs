using System.Text.Json;
using Coppice.Cli.Quickstart;
using Coppice.Trust;

namespace Coppice.EndToEnd;

/// <summary>A site that only a stick reaches, as real processes.</summary>
public sealed class AirGappedTests
{
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
}
