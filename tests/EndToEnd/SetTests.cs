using System.CommandLine;
using System.Diagnostics;
using System.Runtime.Versioning;
using System.Text.Json;
using System.Text.RegularExpressions;
using Coppice.Cli;
using Coppice.Formats;
using Coppice.Graph;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Rollouts;
using Coppice.Tests;

namespace Coppice.EndToEnd;

/// <summary>Three small ONNX models that a rollout brings as one, to a real agent that is killed at the worst moments.</summary>
public sealed partial class SetTests
{
    static readonly string[] Models = ["plant/rag", "plant/embedder", "plant/llm"];

    /// <summary>y = w · x; the larger of two elements wins.</summary>
    static byte[] Scale(params float[] weights)
    {
        var graph = new GraphBuilder("scale");
        var x = graph.Input(new("x", ElementType.Float32, ["batch", weights.Length]));
        graph.Output(graph.Node("Mul", [x, graph.Constant("w", weights, weights.Length)]), "y", ElementType.Float32, "batch", weights.Length);
        return OnnxWriter.ToBytes(new OnnxModel(graph.ToGraph(), [new("", 17)]));
    }

    [GeneratedRegex(@"^coppice (rollout start [^\n]*--with [^\n]*)$", RegexOptions.Multiline)]
    private static partial Regex StartLine();

    [GeneratedRegex(@"""([^""]*)""|(\S+)")]
    private static partial Regex Word();

    [Fact]
    public async Task A_device_has_all_or_none_of_a_set_whatever_ends_its_process_and_whichever_model_is_bad()
    {
        if (OperatingSystem.IsWindows())
            return; // the moment is held by a FIFO
        await using var site = await Site.StartAsync();
        await PublishAsync(site, "plant/rag", "1.0.0", 1);
        await PublishAsync(site, "plant/embedder", "1.0.0", 2);
        await PublishAsync(site, "plant/llm", "1.0.0", 3);
        await PublishAsync(site, "plant/rag", "2.0.0", 4);
        await PublishAsync(site, "plant/embedder", "2.0.0", 5);
        var held = await PublishAsync(site, "plant/llm", "2.0.0", 6);
        await File.WriteAllTextAsync(site.PathOf("eval.jsonl"), """{"inputs": {"x": [[1, 2]]}, "label": 1}""");
        await File.WriteAllTextAsync(site.PathOf("own.jsonl"), """{"inputs": {"x": [[1, 2]]}, "label": 0}"""); // this device's data say otherwise
        await PublishAsync(site, "plant/llm", "3.0.0", 7, "--eval", site.PathOf("eval.jsonl"), "--min-accuracy", "90%");

        var first = await StartAsync(site, "1.0.0", "1.0.0", "1.0.0");
        StartAgent(site);
        await site.CompleteAsync(first);
        await ServesAsync(site, "1.0.0 1.0.0 1.0.0");
        await site.Agent("till-1").TerminateAsync(CancellationToken.None);

        await KilledBetweenDecisionAndExchangeAsync(site, held);

        // One model is of no use on this device: nothing of the set is taken, and the server hears once which one and why.
        var bad = await StartAsync(site, "1.0.0", "2.0.0", "3.0.0");
        await Site.UntilAsync(async () => (await site.Control.GetRolloutAsync(bad)).Rollout.State == RolloutState.Held, "the set held");
        var said = Assert.Single((await site.Control.GetRolloutAsync(bad)).Devices);
        Assert.Equal(ReportKind.Refused, said.Kind);
        Assert.StartsWith("plant/llm 3.0.0: ", said.Why, StringComparison.Ordinal);
        await ServesAsync(site, "2.0.0 2.0.0 2.0.0");
        Assert.Single((await site.Control.ListReportsAsync("till-1", limit: 500)).Reports, kept => kept.Report.Kind == ReportKind.Refused);
        await site.Control.RevertAsync(bad, "it does not read our forms");

        // The process is killed in probation: what has changed goes back, what came along stays.
        await site.Agent("till-1").TerminateAsync(CancellationToken.None);
        StartAgent(site, "--probation", "10m");
        var killed = await StartAsync(site, "1.0.0", "2.0.0", "1.0.0");
        await ServesAsync(site, "1.0.0 2.0.0 1.0.0", settled: false);
        await site.Agent("till-1").KillAsync();
        StartAgent(site);
        await ServesAsync(site, "2.0.0 2.0.0 2.0.0");
        await Site.UntilAsync(async () => (await site.Control.GetRolloutAsync(killed)).Devices is [{ Kind: ReportKind.TakenBack }], "the set taken back");
        Assert.Equal(1, (await site.Control.GetRolloutAsync(killed)).Rollout.Counts.TakenBack);
    }

    /// <summary>The command of the guide; the agent is killed after its decision is on the disk, and before any session is exchanged.</summary>
    [UnsupportedOSPlatform("windows")]
    static async Task KilledBetweenDecisionAndExchangeAsync(Site site, string held)
    {
        var line = StartLine().Match(await File.ReadAllTextAsync(Path.Combine(RepositoryRoot.Path, "docs", "guides", "sets.md"))).Groups[1].Value;
        var (exit, output, errors) = await site.OutputAsync([.. Word().Matches(line).Select(word => word.Groups[1].Success ? word.Groups[1].Value : word.Groups[2].Value)]);
        Assert.True(exit == 0, errors);
        Assert.Contains("plant/embedder 2.0.0, plant/llm 2.0.0; devices take all or none", output, StringComparison.Ordinal);

        File.Move(held, held + ".away"); // two models come to the switch and wait for the third
        StartAgent(site, "--poll", "10m");
        await Site.UntilAsync(async () => (await WhyAsync(site)).Count(why => why.Contains("waits for plant/llm", StringComparison.Ordinal)) == 2, "two models waiting for the third");
        var fifo = site.PathOf("till-1", "models", "plant", "embedder", "state.json.new");
        using (var made = Process.Start("mkfifo", [fifo]))
            await made.WaitForExitAsync();
        File.Move(held + ".away", held);

        // Whoever carries the decision out waits for a reader of the FIFO, and exchanges nothing before: this is the moment.
        await Site.UntilAsync(() => Task.FromResult(File.Exists(site.PathOf("till-1", "set.json"))), "the decision on the disk");
        Assert.Equal("1.0.0", ServingOf(site, "plant/embedder"));
        await site.Agent("till-1").KillAsync();
        File.Delete(fifo);

        StartAgent(site);
        await ServesAsync(site, "2.0.0 2.0.0 2.0.0");
        Assert.False(File.Exists(site.PathOf("till-1", "set.json")));
        var rollout = (await site.Control.ListRolloutsAsync()).Rollouts[0].Id;
        await Site.UntilAsync(async () => (await site.Control.GetRolloutAsync(rollout)).Rollout.Counts is { Settled: 1, Failures: 0 }, "the device settled"); // the kill is held against nobody
        await site.Control.AdvanceAsync(rollout, 1, "all have it");
    }

    static void StartAgent(Site site, params string[] more) =>
        site.StartAgent("till-1", [.. Models.SelectMany(model => (string[])["--model", model]), "--check-in", "1s", "--trial-data", $"plant/llm={site.PathOf("own.jsonl")}", .. more.Contains("--poll") ? more : ["--poll", "500ms", .. more]]);

    /// <summary>Publishes a model of its own weights; returns where the server keeps its file.</summary>
    static async Task<string> PublishAsync(Site site, string model, string version, float weight, params string[] more)
    {
        var bytes = Scale(weight, weight);
        await File.WriteAllBytesAsync(site.PathOf("model.onnx"), bytes);
        string[] line = ["publish", model, version, site.PathOf("model.onnx"), "--repo", site.Url.ToString(), "--keys", site.PathOf("server", "keys", "offline"), "--token", $"@{site.PathOf("server", "admin.token")}", .. more];
        var exit = await new RootCommand { Publish.Build() }.Parse(line, new ParserConfiguration { ResponseFileTokenReplacer = null }).InvokeAsync(); // in this process: a dozen of its own would cost more than the test
        Assert.Equal(0, exit);
        return site.PathOf("server", "repository", Coppice.Trust.RepositoryLayout.BlobFile(Coppice.Trust.Sha256Digest.Of(bytes)));
    }

    static async Task<string> StartAsync(Site site, string rag, string embedder, string llm) => (await site.Control.StartRolloutAsync(
        new(ModelName.Parse("plant/rag"), SemanticVersion.Parse(rag), [new Phase(1, TimeSpan.Zero)])
        {
            With = [new(ModelName.Parse("plant/embedder"), SemanticVersion.Parse(embedder)), new(ModelName.Parse("plant/llm"), SemanticVersion.Parse(llm))],
            Policy = new(0, PhaseAction.Hold),
        })).Id;

    /// <summary>Waits until the server knows that the device serves these, in the order of the models.</summary>
    static Task ServesAsync(Site site, string releases, bool settled = true) => Site.UntilAsync(async () =>
    {
        var device = (await site.Control.ListDevicesAsync()).Devices.Single();
        return string.Join(' ', Models.Select(model => device.Models.FirstOrDefault(known => known.Model.ToString() == model && (known.Settled || !settled))?.Serving?.ToString() ?? "-")) == releases;
    }, $"{releases} serving");

    /// <summary>What a model's own file says that serves.</summary>
    static string? ServingOf(Site site, string model)
    {
        using var state = JsonDocument.Parse(File.ReadAllBytes(site.PathOf(["till-1", "models", .. model.Split('/'), "state.json"])));
        return state.RootElement.GetProperty("serving").GetProperty("release").GetString();
    }

    static async Task<List<string>> WhyAsync(Site site)
    {
        if (!File.Exists(site.PathOf("till-1", "live.json")))
            return [];
        using var live = JsonDocument.Parse(await File.ReadAllBytesAsync(site.PathOf("till-1", "live.json")));
        return [.. live.RootElement.GetProperty("models").EnumerateObject().SelectMany(model => model.Value.GetProperty("why").EnumerateArray()).Select(why => why.GetString()!)];
    }
}
