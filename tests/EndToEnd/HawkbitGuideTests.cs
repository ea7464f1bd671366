using System.Diagnostics;
using System.Text;
using System.Text.RegularExpressions;
using Coppice.Cli.Quickstart;
using Coppice.Protocol;
using Coppice.Tests;

namespace Coppice.EndToEnd;

/// <summary>docs/guides/moving-from-hawkbit.md, block by block as it is written: Debian's own swupdate takes a model from our server.</summary>
public sealed partial class HawkbitGuideTests : IDisposable
{
    readonly string folder = Directory.CreateTempSubdirectory("coppice-hawkbit-").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [GeneratedRegex("^```([a-z]*)\n(.*?)^```$", RegexOptions.Multiline | RegexOptions.Singleline)]
    private static partial Regex Block();

    [Fact]
    public async Task Debians_swupdate_takes_a_model_by_the_guides_commands_and_closes_its_action_at_its_next_start()
    {
        if (OperatingSystem.IsWindows())
            return; // the page is for a POSIX shell
        await using var site = await Site.StartAsync("--ddi-poll", "1s");
        var model = BearingReleases.Make(seed: 7, devices: 1, windowsPerDevice: 8).Releases[0].Onnx.ToArray();
        await File.WriteAllBytesAsync(In("model.onnx"), model);
        var blocks = Block().Matches(await File.ReadAllTextAsync(Path.Combine(RepositoryRoot.Path, "docs", "guides", "moving-from-hawkbit.md")))
            .Select(block => (Language: block.Groups[1].Value, Text: block.Groups[2].Value)).ToArray();
        Assert.Equal(["bash", "", "bash", "bash", "", "bash", "bash", "bash"], blocks.Select(block => block.Language));
        await File.WriteAllTextAsync(In("sw-description"), blocks[1].Text.Replace("/var/lib/models", folder, StringComparison.Ordinal));
        await File.WriteAllTextAsync(In("swupdate.cfg"), blocks[4].Text);

        // swupdate runs until it is stopped: until the file is there, and then until the action is closed.
        var script = new StringBuilder($"openssl req -x509 -newkey rsa:2048 -nodes -keyout payload.key -out payload.pem -subj /CN=payload -days 9 2>/dev/null\n");
        script.Append(blocks[0].Text).Append(blocks[2].Text).Append(blocks[3].Text);
        script.Append(Until(blocks[5].Text, "coppice device list --json | grep -q '\"last\":\"started\"' && grep -q 'Update successful' swupdate.log"));
        script.Append(Until(blocks[6].Text, "coppice device list --json | grep -q '\"settled\":true'"));
        script.Append(blocks[7].Text).Append("cat swupdate.log\n");
        var (exit, output) = await RunAsync(script.ToString().Replace("https://coppice.example:8443", site.Url.GetLeftPart(UriPartial.Authority), StringComparison.Ordinal), site);

        Assert.True(exit == 0, output);
        Assert.Equal(model, await File.ReadAllBytesAsync(In("bearing.onnx")));
        Assert.Contains("serves     1.0.0, settled (swu)", output, StringComparison.Ordinal);
        var device = await site.Control.GetDeviceAsync("till-1");
        Assert.Equal(("rev2", "Europe/Oslo", "ddi", "oslo"), (device.Facts["hw"], device.Facts["timezone"], device.Facts["protocol"], device.Labels["site"]));
        Assert.Equal([ReportKind.Settled, ReportKind.Switched, ReportKind.Started], (await site.Control.ListReportsAsync("till-1")).Reports.Select(kept => kept.Report.Kind));
        await site.CompleteAsync("r-1");
    }

    static string Until(string command, string holds) =>
        $"{command.TrimEnd()} >>swupdate.log 2>&1 </dev/null & DAEMON=$!\nfor i in $(seq 600); do {holds} && break; sleep 0.3; done\nkill $DAEMON; wait $DAEMON || true\n";

    string In(string name) => Path.Combine(folder, name);

    async Task<(int Exit, string Output)> RunAsync(string script, Site site)
    {
        var start = new ProcessStartInfo("bash", ["-euo", "pipefail", "-c", $"( {script}\n) 2>&1"]) { WorkingDirectory = folder, RedirectStandardOutput = true };
        start.Environment["PATH"] = string.Join(Path.PathSeparator, Path.GetDirectoryName(Site.Program), Environment.GetEnvironmentVariable("PATH"), "/usr/sbin", "/sbin");
        start.Environment["XDG_CONFIG_HOME"] = In("config");
        start.Environment["TMPDIR"] = folder; // swupdate's sockets and downloads
        start.Environment["COPPICE_SERVER"] = site.Url.ToString();
        start.Environment["COPPICE_TOKEN"] = "@" + site.PathOf("server", "admin.token");
        start.Environment["COPPICE_KEYS"] = site.PathOf("server", "keys", "offline");
        using var process = Process.Start(start)!;
        var output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        return (process.ExitCode, output);
    }
}
