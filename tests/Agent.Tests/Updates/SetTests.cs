using Coppice.Agent.Tests.Storage;
using Coppice.Agent.Updates;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Rollouts;

namespace Coppice.Agent.Tests.Updates;

/// <summary>A rollout brings three models: the device switches all of them or none.</summary>
public sealed class SetTests
{
    const string Old = "1.0.0 1.0.0 1.0.0";
    const string New = "2.0.0 2.0.0 2.0.0";

    readonly LossyDisk disk = new(1);
    readonly SetShop shop = new();
    readonly ManualTime time = new();

    async Task<SetDevice> StartAsync(string boot = "boot", IReadOnlyList<ModelName>? models = null)
    {
        var device = new SetDevice(disk, shop, time, boot, models: models);
        device.AfterStep = () => Assert.Contains(device.Serving, (string[])["- - -", "1.0.0 - -", "1.0.0 1.0.0 -", "1.0.0 - 1.0.0", "- 1.0.0 -", "- 1.0.0 1.0.0", "- - 1.0.0", Old, New]);
        await device.StartAsync();
        return device;
    }

    /// <summary>A device that serves the first release of each.</summary>
    async Task<SetDevice> ServingAsync()
    {
        foreach (var model in SetShop.Models)
            shop.Roll(model, "1.0.0");
        var device = await StartAsync();
        await device.RestAsync();
        Assert.Equal(Old, device.Serving);
        return device;
    }

    string RollSet(string rag = "answer 2", string embedder = "answer 2", string llm = "answer 2") =>
        shop.Roll(shop.Publish(SetShop.Rag, "2.0.0", rag), shop.Publish(SetShop.Embedder, "2.0.0", embedder), shop.Publish(SetShop.Llm, "2.0.0", llm));

    static string[] Words(SetDevice device, string rollout) => [.. device.Reports().Where(report => report.Rollout == rollout).Select(report => $"{report.Kind} {report.Model.Name} {report.Release}")];

    [Fact]
    public async Task All_models_of_a_set_switch_at_once_and_settle_at_once_and_the_leading_one_speaks_for_it()
    {
        using var device = await ServingAsync();
        var id = RollSet();

        await device.RestAsync();

        Assert.Equal(New, device.Serving);
        Assert.All(device.Runners.Values, runner => Assert.True(runner.State.Serving is { Settled: true, Set.Name: "rag" }));
        var words = Words(device, id);
        Assert.Equal("Started rag 2.0.0", words[0]);
        Assert.Equal(3, words.Count(word => word.StartsWith("Switched", StringComparison.Ordinal)));
        Assert.Equal(3, words.Count(word => word.StartsWith("Settled", StringComparison.Ordinal)));
        Assert.Equal(7, words.Length);
        var told = device.Reports().Last(report => report is { Kind: ReportKind.Settled, Model.Name: "rag" });
        Assert.True(told.BytesTotal > 3 * 100, "the leading model tells the bytes of all");
        Assert.Equal(told.BytesTotal, told.BytesFetched);
        Assert.Null(device.Disk.LengthOf("set.json"));
    }

    [Theory]
    [InlineData("refuse"), InlineData("kill")]
    public async Task A_member_that_fails_its_trial_refuses_the_set_once_and_nothing_switches(string behaviour)
    {
        var device = await ServingAsync();
        var id = RollSet(llm: behaviour);

        for (var crash = 0; crash <= CrashRule.Limit; crash++)
        {
            try
            {
                await device.RestAsync();
                break;
            }
            catch (ProcessEndedException)
            {
                device.Dispose();
                device = await StartAsync();
            }
        }

        Assert.Equal(Old, device.Serving);
        var refused = Assert.Single(device.Reports(), report => report.Kind == ReportKind.Refused);
        Assert.Equal((SetShop.Rag, id), (refused.Model, refused.Rollout));
        Assert.Contains("plant/llm 2.0.0: ", refused.Why, StringComparison.Ordinal);
        Assert.Equal(behaviour == "kill", refused.Measures?.ContainsKey("crashes") == true);
        Assert.All(device.Runners.Values, runner => Assert.Null(runner.State.Target));

        await device.RestAsync();
        Assert.Single(device.Reports(), report => report.Kind == ReportKind.Refused);
        shop.Change(SetShop.Rag, id, rollout => rollout with { Attempt = 2 });
        if (behaviour == "kill")
            await Assert.ThrowsAsync<ProcessEndedException>(() => device.RestAsync()); // tried again
        else
            await device.RestAsync();
        Assert.Equal(behaviour == "kill" ? 1 : 2, device.Reports().Count(report => report.Kind == ReportKind.Refused));
        device.Dispose();
    }

    [Fact]
    public async Task A_member_that_fails_in_probation_takes_all_back_without_the_network()
    {
        using var device = await ServingAsync();
        var id = RollSet(embedder: "fail 2");
        await device.UntilAsync(() => device.Serving == New);
        shop.Trouble = () => throw new Coppice.Agent.Link.LinkException("no network");

        await device.UntilAsync(() => device.Serving == Old);
        await device.UntilAsync(() => device.Runners.Values.All(runner => runner.State.Step == UpdateStep.Idle));

        Assert.All(device.Runners.Values, runner => Assert.Contains(runner.State.Refusals, refusal => refusal.Rollout == id));
        var back = device.Reports().Where(report => report.Kind == ReportKind.TakenBack).ToList();
        Assert.Equal(3, back.Count);
        Assert.Contains("plant/embedder 2.0.0 (plain): ", back.Single(report => report.Model == SetShop.Rag).Why, StringComparison.Ordinal);
        shop.Trouble = () => { };
        await device.RestAsync();
        Assert.Equal(Old, device.Serving);
    }

    [Fact]
    public async Task A_crash_in_probation_takes_all_back_at_the_next_start()
    {
        var device = await ServingAsync();
        var id = RollSet();
        await device.UntilAsync(() => device.Serving == New);
        device.Dispose();

        using var again = await StartAsync(); // the same boot of the machine: the process crashed

        Assert.Equal(Old, again.Serving);
        await again.RestAsync();
        Assert.Equal(Old, again.Serving);
        var back = again.Reports().Single(report => report.Kind == ReportKind.TakenBack && report.Model == SetShop.Rag);
        Assert.Equal((id, 1.0), (back.Rollout, back.Measures!["crashes"]));
    }

    [Fact]
    public async Task A_power_cut_in_probation_is_not_held_against_the_set()
    {
        var device = await ServingAsync();
        RollSet();
        await device.UntilAsync(() => device.Serving == New);
        device.Dispose();

        using var again = await StartAsync("another boot");
        Assert.Equal(New, again.Serving);
        await again.RestAsync();
        Assert.Equal(New, again.Serving);
    }

    [Fact]
    public async Task A_reverted_set_goes_back_together_and_a_revoked_member_takes_it_back()
    {
        using var device = await ServingAsync();
        var id = RollSet();
        await device.RestAsync();
        shop.Change(SetShop.Rag, id, rollout => rollout with { State = RolloutState.Reverted });

        await device.RestAsync();

        Assert.Equal(Old, device.Serving);
        Assert.Equal(3, device.Reports().Reverse().TakeWhile(report => report.Rollout != id).Count(report => report.Kind == ReportKind.Settled)); // the server hears what serves again
        shop.Change(SetShop.Rag, id, rollout => rollout with { State = RolloutState.Running });
        await device.RestAsync();
        Assert.Equal(New, device.Serving);

        shop.Revoke(SetShop.Embedder, "2.0.0");
        await device.RestAsync();
        Assert.Equal(Old, device.Serving);
    }

    [Fact]
    public async Task A_revoked_member_of_a_first_set_stops_all_of_it()
    {
        RollSet();
        using var device = await StartAsync();
        await device.RestAsync();
        Assert.Equal(New, device.Serving);

        shop.Revoke(SetShop.Llm, "2.0.0");
        await device.RestAsync();

        Assert.Equal("- - -", device.Serving);
        Assert.Equal(3, device.Reports().Count(report => report.Kind == ReportKind.Stopped));
    }

    [Fact]
    public async Task A_member_that_serves_already_is_kept_and_goes_back_by_name_only()
    {
        using var device = await ServingAsync();
        var embedder = shop.Publish(SetShop.Embedder, "1.0.0");
        var id = shop.Roll(shop.Publish(SetShop.Rag, "2.0.0", "answer 2"), embedder, shop.Publish(SetShop.Llm, "2.0.0", "answer 2"));
        var loaded = device.Hosts[SetShop.Embedder].Serving;
        device.AfterStep = () => Assert.Contains(device.Serving, (string[])[Old, "2.0.0 1.0.0 2.0.0"]);

        await device.RestAsync();

        Assert.Equal("2.0.0 1.0.0 2.0.0", device.Serving);
        Assert.Same(loaded, device.Hosts[SetShop.Embedder].Serving);
        Assert.Equal(id, device.Runners[SetShop.Embedder].State.Serving!.Rollout);

        shop.Change(SetShop.Rag, id, rollout => rollout with { State = RolloutState.Reverted });
        await device.RestAsync();
        Assert.Equal(Old, device.Serving);
        Assert.Same(loaded, device.Hosts[SetShop.Embedder].Serving);
        Assert.NotEqual(id, device.Runners[SetShop.Embedder].State.Serving!.Rollout);
    }

    [Fact]
    public async Task A_device_that_does_not_keep_every_model_takes_none_of_the_set()
    {
        foreach (var model in SetShop.Models)
            shop.Roll(model, "1.0.0");
        using var device = new SetDevice(disk, shop, time, models: [SetShop.Rag, SetShop.Embedder]);
        await device.StartAsync();
        await device.RestAsync();
        RollSet();

        await device.RestAsync();

        Assert.Equal("1.0.0 1.0.0", device.Serving);
        Assert.Contains(device.WhyOf(SetShop.Rag), why => why.Contains("does not keep plant/llm", StringComparison.Ordinal));
        Assert.Contains(device.WhyOf(SetShop.Embedder), why => why.Contains("does not keep plant/llm", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_set_that_the_disk_has_no_room_for_is_not_begun()
    {
        foreach (var model in SetShop.Models)
            shop.Roll(model, "1.0.0");
        using var device = new SetDevice(disk, shop, time, quota: 2_000);
        await device.StartAsync();
        await device.RestAsync();
        var id = shop.Roll(shop.Publish(SetShop.Rag, "2.0.0", "answer 2"), shop.Publish(SetShop.Embedder, "2.0.0", "answer 2", 900), shop.Publish(SetShop.Llm, "2.0.0", "answer 2", 900));

        for (var i = 0; i < 30; i++)
            await device.StepAsync();

        Assert.Equal(Old, device.Serving);
        Assert.All(device.Runners.Values, runner => Assert.Null(runner.State.Target));
        Assert.Contains(device.Events, told => told.Kind == AgentEventKind.Trouble && told.Text.Contains($"the set of {id}", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_newer_rollout_of_one_member_moves_it_alone_and_the_set_keeps_the_rest()
    {
        using var device = await ServingAsync();
        RollSet();
        await device.RestAsync();
        shop.Roll(SetShop.Embedder, "3.0.0", "answer 3");
        device.AfterStep = () => { };

        await device.RestAsync();

        Assert.Equal("2.0.0 3.0.0 2.0.0", device.Serving);
    }

    [Fact]
    public async Task A_set_below_a_newer_rollout_of_one_member_is_not_taken()
    {
        using var device = await ServingAsync();
        device.AfterStep = () => { };
        var id = RollSet();
        shop.Roll(SetShop.Embedder, "3.0.0", "answer 3");

        await device.RestAsync();

        Assert.Equal("1.0.0 3.0.0 1.0.0", device.Serving);
        Assert.Contains(device.WhyOf(SetShop.Rag), why => why.StartsWith(id, StringComparison.Ordinal) && why.Contains("plant/embedder is not to take that", StringComparison.Ordinal));
    }
}
