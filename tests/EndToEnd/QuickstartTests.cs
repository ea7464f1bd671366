using System.Diagnostics;
using System.Text;

namespace Coppice.EndToEnd;

public sealed class QuickstartTests
{
    [Fact]
    public async Task The_quickstart_shows_everything_it_promises_and_leaves_nothing_behind()
    {
        var home = Directory.CreateTempSubdirectory("coppice-home-").FullName;
        try
        {
            var start = new ProcessStartInfo(Site.Program, ["quickstart"])
            {
                RedirectStandardOutput = true,
                RedirectStandardError = true,
                StandardOutputEncoding = Encoding.UTF8,
                Environment = { ["HOME"] = home, ["TMPDIR"] = home, ["XDG_CONFIG_HOME"] = null },
            };
            using var process = Process.Start(start)!;
            var errors = process.StandardError.ReadToEndAsync();
            var told = await process.StandardOutput.ReadToEndAsync();
            await process.WaitForExitAsync();

            Assert.True(process.ExitCode == 0, $"ended with {process.ExitCode}: {await errors}\n{told}");
            foreach (var seen in new[] { "1.0.0 arrived on 6 of 6", "1.1.0 went to a canary phase and then to all 6", "1.2.0 was refused by", "killed in the middle of the update, came back serving 1.1.0" })
                Assert.Contains(seen, told, StringComparison.Ordinal);
            Assert.Empty(Directory.EnumerateDirectories(home, "coppice-quickstart-*"));
        }
        finally
        {
            Directory.Delete(home, recursive: true);
        }
    }

    [Fact]
    public async Task A_folder_that_is_not_empty_is_refused()
    {
        await using var process = Cli.Quickstart.ChildProcess.Start(Site.Program, new Dictionary<string, string>(), "quickstart", "--dir", AppContext.BaseDirectory);

        Assert.Equal(2, await process.ExitAsync(CancellationToken.None));
        Assert.Contains("is not empty", process.Errors, StringComparison.Ordinal);
    }
}
