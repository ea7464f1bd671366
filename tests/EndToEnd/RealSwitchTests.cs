using System.Collections.Concurrent;
using Coppice.Agent;
using Coppice.Formats;
using Coppice.Inference;
using Coppice.Tests;

namespace Coppice.EndToEnd;

/// <summary>Public models run under leases of an embedded agent while a server's rollout switches them from old to new.</summary>
public sealed class RealSwitchTests
{
    [Theory]
    [InlineData("silero_vad_onnx"), InlineData("magika_onnx"), InlineData("yunet_onnx")]
    public async Task No_run_fails_while_a_real_model_is_switched_and_none_is_on_the_old_one_afterwards(string pair)
    {
        if (!SharedFiles.TryFind($"models/{pair}", out var folder))
            return;
        var model = "real/" + pair.Replace('_', '-');
        await using var site = await Site.StartAsync();
        await site.PublishAsync(model, "1.0.0", Path.Combine(folder, "old.onnx"));
        await site.PublishAsync(model, "2.0.0", Path.Combine(folder, "new.onnx"), "--breaking"); // these releases keep no promise about names
        await site.RollOutAsync(model, "1.0.0");
        await using var agent = await CoppiceAgent.OpenAsync(new()
        {
            Data = site.PathOf("app"),
            Server = site.Url.ToString(),
            JoinToken = site.JoinToken,
            Models = [model],
            Policy = new() { Poll = TimeSpan.FromMilliseconds(100), Retry = TimeSpan.FromMilliseconds(100), Probation = new() { Time = TimeSpan.FromMilliseconds(300) } },
        });
        await agent.WaitForModelAsync(model);
        await Site.UntilAsync(async () => (await site.Control.ListRolloutsAsync()).Rollouts.All(rollout => rollout.State == Rollouts.RolloutState.Complete), "1.0.0 settled");

        using var end = new CancellationTokenSource();
        var failures = new ConcurrentQueue<string>();
        var runs = new ConcurrentDictionary<string, int>();
        var threads = Enumerable.Range(0, 3).Select(_ => Task.Run(() =>
        {
            while (!end.IsCancellationRequested)
            {
                try
                {
                    runs.AddOrUpdate(RunOnce(agent, model), 1, (_, count) => count + 1);
                }
                catch (Exception e) when (e is not OutOfMemoryException) // every failure is what is counted
                {
                    failures.Enqueue(e.ToString());
                }
            }
        })).ToArray();

        var rollout = await site.RollOutAsync(model, "2.0.0");
        await Site.UntilAsync(() => Task.FromResult(agent.Model(model).Release?.ToString() == "2.0.0"), "the switch to 2.0.0");
        var afterwards = RunOnce(agent, model); // acknowledged: from here on no run is on 1.0.0
        await site.CompleteAsync(rollout.Id);
        await end.CancelAsync();
        await Task.WhenAll(threads);

        Assert.Empty(failures);
        Assert.Equal("2.0.0", afterwards);
        Assert.True(runs["1.0.0"] > 0 && runs["2.0.0"] > 0, string.Join(", ", runs));
    }

    /// <summary>One run of whatever serves, with inputs that fit it. Returns its version.</summary>
    internal static string RunOnce(CoppiceAgent agent, string model)
    {
        using var lease = agent.Model(model).Lease();
        using var answer = lease.Session.Run([.. lease.Session.Inputs.Select(Input)]);
        Assert.True(answer.Count > 0);
        return lease.Release.ToString();
    }

    /// <summary>Silero takes windows of 512 samples at a rate of 16,000; the others say all dimensions but the batch.</summary>
    static Tensor Input(TensorSpec spec)
    {
        if (spec.Name == "sr")
            return Tensor.Of([16_000L], spec.Shape.AsSpan());
        var shape = spec.Shape.Select((size, i) => size >= 0 ? size : spec is { Name: "input", Shape.Length: 2 } && i == 1 ? 512 : 1).ToArray();
        return Tensor.Of(spec.Type, shape, new byte[shape.Aggregate(1L, (product, size) => product * size) * spec.Type.BitsPerElement() / 8]);
    }
}
