using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.RegularExpressions;
using Coppice.Tests;

namespace Coppice.EndToEnd;

/// <summary>docs/guides/keys.md, command by command, with the real program in an empty folder.</summary>
public sealed partial class KeysGuideTests : IDisposable
{
    static readonly TimeSpan Patience = TimeSpan.FromMinutes(8);

    readonly string folder = Directory.CreateTempSubdirectory("coppice-keys-").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [GeneratedRegex("^```sh ?([a-z]*)\n(.*?)^```$", RegexOptions.Multiline | RegexOptions.Singleline)]
    private static partial Regex Block();

    [Fact]
    public async Task Every_command_of_the_guide_to_keys_does_what_the_page_says()
    {
        if (OperatingSystem.IsWindows())
            return; // the page is for a POSIX shell
        var page = await File.ReadAllTextAsync(Path.Combine(RepositoryRoot.Path, "docs", "guides", "keys.md"));
        var blocks = Block().Matches(page);
        Assert.True(blocks.Count >= 15, $"only {blocks.Count} command blocks");
        var hasToken = File.Exists("/usr/lib/softhsm/libsofthsm2.so");
        Assert.True(hasToken || Environment.GetEnvironmentVariable("CI") != "true", "softhsm2 is missing; ./test installs it");

        var script = new StringBuilder("set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT\n");
        foreach (Match block in blocks)
        {
            var commands = block.Groups[2].Value;
            script.Append($"echo '== {commands.Split('\n')[0].Replace("'", "", StringComparison.Ordinal)}' >&2\n");
            script.Append(block.Groups[1].Value switch
            {
                // Left running, as the page says; the next block needs it.
                "server" => commands.TrimEnd() + " --log Warning >server.log 2>&1 </dev/null &\nfor i in $(seq 600); do grep -q 'Coppice serves' server.log && break; sleep 0.1; done\n",
                "token" => hasToken ? commands : "",
                _ => commands,
            });
        }

        // What holds only at the end: who is left, and that the old server key is gone.
        script.Append("coppice root show --json > end.json\n");
        var (exit, output) = await RunAsync(script.ToString().Replace("8420", FreePort().ToString(System.Globalization.CultureInfo.InvariantCulture), StringComparison.Ordinal));
        Assert.True(exit == 0, output);

        var end = await File.ReadAllTextAsync(Path.Combine(folder, "end.json"));
        foreach (var there in (string[])["root-alice", "root-bob", "root-dora", "release-cleo", "release-emil", "release-fay", "vision-vera", "online-2"])
            Assert.Contains($"\"{there}\"", end);
        foreach (var gone in (string[])["root-carol", "release-ann", "release-ben", "\"name\":\"online\""])
            Assert.DoesNotContain(gone, end);
        Assert.Equal(hasToken, end.Contains("root-gail", StringComparison.Ordinal));
        Assert.Contains("Signatures:", output);
        Assert.Contains("- root loses the key 'root-carol'", output);
        if (!OperatingSystem.IsWindows())
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Path.Combine(folder, "alice", "root-alice.pem")));
        Assert.Contains("BEGIN ENCRYPTED PRIVATE KEY", await File.ReadAllTextAsync(Path.Combine(folder, "alice", "root-alice.pem")));
    }

    [Fact]
    public async Task One_signature_of_two_puts_nothing_in_force_and_a_refusal_leaves_everything_as_it_was()
    {
        if (OperatingSystem.IsWindows())
            return;
        var (exit, output) = await RunAsync("""
            set -euo pipefail
            fails() { if "$@" > said 2>&1; then echo "this should have failed: $*"; exit 9; fi; cat said; }
            for key in a b c online; do coppice key create $key.pem $( [ $key = online ] && echo --no-password ); done
            coppice root create r.json --root-key a.pub b.pub c.pub --root-threshold 2 --release-key b.pub --online-key online.pub
            coppice sign r.json --key a.pem --yes
            fails coppice root apply r.json --repo tree --keys online.pem
            grep -q 'Signatures are missing' said; test ! -e tree/metadata
            fails coppice sign r.json --key online.pem --yes
            grep -q 'counts for nothing' said
            echo no | fails coppice sign r.json --key b.pem
            coppice sign r.json --key b.pem --yes
            coppice root apply r.json --repo tree --keys online.pem
            coppice root apply r.json --repo tree --keys online.pem | grep -q 'already'
            fails coppice root change x.json --repo tree --add releases=online.pub
            grep -q 'also an online key' said; test ! -e x.json
            fails coppice key create a.pem
            fails coppice publish plant/bearing 1.0.0 model.bin --repo tree --keys online.pem
            COPPICE_KEY_PASSWORD=wrong fails coppice sign r.json --key a.pem --yes
            coppice key list . --repo tree
            coppice repository status tree --json | grep -q '"warnings":\[\]'
            """);
        Assert.True(exit == 0, output);
    }

    async Task<(int Exit, string Output)> RunAsync(string script)
    {
        await File.WriteAllTextAsync(Path.Combine(folder, "model.bin"), "weights");
        await File.WriteAllTextAsync(Path.Combine(folder, "script"), script);
        Directory.CreateDirectory(Path.Combine(folder, "alice"));
        await File.WriteAllTextAsync(Path.Combine(folder, "alice", "new-password"), "another one\n");
        var tokens = Directory.CreateDirectory(Path.Combine(folder, "tokens")).FullName;
        await File.WriteAllTextAsync(Path.Combine(folder, "softhsm2.conf"), $"directories.tokendir = {tokens}\n");
        var start = new ProcessStartInfo("bash") { WorkingDirectory = folder, RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        start.ArgumentList.Add("-c");
        start.ArgumentList.Add("yes yes 2>/dev/null | bash script 2>&1"); // who reads the page answers the questions
        start.Environment["PATH"] = Path.GetDirectoryName(Site.Program) + ":" + Environment.GetEnvironmentVariable("PATH");
        start.Environment["COPPICE_KEY_PASSWORD"] = "correct horse";
        start.Environment["COPPICE_KEY_PIN"] = "1234";
        start.Environment["SOFTHSM2_CONF"] = Path.Combine(folder, "softhsm2.conf");
        start.Environment["XDG_CONFIG_HOME"] = Path.Combine(folder, "config");
        foreach (var ambient in (string[])["COPPICE_SERVER", "COPPICE_TOKEN", "COPPICE_KEYS"])
            start.Environment.Remove(ambient);
        using var process = Process.Start(start)!;
        process.StandardInput.Close();
        using var late = new CancellationTokenSource(Patience);
        var (output, errors) = (process.StandardOutput.ReadToEndAsync(late.Token), process.StandardError.ReadToEndAsync(late.Token));
        try
        {
            await process.WaitForExitAsync(late.Token);
            return (process.ExitCode, await output + await errors);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw new TimeoutException($"not done within {Patience}");
        }
    }

    static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
