using Coppice.Delta;
using Coppice.Formats;
using Coppice.Inference;
using Coppice.Trust;

namespace Coppice.Agent.Tests;

/// <summary>The whole agent on a real folder, with real signatures.</summary>
public sealed class CoppiceAgentTests : IDisposable
{
    readonly FolderShop shop = new();
    readonly string data = Directory.CreateTempSubdirectory("coppice-agent-").FullName;
    readonly TextRuntime runtime = new();
    readonly CancellationTokenSource late = new(TimeSpan.FromMinutes(4));

    public void Dispose()
    {
        shop.Dispose();
        late.Dispose();
        Directory.Delete(data, recursive: true);
    }

    AgentOptions Options => new()
    {
        Data = data,
        Models = ["plant/bearing"],
        Repository = shop.Folder,
        Root = shop.Root.ToString(),
        Runtimes = [runtime],
        Policy = new() { Poll = TimeSpan.FromMilliseconds(50), Retry = TimeSpan.FromMilliseconds(20), Probation = new() { Time = TimeSpan.FromMilliseconds(100) } },
    };

    /// <summary>An agent, and the end of waiting for an event of it.</summary>
    async Task<(CoppiceAgent Agent, Func<AgentEventKind, string, Task> Until)> OpenAsync(AgentOptions options)
    {
        var seen = new List<AgentEvent>();
        var waiting = new List<(Func<AgentEvent, bool> Wanted, TaskCompletionSource Came)>();
        void Take(AgentEvent happened)
        {
            lock (seen)
            {
                seen.Add(happened);
                foreach (var (wanted, came) in waiting)
                {
                    if (wanted(happened))
                        came.TrySetResult();
                }
            }
        }

        Task Until(AgentEventKind kind, string text)
        {
            bool Wanted(AgentEvent happened) => happened.Kind == kind && happened.Text.Contains(text, StringComparison.Ordinal);
            lock (seen)
            {
                if (seen.Any(Wanted))
                    return Task.CompletedTask;
                var came = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                waiting.Add((Wanted, came));
                return came.Task.WaitAsync(late.Token).ContinueWith(
                    task => task.IsCompletedSuccessfully ? task : throw new TimeoutException($"no {kind} '{text}' after: {string.Join(" | ", seen)}"), TaskScheduler.Default);
            }
        }

        return (await CoppiceAgent.OpenAsync(options with { OnEvent = Take }, late.Token), Until);
    }

    static float Ask(CoppiceAgent agent)
    {
        using var lease = agent.Model("plant/bearing").Lease();
        using var answer = lease.Run(Tensor.Of([0f], 1));
        return answer.Floats(0)[0];
    }

    [Fact]
    public async Task A_stick_is_a_server_and_what_it_brought_serves_without_it()
    {
        shop.Roll("1.0.0", TextRuntime.Model("1.0.0", "answer 1"));
        var (agent, until) = await OpenAsync(Options);
        await agent.WaitForModelAsync("plant/bearing", late.Token);
        Assert.Equal(1, Ask(agent));
        await until(AgentEventKind.Settled, "1.0.0");

        shop.Roll("2.0.0", TextRuntime.Model("2.0.0", "answer 2"));
        await until(AgentEventKind.Settled, "2.0.0");
        Assert.Equal(2, Ask(agent));
        await agent.DisposeAsync();
        Assert.Equal(0, runtime.Open);

        // The stick is gone, and so is the root that the agent began with.
        var (again, _) = await OpenAsync(Options with { Repository = Path.Combine(data, "no-stick"), Root = null });
        Assert.Equal(2, Ask(again)); // before any poll
        await again.DisposeAsync();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_patch_on_the_stick_is_used_unless_it_is_damaged(bool damaged)
    {
        var (first, second) = (TextRuntime.Model("1.0.0", "answer 1", 50_000), TextRuntime.Model("2.0.0", "answer 2", 50_000));
        var from = shop.Roll("1.0.0", first);
        var (agent, until) = await OpenAsync(Options);
        await until(AgentEventKind.Settled, "1.0.0");
        using var made = new MemoryStream();
        PatchEncoder.Create(new MemorySource(first), new MemorySource(second), made);
        var patch = made.ToArray();
        if (damaged)
            patch[^8] ^= 1;
        shop.PutPatch(from, Sha256Digest.Of(second), made.ToArray(), patch);

        shop.Roll("2.0.0", second);

        if (damaged)
            await until(AgentEventKind.Trouble, "of no use for model.bin");
        await until(AgentEventKind.Fetched, $"{(damaged ? $"over the network: whole {ByteSize.Format(second.Length)}, " : "")}index 238 B, patch {ByteSize.Format(patch.Length)}");
        await until(AgentEventKind.Settled, "2.0.0");
        Assert.Equal(2, Ask(agent));
        await agent.DisposeAsync();
    }

    [Fact]
    public async Task Another_root_than_the_given_one_is_not_trusted()
    {
        shop.Roll("1.0.0", TextRuntime.Model("1.0.0", "answer 1"));
        var (agent, until) = await OpenAsync(Options with { Root = new string('a', 64) });
        await until(AgentEventKind.Trouble, "belongs to another repository");
        Assert.Null(agent.Model("plant/bearing").Release);
        await agent.DisposeAsync();
    }

    [Fact]
    public async Task A_folder_has_one_agent_and_tells_who_looks()
    {
        shop.Roll("1.0.0", TextRuntime.Model("1.0.0", "refuse"));
        var (agent, until) = await OpenAsync(Options);
        await until(AgentEventKind.Refused, "of no use");
        await until(AgentEventKind.Kept, "no rollout reaches");

        var held = await Assert.ThrowsAsync<IOException>(() => CoppiceAgent.OpenAsync(Options));
        Assert.Contains("another agent", held.Message, StringComparison.Ordinal);
        var running = AgentStatus.Read(data);
        Assert.True(running.Running);
        Assert.Contains("not tried again", string.Join(' ', running.Models.Single().Live!.Why), StringComparison.Ordinal);
        Assert.Equal(3, running.Models.Single().State.Refusals.Length + running.ReportsWaiting); // started, refused
        await agent.DisposeAsync();

        Assert.False(AgentStatus.Read(data).Running);
        Assert.Equal(AgentEventKind.Closed, AgentStatus.History(data)[^1].Kind);
    }

    [Theory]
    [InlineData("bearing", "models")]
    [InlineData("plant/bearing", "joinToken")]
    public async Task Wrong_options_are_named(string model, string option)
    {
        var wrong = await Assert.ThrowsAsync<ArgumentException>(() => CoppiceAgent.OpenAsync(Options with { Models = [model], JoinToken = option == "joinToken" ? "cpj_x" : null }));
        Assert.StartsWith(option, wrong.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Leases_that_are_taken_together_lie_on_one_side_of_every_switch_of_a_set()
    {
        string[] models = ["plant/rag", "plant/embedder", "plant/llm"];
        void Roll(int round) => shop.RollTogether($"{round}.0.0", [.. models.Select(model => (model, TextRuntime.Model($"{model} {round}", $"answer {round}")))]);
        Roll(1);
        var (agent, _) = await OpenAsync(Options with { Models = models });
        await using var held = agent;
        foreach (var model in models)
            await agent.WaitForModelAsync(model, late.Token);

        using var end = new CancellationTokenSource();
        var (torn, seen) = (0, new System.Collections.Concurrent.ConcurrentDictionary<string, int>());
        var reader = Task.Run(async () =>
        {
            for (var i = 1; !end.IsCancellationRequested; i++)
            {
                if (i % 50 == 0)
                    await Task.Delay(1); // leaves the machine to the agent
                using var leases = agent.LeaseTogether(models);
                var releases = models.Select(model => leases.Release(model).ToString()).Distinct().ToList();
                seen.AddOrUpdate(releases[0], 1, (_, count) => count + 1);
                if (releases.Count > 1)
                    Interlocked.Increment(ref torn);
            }
        });
        for (var round = 2; round <= 3; round++)
        {
            Roll(round);
            while (agent.Model(models[0]).State is not { Step: Coppice.Agent.Updates.UpdateStep.Idle, Serving: { Settled: true } serving } || serving.Release.ToString() != $"{round}.0.0")
                await Task.Delay(20, late.Token);
        }

        await end.CancelAsync();
        await reader;
        Assert.Equal(0, torn);
        Assert.Equal(["1.0.0", "2.0.0", "3.0.0"], seen.Keys.Order(StringComparer.Ordinal));
        Assert.Throws<ArgumentException>(() => agent.LeaseTogether("plant/rag", "plant/rules"));
    }
}
