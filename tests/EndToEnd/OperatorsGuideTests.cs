using System.Diagnostics;
using System.Text.RegularExpressions;
using Coppice.Cli.Quickstart;
using Coppice.Tests;

namespace Coppice.EndToEnd;

/// <summary>docs/guides/operators.md, command by command as it is written, against a real server, identity provider, mail server and receiver of webhooks.</summary>
public sealed partial class OperatorsGuideTests : IAsyncLifetime
{
    readonly string folder = Directory.CreateTempSubdirectory("coppice-guide-").FullName;
    Peer provider = null!;
    Peer mail = null!;
    Peer receiver = null!;
    ChildProcess server = null!;
    string url = "";

    public async Task InitializeAsync()
    {
        provider = await Peer.StartAsync("identity-provider.mjs");
        mail = await Peer.StartAsync("mail-server.mjs");
        receiver = await Peer.StartAsync("webhook-receiver.mjs");
        var oidc = Guide().First(block => block.Language == "json").Text
            .Replace("https://id.example.org/realms/plant", provider.Ready.GetProperty("url").GetString(), StringComparison.Ordinal)
            .Replace("vision/*", "*", StringComparison.Ordinal).Replace("ml-ops", "ops", StringComparison.Ordinal);
        await File.WriteAllTextAsync(In("oidc.json"), oidc);
        await File.WriteAllTextAsync(In("smtp.url"), $"smtp://coppice:p%40ss%20word@127.0.0.1:{mail.Ready.GetProperty("port").GetInt32()}\n");
        server = ChildProcess.Start(Site.Program, Variables(), "serve", "--data", In("coppice-data"), "--listen", "http://127.0.0.1:0", "--oidc", In("oidc.json"), "--smtp", "@" + In("smtp.url"), "--mail-from", "coppice@example.org", "--log", "Error", "--json");
        url = (await server.EventAsync(told => told.TryGetProperty("url", out _), "serve", Site.Patience, CancellationToken.None)).GetProperty("url").GetString()!;
        await File.WriteAllTextAsync(In("model.bin"), "weights");
        await RunAsync("coppice publish plant/bearing 1.4.0 model.bin", exit: 0, Admin());
    }

    public async Task DisposeAsync()
    {
        await server.DisposeAsync();
        await provider.DisposeAsync();
        await mail.DisposeAsync();
        await receiver.DisposeAsync();
        Directory.Delete(folder, recursive: true);
    }

    string In(params string[] parts) => Path.Combine([folder, .. parts]);

    static IEnumerable<(string Language, string Text)> Guide() => Block().Matches(File.ReadAllText(Path.Combine(RepositoryRoot.Path, "docs", "guides", "operators.md")))
        .Select(block => (block.Groups[1].Value, block.Groups[2].Value));

    [GeneratedRegex("```([a-z]*)\n(.*?)```", RegexOptions.Singleline)]
    private static partial Regex Block();

    [Fact]
    public async Task Every_command_of_the_guide_does_what_the_guide_says()
    {
        var run = 0;
        foreach (var line in Guide().Where(block => block.Language.Length == 0).SelectMany(block => block.Text.Split('\n')).Where(line => line.StartsWith("coppice ", StringComparison.Ordinal)))
        {
            run++;
            switch (line)
            {
                case "coppice serve --oidc oidc.json":
                    break; // it runs so
                case "coppice login":
                    await LoginAsync("ops-alice");
                    break;
                case "coppice operator me":
                    Assert.Contains("oidc:ops-alice@example.org", await RunAsync(line, 0, Person()));
                    break;
                case "coppice logout":
                    await RunAsync(line, 0, Person());
                    Assert.False(Directory.EnumerateFiles(In("config", "coppice", "sign-ins")).Any());
                    break;
                case "coppice event watch":
                    await WatchAsync();
                    break;
                case var start when start.StartsWith("coppice rollout start", StringComparison.Ordinal):
                    Assert.Contains("awaits approval", await RunAsync(start, 3, Admin()));
                    break;
                case var approve when approve.StartsWith("coppice rollout approve", StringComparison.Ordinal):
                    Assert.Contains("own-approval", await RunAsync(approve + " --json 2>&1 || coppice audit list", 0, Admin())); // refused, and in the log
                    await LoginAsync("ops-alice");
                    Assert.Contains("and done (r-1)", await RunAsync(approve, 0, Person()));
                    break;
                case var reject when reject.StartsWith("coppice rollout reject", StringComparison.Ordinal):
                    await RunAsync("coppice rollout advance r-1 --why faster", 3, Admin());
                    Assert.Contains("rejected by oidc:ops-alice", await RunAsync(reject, 0, Person()));
                    break;
                default:
                    await RunAsync(line.Replace("https://ops.example.org/coppice", receiver.Ready.GetProperty("url").GetString(), StringComparison.Ordinal)
                        .Replace("TOKEN-ID", await TokenIdAsync(line), StringComparison.Ordinal), 0, Admin());
                    break;
            }
        }

        Assert.InRange(run, 30, 80);
        Assert.Contains("vouches for all of them", await RunAsync("coppice audit verify audit.jsonl --key audit.pub", 0, Admin()));
        await TamperedAsync();
        await VerifiedByTheFormatsOwnProgramAsync();
        Assert.Contains("by admin", await UntilMailAsync("Policy changed"));
        Assert.Contains("rollout", await RunAsync("coppice '[suggest:11]' 'coppice rol'", 0, Admin()));
        await RunAsync("coppice completion bash | bash -n", 0, Admin());
    }

    /// <summary>What a person does: runs the command, opens the address that it shows, logs in there.</summary>
    async Task LoginAsync(string login)
    {
        using var process = Start("coppice login", Person());
        using var person = new WebPerson(login);
        while (await process.StandardError.ReadLineAsync() is { } line)
        {
            if (Regex.Match(line, @"or open (\S+)") is { Success: true } shown)
                await person.GoAsync(shown.Groups[1].Value);
        }

        var said = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.Equal(0, process.ExitCode);
        Assert.Contains($"as oidc:{login}@example.org", said);
        if (!OperatingSystem.IsWindows())
        {
            var file = Assert.Single(Directory.EnumerateFiles(In("config", "coppice", "sign-ins")));
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(file));
        }
    }

    async Task WatchAsync()
    {
        using var process = Start("exec coppice event watch --after 0", Admin());
        Assert.StartsWith("1  ", await process.StandardOutput.ReadLineAsync());
        process.Kill();
        await process.WaitForExitAsync();
    }

    async Task<string> TokenIdAsync(string line) => line.Contains("TOKEN-ID", StringComparison.Ordinal)
        ? Regex.Match(await RunAsync("coppice token list", 0, Admin()), @"^(\w{10})  alice", RegexOptions.Multiline).Groups[1].Value
        : "";

    async Task TamperedAsync()
    {
        var lines = await File.ReadAllLinesAsync(In("audit.jsonl"));
        await File.WriteAllLinesAsync(In("edited.jsonl"), lines.Select(line => line.Replace("\"by\":\"admin\"", "\"by\":\"nobody\"", StringComparison.Ordinal)));
        Assert.Contains("was changed", await RunAsync("coppice audit verify edited.jsonl --key audit.pub 2>&1", 1, Admin()));
        await File.WriteAllLinesAsync(In("cut.jsonl"), lines.Take(4));
        Assert.Contains("was cut off", await RunAsync("coppice audit verify cut.jsonl --key audit.pub --checkpoint checkpoint.json 2>&1", 1, Admin()));
        await File.WriteAllTextAsync(In("noise.jsonl"), "{\"entry\":{}}\n\u0000\n[]\nnull\n");
        Assert.Contains("line 4", await RunAsync("coppice audit verify noise.jsonl --key audit.pub 2>&1", 1, Admin()));
    }

    async Task VerifiedByTheFormatsOwnProgramAsync()
    {
        var format = await File.ReadAllTextAsync(Path.Combine(RepositoryRoot.Path, "docs", "formats", "audit.md"));
        await File.WriteAllTextAsync(In("verify.mjs"), Block().Matches(format).Single(block => block.Groups[1].Value == "js").Groups[2].Value);
        Assert.Contains("entries are chained", await RunAsync("node verify.mjs audit.jsonl", 0, Admin()));
        await RunAsync("node verify.mjs edited.jsonl", 1, Admin());
    }

    async Task<string> UntilMailAsync(string subject)
    {
        await RunAsync("coppice webhook create mailto:all@example.org --kind policyChanged && coppice policy set 'plant/*' --approvals 2 --why 'three'", 0, Admin());
        while (true)
        {
            var text = (await mail.NextAsync()).GetProperty("text").GetString()!;
            if (text.Contains(subject, StringComparison.Ordinal))
                return text;
        }
    }

    async Task<string> RunAsync(string line, int exit, Dictionary<string, string?> variables)
    {
        using var process = Start(line, variables);
        var errors = process.StandardError.ReadToEndAsync();
        var said = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.True(process.ExitCode == exit, $"{line}\nended with {process.ExitCode}, not {exit}:\n{said}\n{await errors}");
        return said + await errors;
    }

    Process Start(string line, Dictionary<string, string?> variables)
    {
        var start = new ProcessStartInfo("bash", ["-c", line]) { WorkingDirectory = folder, RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var (name, value) in variables)
            start.Environment[name] = value;
        start.Environment["PATH"] = Path.GetDirectoryName(Site.Program) + ":" + start.Environment["PATH"];
        return Process.Start(start)!;
    }

    Dictionary<string, string> Variables() => new() { ["XDG_CONFIG_HOME"] = In("config"), ["COPPICE_KEYS"] = In("coppice-data", "keys", "offline") };

    Dictionary<string, string?> Admin() => new(Variables().Select(variable => KeyValuePair.Create(variable.Key, (string?)variable.Value))) { ["COPPICE_SERVER"] = url, ["COPPICE_TOKEN"] = "@coppice-data/admin.token" };

    Dictionary<string, string?> Person() => new(Admin()) { ["COPPICE_TOKEN"] = null };
}
