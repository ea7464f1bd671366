using System.Diagnostics;
using System.Text.RegularExpressions;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Rollouts;
using Coppice.Tests;

namespace Coppice.EndToEnd;

/// <summary>docs/guides/backup.md as it is written, with a real server, and a real device that nobody touches while its server is lost, put back and moved.</summary>
public sealed partial class BackupGuideTests
{
    const string Device = "till-1";

    static readonly ModelName Bearing = ModelName.Parse("plant/bearing");

    [GeneratedRegex("^```sh\n(.*?)^```$", RegexOptions.Multiline | RegexOptions.Singleline)]
    private static partial Regex Block();

    [Fact]
    public async Task A_device_that_saw_more_than_the_backup_takes_the_next_release_and_every_command_of_the_guide_does_what_it_says()
    {
        if (OperatingSystem.IsWindows())
            return; // the page is for a POSIX shell
        var blocks = Block().Matches(await File.ReadAllTextAsync(Path.Combine(RepositoryRoot.Path, "docs", "guides", "backup.md"))).Select(block => block.Groups[1].Value).ToArray();
        Assert.Equal(6, blocks.Length);
        await using var site = await Site.StartAsync("--no-patches");
        await PublishAsync(site, "1.0.0");
        site.StartAgent(Device, "--model", "plant/bearing", "--check-in", "1s");
        await site.CompleteAsync((await site.RollOutAsync("plant/bearing", "1.0.0")).Id);
        await site.EverywhereAsync("1.0.0");
        await RunAsync(site, blocks[0]);

        // What the backup does not know: a release, a rollout, reports, later versions of everything that is signed.
        await PublishAsync(site, "1.1.0");
        var lost = await site.RollOutAsync("plant/bearing", "1.1.0");
        await site.CompleteAsync(lost.Id);
        await site.EverywhereAsync("1.1.0");

        // The machine is gone, but for the keys that never were the server's and the files of releases, of which there are copies.
        await site.KillServerAsync();
        Directory.Move(site.PathOf("server"), site.PathOf("lost"));
        Directory.CreateDirectory(site.PathOf("server", "keys"));
        Directory.CreateDirectory(site.PathOf("server", "repository"));
        Directory.Move(site.PathOf("lost", "keys", "offline"), site.PathOf("server", "keys", "offline"));
        Directory.Move(site.PathOf("lost", "repository", "blobs"), site.PathOf("server", "repository", "blobs"));
        Directory.Delete(site.PathOf("lost"), recursive: true);

        var said = await RunAsync(site, blocks[1]);
        Assert.Contains("r-1 is held", said, StringComparison.Ordinal);
        Assert.Contains("Files of releases that are not there: ", said, StringComparison.Ordinal); // until they are copied
        Assert.False(Directory.Exists(site.PathOf("restored", "keys", "offline")));
        site.ServerFolder = "restored";
        await site.StartServerAsync();
        Assert.Contains("signed once more", await RunAsync(site, blocks[2]), StringComparison.Ordinal);

        // The device calls, says what it serves though the server forgot it, and keeps that.
        await Site.UntilAsync(async () => await ServesAsync(site, "1.1.0"), "the device says again what it serves");
        await RunAsync(site, blocks[3]); // after which it follows the repository again
        Assert.Empty((await site.Control.GetReadinessAsync()).Warnings);
        await PublishAsync(site, "1.2.0");
        var next = await site.RollOutAsync("plant/bearing", "1.2.0");
        Assert.NotEqual(lost.Id, next.Id);
        await site.CompleteAsync(next.Id);
        await site.EverywhereAsync("1.2.0");
        var reports = (await site.Control.ListReportsAsync(Device)).Reports.Select(kept => kept.Report).ToArray();
        Assert.Equal(reports.Length, reports.Select(report => (report.Kind, report.Release, report.Rollout)).Distinct().Count());
        Assert.Equal(["1.0.0", "1.1.0", "1.2.0"], reports.Where(report => report.Kind == ReportKind.Settled).Select(report => report.Release.ToString()).Order());
        Assert.DoesNotContain(reports, report => report.Kind is ReportKind.TakenBack or ReportKind.Stopped or ReportKind.Refused);

        // And to another folder, as to another machine.
        await site.StopServerAsync();
        Assert.DoesNotContain("is held", await RunAsync(site, blocks[4]), StringComparison.Ordinal);
        Directory.Delete(site.PathOf("restored"), recursive: true);
        site.ServerFolder = "moved";
        await RunAsync(site, blocks[5]);
        Assert.Contains($"\"{Device}\"", await File.ReadAllTextAsync(site.PathOf("rows.jsonl")), StringComparison.Ordinal);
        await site.StartServerAsync();
        Assert.Equal(RolloutState.Complete, (await site.Control.GetRolloutAsync(next.Id)).Rollout.State);
        var seen = (await site.Control.GetDeviceAsync(Device)).LastSeen;
        await Site.UntilAsync(async () => (await site.Control.GetDeviceAsync(Device)).LastSeen > seen, "the device calls");
    }

    static async Task<bool> ServesAsync(Site site, string version) =>
        (await site.Control.GetDeviceAsync(Device)).Models.Single() is { Settled: true } model && model.Serving?.ToString() == version;

    static async Task PublishAsync(Site site, string version)
    {
        await File.WriteAllTextAsync(site.PathOf("model.bin"), $"weights of {Bearing} {version}");
        await site.PublishAsync("plant/bearing", version, site.PathOf("model.bin"));
    }

    static async Task<string> RunAsync(Site site, string script)
    {
        var start = new ProcessStartInfo("bash", ["-euo", "pipefail", "-c", $"( {script}\n) 2>&1"]) { WorkingDirectory = site.Folder, RedirectStandardOutput = true };
        foreach (var (name, value) in site.Environment())
            start.Environment[name] = value;
        start.Environment["PATH"] = Path.GetDirectoryName(Site.Program) + Path.PathSeparator + Environment.GetEnvironmentVariable("PATH");
        using var process = Process.Start(start)!;
        var output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.True(process.ExitCode == 0, $"{script}\nended with {process.ExitCode}: {output}");
        return output;
    }
}
