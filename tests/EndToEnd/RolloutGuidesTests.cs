using System.Collections.Immutable;
using System.Diagnostics;
using System.Text.RegularExpressions;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Rollouts;
using Coppice.Tests;

namespace Coppice.EndToEnd;

/// <summary>docs/guides/first-rollout.md, canary.md and ab-test.md as they are written: every plan is started and every command run, in order, against a real server and a real device.</summary>
/// <remarks>
/// Changed are only ids of rollouts, paths, the numbers of versions that a page has used up, the size of rehearsed fleets, and what depends on the hour of the day: maintenance windows and
/// <c>spread</c> are left out of what a device has to follow here.
/// </remarks>
public sealed partial class RolloutGuidesTests : IAsyncLifetime
{
    const string Device = "till-1";

    static readonly ModelName Bearing = ModelName.Parse("plant/bearing");

    Site site = null!;

    public async Task InitializeAsync()
    {
        if (OperatingSystem.IsWindows())
            return; // the pages are for a POSIX shell
        site = await Site.StartAsync();
        foreach (var version in (string[])["1.3.0", "1.4.0", "1.4.1", "1.4.2", "1.5.0"])
            await PublishAsync("plant/bearing", version);
        await PublishAsync("plant/embedder", "1.2.0");
        site.StartAgent(Device, "--model", "plant/bearing", "--model", "plant/embedder", "--check-in", "1s");
        await site.CompleteAsync((await site.RollOutAsync("plant/embedder", "1.2.0")).Id);
        await site.CompleteAsync((await site.RollOutAsync("plant/bearing", "1.3.0")).Id);
        await site.Control.LabelDeviceAsync(Device, ImmutableDictionary<string, string>.Empty.Add("site", "lab"));
    }

    public async Task DisposeAsync()
    {
        if (site is not null)
            await site.DisposeAsync();
    }

    async Task PublishAsync(string model, string version)
    {
        await File.WriteAllTextAsync(site.PathOf("model.bin"), $"weights of {model} {version}");
        await site.PublishAsync(model, version, site.PathOf("model.bin"));
    }

    /// <summary>A page's plans and commands in its order: lines of blocks, and cells of tables.</summary>
    static List<(bool IsPlan, string Text)> Page(string name) =>
        [.. Part().Matches(File.ReadAllText(Path.Combine(RepositoryRoot.Path, "docs", "guides", name))).Select(found => found.Groups[1].Success ? (true, found.Groups[1].Value) : (false, found.Groups[2].Success ? found.Groups[2].Value : found.Groups[3].Value))];

    [GeneratedRegex(@"```yaml\n(.*?)```|^(coppice [^\n]*)$|(?<=^\|[^\n]*)`(coppice [^`\n]*)`(?=[^\n]*\|)", RegexOptions.Multiline | RegexOptions.Singleline)]
    private static partial Regex Part();

    [Fact]
    public async Task Every_plan_and_command_of_the_guides_to_rollouts_does_what_the_pages_say()
    {
        if (OperatingSystem.IsWindows())
            return;
        await FirstRolloutAsync();
        await CanaryAsync();
        await ExperimentAsync();
    }

    async Task FirstRolloutAsync()
    {
        var page = Page("first-rollout.md");
        var plans = page.Where(part => part.IsPlan).Select(part => part.Text).ToArray();
        var id = "";
        foreach (var line in page.Where(part => !part.IsPlan).Select(part => part.Text))
        {
            switch (line)
            {
                case var plan when plan.StartsWith("coppice rollout plan ", StringComparison.Ordinal):
                    static IEnumerable<string> Said(string yaml) => yaml.Split('\n').Where(text => text.Length > 0 && text[0] != '#');
                    Assert.Equal(Said(plans[0]), Said(await RunAsync(plan)));
                    await File.WriteAllTextAsync(site.PathOf("plan.yaml"), plans[0]);
                    break;
                case var start when start.StartsWith("coppice rollout start ", StringComparison.Ordinal):
                    await RunAsync(start);
                    id = (await site.Control.ListRolloutsAsync()).Rollouts[0].Id;
                    Assert.Equal(RolloutState.Running, (await StateAsync(id)).State);
                    break;
                case "coppice rollout watch r-7":
                    await FirstLineAsync(line.Replace("r-7", id, StringComparison.Ordinal));
                    break;
                case "coppice rollout why r-7":
                    Assert.Contains("now: wait. ", await RunAsync(line.Replace("r-7", id, StringComparison.Ordinal)), StringComparison.Ordinal);
                    break;
                case var agent when agent.StartsWith("coppice agent consent", StringComparison.Ordinal):
                    await ConsentAsync(agent.Replace("/var/lib/coppice-agent", site.PathOf(Device), StringComparison.Ordinal), plans[1]);
                    break;
                case var publish when publish.StartsWith("coppice publish ", StringComparison.Ordinal):
                    await File.WriteAllTextAsync(site.PathOf("rag.pack"), "what is to be found");
                    await RunAsync(publish);
                    Assert.Contains("plant/rag 2.0.0 needs plant/embedder >=2.0.0 <3.0.0, and of plant/embedder there are 1.2.0", await RunAsync("coppice rollout start plant/rag 2.0.0 2>&1", fails: true), StringComparison.Ordinal);
                    break;
                default: // rehearse, list, show, and the orders of the table
                    await RunAsync(line.Replace("r-7", id, StringComparison.Ordinal));
                    if (Orders.TryGetValue(line.Split(' ')[2], out var state))
                        Assert.Equal(state, await StateAsync(id) is var now ? (now.State, now.Phase, now.Attempt) : default);
                    break;
            }
        }

        Assert.NotNull((await site.Control.GetReleaseAsync(Bearing, SemanticVersion.Parse("1.4.0"))).Release.Revoked);
        Assert.True(File.Exists(site.PathOf("rehearsal.html")));
    }

    /// <summary>What each order of the table leaves the first rollout in.</summary>
    static readonly Dictionary<string, (RolloutState, int, int)> Orders = new(StringComparer.Ordinal)
    {
        ["pause"] = (RolloutState.Held, 0, 1),
        ["retry"] = (RolloutState.Running, 0, 2),
        ["skip"] = (RolloutState.Running, 1, 2),
        ["abort"] = (RolloutState.Aborted, 1, 2),
        ["revert"] = (RolloutState.Reverted, 1, 2),
    };

    async Task ConsentAsync(string line, string plan)
    {
        if (line.EndsWith("--no", StringComparison.Ordinal))
        {
            Assert.Contains("nothing is asked about plant/bearing", await RunAsync(line + " 2>&1", fails: true), StringComparison.Ordinal);
            return;
        }

        await File.WriteAllLinesAsync(site.PathOf("terms.yaml"), plan.Replace("1.4.0", "1.4.1", StringComparison.Ordinal).Replace("2027-01-15", "2127-01-15", StringComparison.Ordinal)
            .Split('\n').Where(text => !text.StartsWith("windows:", StringComparison.Ordinal) && !text.StartsWith("spread:", StringComparison.Ordinal)));
        await RunAsync("coppice rollout start -f terms.yaml");
        await site.Agent(Device).EventAsync(told => told.GetRawText().Contains("May the line stop for a minute?", StringComparison.Ordinal), "ask its user", Site.Patience, CancellationToken.None);
        Assert.Contains("yes to 1.4.1", await RunAsync(line), StringComparison.Ordinal);
        await ServesAsync("1.4.1");
        var running = (await site.Control.ListRolloutsAsync()).Rollouts[0];
        await site.Control.AdvanceAsync(running.Id, running.Phases.Length, "everybody has it");
    }

    async Task CanaryAsync()
    {
        var page = Page("canary.md");
        await File.WriteAllLinesAsync(site.PathOf("canary.yaml"), page.Single(part => part.IsPlan).Text.Replace("1.4.0", "1.4.2", StringComparison.Ordinal)
            .Split('\n').Where(text => !text.StartsWith("spread:", StringComparison.Ordinal)));
        var id = "";
        foreach (var line in page.Where(part => !part.IsPlan).Select(part => part.Text.Replace("r-8", id, StringComparison.Ordinal)))
        {
            switch (line.Split(' ')[..3])
            {
                case ["coppice", "rehearse", _]:
                    var bad = line.Contains("--runs 0", StringComparison.Ordinal); // the page fears those, and asks no more of them
                    var said = await RunAsync(line.Replace("--devices 100000", "--devices 20000", StringComparison.Ordinal) + (bad ? "" : " --runs 0"));
                    Assert.Contains(!bad ? "complete" : line.Contains("crashed=3%", StringComparison.Ordinal) ? "an operator decides" : "reverted", said, StringComparison.Ordinal);
                    break;
                case [_, _, "start"]:
                    await RunAsync(line);
                    id = (await site.Control.ListRolloutsAsync()).Rollouts[0].Id;
                    await ServesAsync("1.4.2"); // it is of the lab
                    break;
                case [_, _, "check"]:
                    await RunAsync(line.Replace("r-8", id, StringComparison.Ordinal));
                    Assert.Equal(GateStanding.Good, (await StateAsync(id)).Gates.Single(gate => gate.Gate == "check bench").Standing);
                    break;
                default:
                    Assert.Contains("check bench", await RunAsync(line.Replace("r-8", id, StringComparison.Ordinal)), StringComparison.Ordinal);
                    break;
            }
        }

        await site.Control.AbortAsync(id, "the next page");
    }

    async Task ExperimentAsync()
    {
        var page = Page("ab-test.md");
        var plans = page.Where(part => part.IsPlan).Select(part => part.Text).ToArray();
        await File.WriteAllTextAsync(site.PathOf("ab.yaml"), plans[0].Replace("1.4.0", "1.4.1", StringComparison.Ordinal));
        await File.WriteAllTextAsync(site.PathOf("shadow.yaml"), plans[1]);
        var id = "";
        foreach (var line in page.Where(part => !part.IsPlan).Select(part => part.Text))
        {
            var said = await RunAsync(line.Replace("r-10", id, StringComparison.Ordinal).Replace("r-9", id, StringComparison.Ordinal));
            switch (line.Split(' ')[2])
            {
                case "start":
                    id = (await site.Control.ListRolloutsAsync()).Rollouts[0].Id;
                    break;
                case "show":
                    Assert.Contains("cannot tell yet: each arm needs 30 devices that report accuracy", said, StringComparison.Ordinal);
                    Assert.Equal(line.Contains("r-10", StringComparison.Ordinal), said.Contains("b (shadow)", StringComparison.Ordinal));
                    break;
                case "promote":
                    Assert.Equal(("1.5.0", null), await StateAsync(id) is var promoted ? (promoted.Release.ToString(), promoted.Experiment) : default);
                    break;
                default:
                    Assert.Equal(RolloutState.Reverted, (await StateAsync(id)).State);
                    break;
            }
        }
    }

    async Task<RolloutView> StateAsync(string id) => (await site.Control.GetRolloutAsync(id)).Rollout;

    Task ServesAsync(string version) => Site.UntilAsync(
        async () => (await site.Control.GetDeviceAsync(Device)).Models.Any(model => model.Model == Bearing && model.Serving?.ToString() == version), $"{Device} serves {version}");

    /// <summary>Runs a line as a shell would, in the site's folder.</summary>
    async Task<string> RunAsync(string line, bool fails = false)
    {
        using var process = Start(line);
        var errors = process.StandardError.ReadToEndAsync();
        var said = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.True(process.ExitCode == 0 != fails, $"{line}\nended with {process.ExitCode}:\n{said}\n{await errors}");
        return said;
    }

    async Task FirstLineAsync(string line)
    {
        using var process = Start("exec " + line);
        Assert.NotNull(await process.StandardOutput.ReadLineAsync());
        process.Kill();
        await process.WaitForExitAsync();
    }

    Process Start(string line)
    {
        var start = new ProcessStartInfo("bash", ["-c", line]) { WorkingDirectory = site.Folder, RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var (name, value) in site.Environment())
            start.Environment[name] = value;
        start.Environment["PATH"] = Path.GetDirectoryName(Site.Program) + ":" + start.Environment["PATH"];
        return Process.Start(start)!;
    }
}
