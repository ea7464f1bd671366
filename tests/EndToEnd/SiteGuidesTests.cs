using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Coppice.Cli.Quickstart;
using Coppice.Tests;
using Coppice.Trust;

namespace Coppice.EndToEnd;

/// <summary>docs/guides/supply-chain.md and docs/guides/air-gapped.md, command by command as they are written, with the real program.</summary>
public sealed partial class SiteGuidesTests : IDisposable
{
    static readonly Lazy<byte[]> Model = new(() => BearingReleases.Make(seed: 7, devices: 1, windowsPerDevice: 8).Releases[0].Onnx.ToArray());

    readonly string folder = Directory.CreateTempSubdirectory("coppice-guide-").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [GeneratedRegex("^```([a-z]+)\n(.*?)^```$", RegexOptions.Multiline | RegexOptions.Singleline)]
    private static partial Regex Block();

    static List<(string Language, string Text)> Blocks(string page) =>
        [.. Block().Matches(File.ReadAllText(Path.Combine(RepositoryRoot.Path, "docs", "guides", page))).Select(block => (block.Groups[1].Value, block.Groups[2].Value))];

    string In(params string[] parts) => Path.Combine([folder, .. parts]);

    [Fact]
    public async Task Every_command_of_the_guide_to_the_supply_chain_does_what_the_page_says()
    {
        if (OperatingSystem.IsWindows())
            return; // the page is for a POSIX shell
        await File.WriteAllBytesAsync(In("model.onnx"), Model.Value);
        var blocks = Blocks("supply-chain.md");
        Assert.Equal(["bash", "json", "bash"], blocks.Select(block => block.Language));

        // The page's own description of the rewrites, with the digests that it leaves out.
        var (source, model, between) = (Regex.Match(blocks[0].Text, "--source ([0-9a-f]{64})").Groups[1].Value, Sha256Digest.Of(Model.Value), Sha256Digest.Of([1]));
        await File.WriteAllTextAsync(In("rewrites.json"), blocks[1].Text
            .Replace($"{source[..4]}…", source, StringComparison.Ordinal).Replace("1b4f…", between.ToString(), StringComparison.Ordinal).Replace("<digest of model.onnx>", model.ToString(), StringComparison.Ordinal));
        using var reviewer = SigningKey.Create();
        var review = new InTotoStatement([new("model.onnx", model)], "https://example.com/review/v1", JsonElement.Parse("{}"u8));
        await File.WriteAllBytesAsync(In("review.dsse.json"), DsseEnvelope.Sign(InTotoStatement.PayloadType, review.Write(), reviewer).Write());

        var (exit, output) = await RunAsync($"coppice repository init repository --keys keys\nROOT=$(sha256sum repository/metadata/1.root.json | cut -c 1-64)\n{blocks[0].Text}{blocks[2].Text}", new Dictionary<string, string>());

        Assert.True(exit == 0, output);
        Assert.Contains("signed for the role 'releases'", output, StringComparison.Ordinal);
        Assert.Contains("'prune' by pruner 2.0, then 'quantise' by quantiser 1.2", output, StringComparison.Ordinal);
        Assert.Contains("Who made review.dsse.json", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Every_command_of_the_guide_to_sites_without_a_network_does_what_the_page_says()
    {
        if (OperatingSystem.IsWindows())
            return; // the page is for a POSIX shell
        await using var site = await Site.StartAsync();
        await File.WriteAllBytesAsync(In("model.onnx"), Model.Value);
        await site.PublishAsync("plant/bearing", "1.0.0", In("model.onnx"));
        await site.RollOutAsync("plant/bearing", "1.0.0");
        Directory.CreateSymbolicLink(In("repository"), site.PathOf("server", "repository")); // any copy of the repository will do

        var mirror = FreePort();
        var script = new StringBuilder("trap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT\n");
        var blocks = Blocks("air-gapped.md");
        Assert.Equal(3, blocks.Count);
        foreach (var (_, text) in blocks)
        {
            foreach (var line in text.Split('\n', StringSplitOptions.RemoveEmptyEntries))
            {
                var runs = line.StartsWith("coppice mirror", StringComparison.Ordinal) || line.StartsWith("coppice agent", StringComparison.Ordinal);
                script.Append(runs ? $"{line} >>site.log 2>&1 </dev/null &\n" : line + "\n");
                if (line.StartsWith("coppice mirror", StringComparison.Ordinal))
                    script.Append("for i in $(seq 600); do grep -q 'Coppice mirrors' site.log && break; sleep 0.1; done\n");
            }
        }

        script.Append("for i in $(seq 600); do coppice device list --json | grep -q '\"serving\":\"1.0.0\"' && break; sleep 0.5; done\ncoppice agent explain --data device\ncat site.log\n");
        var (exit, output) = await RunAsync(
            script.ToString()
                .Replace("https://coppice.example.org", site.Url.GetLeftPart(UriPartial.Authority), StringComparison.Ordinal)
                .Replace("http://0.0.0.0:8430", $"http://127.0.0.1:{mirror}", StringComparison.Ordinal).Replace("http://mirror.site:8430", $"http://127.0.0.1:{mirror}", StringComparison.Ordinal),
            new Dictionary<string, string>
            {
                ["ROOT"] = Sha256Digest.Of(await File.ReadAllBytesAsync(In("repository", "metadata", "1.root.json"))).ToString(),
                ["TOKEN"] = site.JoinToken,
                ["COPPICE_SERVER"] = site.Url.ToString(),
                ["COPPICE_TOKEN"] = "@" + site.PathOf("server", "admin.token"),
            });

        Assert.True(exit == 0, output);
        Assert.Contains("all signatures, from the root that you named", output, StringComparison.Ordinal);
        Assert.Contains("plant/bearing@1.0.0", output, StringComparison.Ordinal);
        Assert.Equal("1.0.0", (await site.Control.ListDevicesAsync()).Devices.Single().Models.Single().Serving?.ToString());
    }

    async Task<(int Exit, string Output)> RunAsync(string script, IReadOnlyDictionary<string, string> variables)
    {
        var start = new ProcessStartInfo("bash", ["-euo", "pipefail", "-c", $"( {script}\n) 2>&1"]) { WorkingDirectory = folder, RedirectStandardOutput = true };
        start.Environment["PATH"] = Path.GetDirectoryName(Site.Program) + Path.PathSeparator + Environment.GetEnvironmentVariable("PATH");
        start.Environment["XDG_CONFIG_HOME"] = In("config");
        foreach (var (name, value) in variables)
            start.Environment[name] = value;
        using var process = Process.Start(start)!;
        var output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        return (process.ExitCode, output);
    }

    static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
