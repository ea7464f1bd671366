using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using Coppice.Rollouts;

namespace Coppice.EndToEnd;

/// <summary>Devices with little memory and little disk.</summary>
public sealed class SmallDeviceTests
{
    const long Mega = 1 << 20;

    /// <summary>Of an agent without models.</summary>
    const long Idle = 70;

    /// <summary>Above that, to fetch and verify a file of any length.</summary>
    const long Fetching = 32;

    [Fact]
    public async Task An_agent_stays_within_its_memory_also_while_it_takes_a_file_of_a_gigabyte()
    {
        await using var site = await Site.StartAsync();
        var agent = site.StartAgent("small", "--model", "demo/big");
        await agent.EventAsync(told => told.GetProperty("kind").GetString() == "kept", "poll once", Site.Patience, CancellationToken.None);
        var idle = Resident(agent.Id);
        Assert.True(idle <= Idle * Mega, $"an agent without models takes {idle / Mega} MB; {Idle} are allowed");

        await using (var file = File.Create(site.PathOf("big.bin")))
        {
            file.SetLength(1L << 30);
            file.Write(RandomNumberGenerator.GetBytes(64)); // opaque to every reader
        }

        await site.PublishAsync("demo/big", "1.0.0", site.PathOf("big.bin"));
        var rollout = await site.RollOutAsync("demo/big", "1.0.0");
        var peak = 0L;
        await Site.UntilAsync(async () =>
        {
            peak = Math.Max(peak, Resident(agent.Id));
            return (await site.Control.GetRolloutAsync(rollout.Id)).Rollout.State == RolloutState.Complete;
        }, "a gigabyte fetched, verified and settled");
        peak = Math.Max(peak, Peak(agent.Id));

        Console.WriteLine($"{idle / Mega} MB idle, {(peak - idle) / Mega} MB more at the peak");
        // Of the two together: what an agent needs for its first update at all, code and libraries, it may load when it is idle or later.
        Assert.True(peak <= (Idle + Fetching) * Mega, $"fetching and verifying took {(peak - idle) / Mega} MB above {idle / Mega}; {Idle + Fetching} are allowed");
    }

    [Fact]
    public async Task A_full_disk_stops_an_update_with_a_reason_and_loses_nothing()
    {
        if (!OperatingSystem.IsLinux() || Environment.UserName != "root")
        {
            Assert.False(Environment.GetEnvironmentVariable("CI") == "true", "a build server runs this test as root: it mounts a small disk");
            Console.WriteLine("NOT RUN: mounting a small disk needs root.");
            return;
        }

        await using var site = await Site.StartAsync();
        var disk = Directory.CreateDirectory(site.PathOf("disk")).FullName;
        await SystemAsync("mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", disk);
        try
        {
            await PublishRandomAsync(site, "1.0.0", 2 << 20);
            await PublishRandomAsync(site, "2.0.0", 5 << 20);
            var agent = site.StartAgentAt("small", disk, "--model", "demo/blob");
            await site.CompleteAsync((await site.RollOutAsync("demo/blob", "1.0.0")).Id);

            var ballast = Path.Combine(disk, "ballast");
            await File.WriteAllBytesAsync(ballast, new byte[4 << 20]);
            var rollout = await site.RollOutAsync("demo/blob", "2.0.0");
            await agent.EventAsync(
                told => told.GetProperty("kind").GetString() is "unfit" or "trouble" && told.GetProperty("text").GetString()!.Contains("disk", StringComparison.OrdinalIgnoreCase),
                "say that the disk is too small", Site.Patience, CancellationToken.None);
            Assert.False(agent.HasExited);
            var status = await site.StatusAsync(disk);
            Assert.Equal("1.0.0", status.GetProperty("models")[0].GetProperty("release").GetString());

            File.Delete(ballast);
            await site.CompleteAsync(rollout.Id);
        }
        finally
        {
            await site.Agent("small").KillAsync();
            await SystemAsync("umount", disk);
        }
    }

    static async Task PublishRandomAsync(Site site, string version, int bytes)
    {
        var file = site.PathOf($"{version}.bin");
        await File.WriteAllBytesAsync(file, RandomNumberGenerator.GetBytes(bytes));
        await site.PublishAsync("demo/blob", version, file);
    }

    static long Resident(int process) => Field(process, "VmRSS:");

    static long Peak(int process) => Field(process, "VmHWM:");

    static long Field(int process, string name) =>
        1024 * File.ReadLines($"/proc/{process}/status").Where(line => line.StartsWith(name, StringComparison.Ordinal))
            .Select(line => long.Parse(line[name.Length..].Replace("kB", "", StringComparison.Ordinal), CultureInfo.InvariantCulture)).Single();

    static async Task SystemAsync(string program, params string[] arguments)
    {
        using var process = Process.Start(program, arguments);
        await process.WaitForExitAsync();
        Assert.True(process.ExitCode == 0, $"{program} {string.Join(' ', arguments)} ended with {process.ExitCode}");
    }
}
