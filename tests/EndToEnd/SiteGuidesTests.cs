using System.Diagnostics;
using System.Text.Json;
using System.Text.RegularExpressions;
using Coppice.Cli.Quickstart;
using Coppice.Tests;
using Coppice.Trust;

namespace Coppice.EndToEnd;

/// <summary>docs/guides/supply-chain.md, command by command as it is written, with the real program.</summary>
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
}
