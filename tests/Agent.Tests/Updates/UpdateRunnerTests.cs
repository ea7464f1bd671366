using Coppice.Agent.Link;
using Coppice.Agent.Storage;
using Coppice.Agent.Tests.Storage;
using Coppice.Agent.Updates;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Rollouts;

namespace Coppice.Agent.Tests.Updates;

public sealed class UpdateRunnerTests
{
    readonly LossyDisk disk = new(1);
    readonly Shop shop = new();
    readonly ManualTime time = new();

    async Task<Device> StartAsync(string boot = "boot", long quota = 1 << 20)
    {
        var device = new Device(disk, shop, time, boot, quota: quota);
        await device.StartAsync();
        return device;
    }

    static string[] Kinds(Device device) => [.. device.Reports().Select(report => $"{report.Sequence} {report.Kind} {report.Release}")];

    [Fact]
    public async Task A_release_is_fetched_tried_switched_to_watched_and_kept()
    {
        shop.Roll("1.0.0");
        var device = await StartAsync();

        await device.PollAsync();

        Assert.Equal("1.0.0", device.Serving);
        Assert.True(device.Runner.State.Serving!.Settled);
        Assert.Equal(["1 Started 1.0.0", "2 Switched 1.0.0", "3 Settled 1.0.0"], Kinds(device));
        var settled = device.Reports()[^1];
        Assert.Equal(settled.BytesTotal, shop.Plan.Rollouts.Length * settled.BytesFetched);
    }

    [Fact]
    public async Task The_next_release_fetches_only_what_is_not_here_and_the_one_before_is_kept()
    {
        shop.Roll("1.0.0");
        var device = await StartAsync();
        await device.PollAsync();

        shop.Roll("2.0.0", "answer 2");
        await device.PollAsync();

        Assert.Equal("2.0.0", device.Serving);
        Assert.Equal("1.0.0", device.Runner.State.Previous!.Release.ToString());
        var settled = device.Reports()[^1];
        Assert.True(settled.BytesFetched < settled.BytesTotal, "the weights that both share came twice");
        Assert.Equal(1, device.Runtime.Open); // the old session is unloaded
    }

    [Fact]
    public async Task A_release_that_does_not_load_is_refused_once_and_not_tried_again_until_a_newer_attempt()
    {
        shop.Roll("1.0.0");
        var device = await StartAsync();
        await device.PollAsync();
        shop.Roll("2.0.0", "refuse");

        await device.PollAsync();
        var asked = shop.Requests;
        await device.PollAsync();

        Assert.Equal("1.0.0", device.Serving);
        Assert.Equal(1, shop.Requests - asked);
        Assert.Equal("Refused", device.Reports()[^1].Kind.ToString());
        Assert.Contains("of no use", device.Reports()[^1].Why, StringComparison.Ordinal);

        shop.Change("r-2.0.0", rollout => rollout with { Attempt = 2 });
        await device.PollAsync();
        Assert.Equal(2, device.Reports()[^1].Attempt);
    }

    [Fact]
    public async Task A_release_that_fails_in_probation_is_taken_back_without_the_network_and_remembered_over_a_restart()
    {
        shop.Roll("1.0.0");
        var device = await StartAsync();
        await device.PollAsync();
        shop.Roll("2.0.0", "fail 2");
        while (device.Runner.State.Step != UpdateStep.Probation)
            time.Advance(await device.Runner.StepAsync(default));
        Assert.Equal("2.0.0", device.Serving);

        shop.Trouble = () => throw new LinkException("no network");
        await device.SettleAsync();

        Assert.Equal("1.0.0", device.Serving);
        Assert.Equal(ReportKind.TakenBack, device.Reports()[^1].Kind);
        shop.Trouble = () => { };
        var again = await StartAsync("another boot");
        await again.PollAsync();
        Assert.Equal("1.0.0", again.Serving);
        Assert.Contains(again.Events, e => e.Kind == AgentEventKind.Kept);
    }

    [Fact]
    public async Task A_crash_in_probation_takes_the_release_back_at_the_next_start_and_needs_no_network()
    {
        shop.Roll("1.0.0");
        var device = await StartAsync();
        await device.PollAsync();
        shop.Roll("2.0.0", "answer 2");
        while (device.Runner.State.Step != UpdateStep.Probation)
            time.Advance(await device.Runner.StepAsync(default));

        shop.Trouble = () => throw new LinkException("no network");
        var again = await StartAsync(); // the same boot of the machine: the process crashed
        await again.SettleAsync();

        Assert.Equal("1.0.0", again.Serving);
        Assert.Contains("2.0.0", again.Runner.State.Refusals.Select(refusal => refusal.Release.ToString()));
    }

    [Fact]
    public async Task An_end_in_order_and_one_power_cut_in_probation_are_not_held_against_the_release()
    {
        shop.Roll("1.0.0");
        var device = await StartAsync();
        await device.PollAsync();
        shop.Roll("2.0.0", "answer 2");
        while (device.Runner.State.Step != UpdateStep.Probation)
            time.Advance(await device.Runner.StepAsync(default));
        device.Runner.Stop();

        var second = await StartAsync();
        Assert.Equal("2.0.0", second.Serving);
        var third = await StartAsync("another boot");
        await third.SettleAsync();

        Assert.Equal("2.0.0", third.Serving);
        Assert.True(third.Runner.State.Serving!.Settled);
    }

    [Fact]
    public async Task A_release_that_ends_the_process_at_load_is_refused_after_the_second_time()
    {
        shop.Roll("1.0.0");
        var device = await StartAsync();
        await device.PollAsync();
        shop.Roll("2.0.0", "kill");

        for (var crash = 0; crash < CrashRule.Limit; crash++)
        {
            await Assert.ThrowsAsync<ProcessEndedException>(() => device.SettleAsync());
            device = await StartAsync();
            Assert.Equal("1.0.0", device.Serving);
        }

        await device.SettleAsync();
        Assert.Equal("1.0.0", device.Serving);
        Assert.Equal(ReportKind.Refused, device.Reports()[^1].Kind);
    }

    [Fact]
    public async Task A_reverted_release_goes_back_to_the_one_before_without_fetching()
    {
        shop.Roll("1.0.0");
        var device = await StartAsync();
        await device.PollAsync();
        shop.Roll("2.0.0", "answer 2");
        await device.PollAsync();
        var asked = shop.Requests;

        shop.Change("r-2.0.0", rollout => rollout with { State = RolloutState.Reverted });
        await device.PollAsync();

        Assert.Equal("1.0.0", device.Serving);
        Assert.Equal(2, shop.Requests - asked); // two looks at the plan, no blob
    }

    [Fact]
    public async Task A_revoked_release_stops_when_nothing_may_stand_in_for_it()
    {
        shop.Roll("1.0.0");
        var device = await StartAsync();
        await device.PollAsync();

        shop.Plan = shop.Plan with { Revoked = [SemanticVersion.Parse("1.0.0")] };
        await device.PollAsync();

        Assert.Null(device.Serving);
        Assert.False(device.Host.TryLease(out _));
        Assert.Equal(ReportKind.Stopped, device.Reports()[^1].Kind);
        Assert.Equal(0, device.Runtime.Open);
    }

    [Fact]
    public async Task A_misfit_is_reported_once_and_looked_at_again()
    {
        var rollout = shop.Publish("1.0.0", change: manifest => manifest with { Variants = [manifest.Variants[0] with { Requirements = new() { Ram = 1L << 40 } }] });
        shop.Plan = shop.Plan with { Rollouts = [rollout] };
        var device = await StartAsync();

        await device.PollAsync();
        await device.PollAsync();

        Assert.Equal(["1 Unfit 1.0.0"], Kinds(device));
        Assert.Contains("free memory", device.Reports()[0].Why, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_plan_with_a_lower_serial_and_a_manifest_of_another_digest_are_not_followed()
    {
        shop.Roll("1.0.0");
        shop.Roll("2.0.0", "answer 2");
        var device = await StartAsync();
        await device.PollAsync();

        shop.Publish("2.0.0", "answer 9"); // replaced under the same version
        shop.Change("r-2.0.0", rollout => rollout with { Release = SemanticVersion.Parse("2.0.1") });
        await device.PollAsync();

        Assert.Equal("2.0.0", device.Serving);
        Assert.Contains(device.Events, e => e.Kind == AgentEventKind.Trouble && e.Text.Contains("2.0.1", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_poll_that_finds_nothing_writes_nothing()
    {
        shop.Roll("1.0.0");
        var device = await StartAsync();
        await device.PollAsync();
        await device.PollAsync();
        var before = disk.Changes;

        await device.PollAsync();

        Assert.Equal(before, disk.Changes);
    }

    [Fact]
    public async Task A_damaged_file_of_the_serving_release_is_not_served_and_is_fetched_again()
    {
        shop.Roll("1.0.0");
        var device = await StartAsync();
        await device.PollAsync();
        device.Runner.Stop();
        disk.Rot($"{DataFolder.Slots(Shop.Model)}/{device.Runner.State.Serving!.Folder}/model.txt");

        var again = await StartAsync();
        Assert.Null(again.Serving);
        await again.SettleAsync();

        Assert.Equal("1.0.0", again.Serving);
        Assert.Contains(again.Events, e => e.Kind == AgentEventKind.Damaged);
        Assert.Empty(again.Runner.State.Refusals);
    }

    [Fact]
    public async Task A_lying_mirror_never_gets_a_byte_served_and_is_asked_again_later()
    {
        shop.Roll("1.0.0");
        shop.Spoil = bytes => [.. bytes.Select(b => (byte)(b ^ 1))];
        var device = await StartAsync();

        var wait = await device.PollAsync();
        Assert.Null(device.Serving);
        Assert.True(wait < Device.Policy.Poll);

        shop.Spoil = bytes => bytes;
        await device.PollAsync();
        Assert.Equal("1.0.0", device.Serving);
    }

    [Fact]
    public async Task A_quota_that_is_too_small_gives_up_the_release_before_and_says_what_it_needs()
    {
        shop.Roll("1.0.0", "answer 1", 2_000);
        var device = await StartAsync(quota: 5_000);
        await device.PollAsync();
        shop.Roll("2.0.0", "answer 2", 2_000);
        await device.PollAsync();
        Assert.NotNull(device.Runner.State.Previous);

        shop.Roll("3.0.0", "answer 3", 2_000); // does not fit beside two others
        await device.PollAsync();
        Assert.Equal("3.0.0", device.Serving);
        Assert.Equal("2.0.0", device.Runner.State.Previous!.Release.ToString());

        shop.Roll("4.0.0", "answer 4", 9_000);
        await device.PollAsync();
        Assert.Equal("3.0.0", device.Serving);
        Assert.Contains(device.Events, e => e.Text.Contains("quota of 5 kB", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_clock_that_jumps_neither_ends_probation_nor_makes_it_endless()
    {
        shop.Roll("1.0.0");
        var device = await StartAsync();
        while (device.Runner.State.Step != UpdateStep.Probation)
            time.Advance(await device.Runner.StepAsync(default));

        time.Jump(TimeSpan.FromDays(400));
        await device.Runner.StepAsync(default);
        Assert.Equal(UpdateStep.Probation, device.Runner.State.Step);
        time.Jump(TimeSpan.FromDays(-800));
        await device.SettleAsync(60);

        Assert.True(device.Runner.State.Serving!.Settled);
    }

    [Fact]
    public async Task An_end_in_order_in_the_middle_of_a_trial_is_no_crash()
    {
        shop.Roll("1.0.0", "fail 1"); // asks what serves, at each run
        for (var life = 0; life < 3; life++)
        {
            var device = await StartAsync();
            using var ending = new CancellationTokenSource();
            device.Runtime.Serving = () =>
            {
                ending.Cancel(); // asked by the first run of the trial
                return null;
            };
            await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
            {
                while (true)
                    time.Advance(await device.Runner.StepAsync(ending.Token));
            });
            Assert.Equal(UpdateStep.Trial, device.Runner.State.Step);
            device.Runner.Stop();
        }

        var last = await StartAsync();
        Assert.DoesNotContain(last.Events, e => e.Kind == AgentEventKind.Crashed);
        while (last.Runner.State.Step != UpdateStep.Probation)
            time.Advance(await last.Runner.StepAsync(default));
        Assert.Equal("1.0.0", last.Serving);
    }
}
