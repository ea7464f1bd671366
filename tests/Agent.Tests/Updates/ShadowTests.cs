using Coppice.Agent.Storage;
using Coppice.Agent.Tests.Storage;
using Coppice.Agent.Updates;
using Coppice.Inference;
using Coppice.Protocol;
using Coppice.Rollouts;

namespace Coppice.Agent.Tests.Updates;

public sealed class ShadowTests : IDisposable
{
    static readonly TimeSpan Patience = TimeSpan.FromMinutes(5);

    LossyDisk disk = new(1);
    readonly Shop shop = new();
    readonly ManualTime time = new();
    readonly List<Device> devices = [];
    readonly ManualResetEventSlim never = new(false);

    public void Dispose()
    {
        never.Set();
        devices.ForEach(device => device.Host.Dispose());
    }

    Device Open(string boot = "boot")
    {
        var device = new Device(disk, shop, time, boot);
        devices.Add(device);
        return device;
    }

    /// <summary>The process has ended, and with it all that was loaded.</summary>
    async Task<Device> RestartAsync(Device ended, string boot = "boot", bool inOrder = false)
    {
        if (inOrder)
            ended.Runner.Stop();
        ended.Host.Dispose();
        var device = Open(boot);
        await device.StartAsync();
        return device;
    }

    /// <summary>Serves 1.0.0, and 2.0.0 is everybody's shadow.</summary>
    async Task<Device> ServingAsync(string behaviour = "answer 1", Func<Coppice.Registry.ReleaseManifest, Coppice.Registry.ReleaseManifest>? change = null)
    {
        shop.Roll("1.0.0");
        var device = Open();
        await device.StartAsync();
        await device.PollAsync();
        var two = shop.Publish("2.0.0", behaviour, change: change);
        shop.Plan = shop.Plan with { Rollouts = shop.Plan.Rollouts.Insert(0, two with { Arms = [new("control", 1e-9), new("b", 1) { Shadow = new(two.Release, two.Manifest) { Share = 1 } }] }) };
        return device;
    }

    async Task<Device> RunningAsync(string behaviour = "answer 1")
    {
        var device = await ServingAsync(behaviour);
        await device.PollAsync();
        Assert.NotNull(device.Host.Shadow);
        return device;
    }

    /// <summary>Requests, each of them run by the shadow too.</summary>
    static void Ask(Device device, int requests)
    {
        for (var i = 0; i < requests; i++)
        {
            var runs = device.Host.Shadow!.Read().Runs.Runs;
            using (var lease = device.Host.Lease())
                lease.Run(Tensor.Of([0f], 1)).Dispose();
            Assert.True(SpinWait.SpinUntil(() => device.Host.Shadow!.Read() is { Running: null } counts && counts.Runs.Runs == runs + 1, Patience));
        }
    }

    static string[] Told(Device device) => [.. device.Reports().Where(report => report.Release.ToString() == "2.0.0").Select(report => $"{report.Kind}{(report.Shadow == true ? " shadow" : "")}")];

    static void Is100Serving(Device device)
    {
        Assert.Equal(("1.0.0", true), (device.Serving, device.Runner.State.Serving!.Settled));
        Assert.Equal(("r-1.0.0", null), (device.Runner.State.Serving.Rollout, device.Runner.State.Target));
    }

    [Fact]
    public async Task It_is_fetched_and_tried_as_any_runs_beside_what_serves_and_its_figures_are_told()
    {
        var device = await RunningAsync();
        Is100Serving(device);
        Assert.Equal(["Started shadow", "Switched shadow"], Told(device));

        Ask(device, 25);
        await device.PollAsync();
        Assert.Equal(["Started shadow", "Switched shadow"], Told(device)); // not yet for long enough
        time.Advance(TimeSpan.FromMinutes(1));
        await device.PollAsync();

        Is100Serving(device);
        Assert.Equal(["Started shadow", "Switched shadow", "Settled shadow"], Told(device));
        var figures = device.Reports()[^1].Measures!;
        Assert.Equal((25, 0, 1, 25, 0), (figures["runs"], figures["errors"], figures["agreement"], figures["compared"], figures["dropped"]));
        Assert.True(figures.ContainsKey("latencyP95Ms") && figures.ContainsKey("servingLatencyP95Ms") && figures.ContainsKey("memoryBytes"));
    }

    [Fact]
    public async Task How_slow_it_is_gates_judge_and_not_the_device()
    {
        var device = await RunningAsync();
        device.Runtime.OnRun = release =>
        {
            if (release == "2.0.0")
                time.Advance(TimeSpan.FromMilliseconds(100));
        };
        Ask(device, 25);
        time.Advance(TimeSpan.FromMinutes(1));
        await device.PollAsync();

        Assert.Equal(["Started shadow", "Switched shadow", "Settled shadow"], Told(device));
        Assert.True(device.Reports()[^1].Measures!["latencyP95Ms"] >= 100);
    }

    [Fact]
    public async Task It_settles_by_requests_alone_and_tells_its_figures_again_each_day()
    {
        var device = await RunningAsync();
        time.Advance(TimeSpan.FromDays(1));
        await device.PollAsync();
        Assert.Equal(["Started shadow", "Switched shadow"], Told(device)); // nobody asked anything

        Ask(device, 20);
        await device.PollAsync();
        await device.PollAsync();
        Assert.Single(Told(device), "Settled shadow");
        time.Advance(TimeSpan.FromDays(1));
        await device.PollAsync();
        Assert.Equal(2, Told(device).Count(word => word == "Settled shadow"));
    }

    [Fact]
    public async Task Between_polls_the_end_of_its_probation_asks_for_a_step()
    {
        var device = await RunningAsync();
        Ask(device, 20);
        Assert.Equal(0, device.Nudges);

        for (var i = 0; i < 30; i++)
            time.Advance(TimeSpan.FromSeconds(3));

        Assert.Equal(1, device.Nudges);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)] // the power went: that condemns nobody at once
    public async Task A_restart_resumes_it(bool inOrder)
    {
        var device = await RestartAsync(await RunningAsync(), inOrder ? "boot" : "another boot", inOrder);
        Is100Serving(device);
        await device.PollAsync();
        Assert.Equal((null, 1), (device.Host.Shadow, device.Nudges)); // what answers, and what the plan says of it, come first

        await device.PollAsync();

        Assert.Equal("2.0.0", device.Host.Shadow!.Slot.Release.ToString());
        Assert.Equal(["Started shadow", "Switched shadow"], Told(device));
    }

    [Fact]
    public async Task Once_it_has_settled_no_number_of_power_cuts_takes_it_off()
    {
        var device = await RunningAsync();
        Ask(device, 20);
        time.Advance(TimeSpan.FromMinutes(1));
        await device.PollAsync();

        for (var boot = 1; boot <= 4; boot++)
        {
            device = await RestartAsync(device, $"boot {boot}");
            await device.PollAsync();
            await device.PollAsync();
            Assert.NotNull(device.Host.Shadow);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_process_that_ends_while_it_runs_takes_it_off_and_never_what_serves(bool settled)
    {
        var device = await RunningAsync();
        if (settled)
        {
            Ask(device, 20);
            time.Advance(TimeSpan.FromMinutes(1));
            await device.PollAsync();
        }

        device = await RestartAsync(device);
        await device.PollAsync();

        Is100Serving(device);
        Assert.Null(device.Host.Shadow);
        var last = device.Reports()[^1];
        Assert.Equal((ReportKind.TakenBack, true, 1), (last.Kind, last.Shadow, last.Measures![ReportFigures.Crashes]));
        Assert.True(device.Runner.State.Refusals.Single().Crash);

        await device.PollAsync();
        Assert.Null(device.Host.Shadow); // not by the same attempt
        shop.Change("r-2.0.0", rollout => rollout with { Attempt = 2 });
        await device.PollAsync();
        Assert.NotNull(device.Host.Shadow);
    }

    [Fact]
    public async Task A_process_that_ends_while_it_is_loaded_takes_it_off()
    {
        var device = await ServingAsync();
        while (device.Runner.State.Shadow is null)
            time.Advance(await device.Runner.StepAsync(default));
        device.Runtime.OnLoad = _ => throw new ProcessEndedException();
        await Assert.ThrowsAsync<ProcessEndedException>(() => device.PollAsync());

        device = await RestartAsync(device);
        await device.PollAsync();

        Is100Serving(device);
        Assert.Equal((null, "TakenBack shadow"), (device.Host.Shadow, Told(device)[^1]));
    }

    [Fact]
    public async Task One_that_hangs_is_taken_off_and_requests_go_on()
    {
        var device = await RunningAsync();
        device.Runtime.OnRun = release =>
        {
            if (release == "2.0.0")
                never.Wait();
        };
        using (var lease = device.Host.Lease())
            lease.Run(Tensor.Of([0f], 1)).Dispose();
        var run = device.Host.Shadow!;
        Assert.True(SpinWait.SpinUntil(() => run.Read().Running is not null, Patience));
        for (var i = 0; i < 110; i++)
            time.Advance(TimeSpan.FromSeconds(3));
        Assert.Equal(1, device.Nudges);
        await device.PollAsync();

        Is100Serving(device);
        Assert.Null(device.Host.Shadow);
        Assert.StartsWith("it hangs: a run has not ended for ", device.Reports()[^1].Why, StringComparison.Ordinal);
        Assert.Equal(["TakenBack shadow"], Told(device)[2..]);
    }

    [Fact]
    public async Task One_whose_runs_all_fail_is_taken_off_with_what_it_said()
    {
        var device = await RunningAsync();
        device.Runtime.OnRun = release =>
        {
            if (release == "2.0.0")
                throw new InferenceException("it has no such operator");
        };
        Ask(device, 3);
        await device.PollAsync();

        Is100Serving(device);
        Assert.Equal("all of its 3 runs failed; the last one: it has no such operator", device.Reports()[^1].Why);
    }

    [Theory]
    [InlineData("refuse", "Refused shadow")] // already in trial
    [InlineData("kill", null)]
    public async Task Its_trial_is_that_of_any_release(string behaviour, string? said)
    {
        var device = await ServingAsync(behaviour);
        for (var life = 0; said is null && life < 2; life++)
        {
            await Assert.ThrowsAsync<ProcessEndedException>(() => device.PollAsync());
            device = await RestartAsync(device);
        }

        await device.PollAsync();

        Is100Serving(device);
        Assert.Equal((null, "Refused shadow"), (device.Runner.State.Shadow, Told(device)[^1]));
    }

    [Fact]
    public async Task Without_memory_for_both_the_device_is_unfit_for_the_arm_and_says_why_once()
    {
        var device = await ServingAsync(change: manifest => manifest with { Variants = [.. manifest.Variants.Select(variant => variant with { Requirements = new() { Ram = 2_000_000_000 } })] });
        await device.PollAsync();
        await device.PollAsync();

        Is100Serving(device);
        Assert.Equal(["Unfit shadow"], Told(device));
        Assert.Contains("of memory beside what serves", device.Reports()[^1].Why, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(RolloutState.Aborted)]
    [InlineData(RolloutState.Reverted)]
    [InlineData(null)] // the release is revoked
    public async Task The_end_of_the_experiment_unloads_it_and_its_files_go(RolloutState? state)
    {
        var device = await RunningAsync();
        var run = device.Host.Shadow!;
        var folder = $"{DataFolder.Slots(Shop.Model)}/{run.Slot.Folder}";
        Assert.Contains(run.Slot.Folder, disk.Folders(DataFolder.Slots(Shop.Model)));
        if (state is { } over)
            shop.Change("r-2.0.0", rollout => rollout with { State = over });
        else
            shop.Plan = shop.Plan with { Revoked = [run.Slot.Release] };

        await device.PollAsync();
        Assert.True(SpinWait.SpinUntil(() => run.IsOver, Patience));
        device.Context.Collect(device.Runner.State);

        Is100Serving(device);
        Assert.Equal((null, null, 1), (device.Host.Shadow, device.Runner.State.Shadow, device.Runtime.Open));
        Assert.DoesNotContain(run.Slot.Folder, disk.Folders(DataFolder.Slots(Shop.Model)));
        Assert.Equal(["Started shadow", "Switched shadow"], Told(device)); // it did nothing wrong
    }

    [Fact]
    public async Task A_held_experiment_keeps_it_running()
    {
        var device = await RunningAsync();
        shop.Change("r-2.0.0", rollout => rollout with { State = RolloutState.Held });
        await device.PollAsync();
        Assert.NotNull(device.Host.Shadow);
    }

    [Fact]
    public async Task Promoted_its_release_serves_and_no_byte_is_fetched_again()
    {
        var device = await RunningAsync();
        shop.Change("r-2.0.0", rollout => rollout with { Arms = null });
        await device.PollAsync();

        Assert.Equal(("2.0.0", null, null), (device.Serving, device.Host.Shadow, device.Runner.State.Shadow));
        Assert.True(SpinWait.SpinUntil(() => device.Runtime.Open == 1, Patience)); // the shadow and the release before are unloaded
        Assert.Equal(["Started shadow", "Switched shadow", "Started", "Switched", "Settled"], Told(device));
        Assert.Equal(0, device.Reports().Last(report => report.Kind == ReportKind.Settled).BytesFetched);
    }

    [Fact]
    public async Task An_update_of_what_serves_goes_first_and_the_shadow_comes_back_beside_it()
    {
        var device = await RunningAsync();
        var next = shop.Publish("1.1.0", "answer 1");
        shop.Plan = shop.Plan with { Rollouts = shop.Plan.Rollouts.Insert(1, next) }; // below the experiment
        while (device.Runner.State.Step != UpdateStep.Probation)
            time.Advance(await device.Runner.StepAsync(default));
        Assert.Null(device.Host.Shadow);
        Assert.DoesNotContain(device.Runner.State.Exposures, exposure => exposure.Open && exposure.Slot == device.Runner.State.Shadow!.Slot.Folder);
        await device.PollAsync();
        await device.PollAsync();

        Assert.Equal(("1.1.0", "2.0.0"), (device.Serving, device.Host.Shadow!.Slot.Release.ToString()));
    }

    [Fact]
    public async Task A_damaged_file_of_it_is_brought_again()
    {
        var device = await RunningAsync();
        var model = $"{DataFolder.Slots(Shop.Model)}/{device.Host.Shadow!.Slot.Folder}/model.txt";
        device.Runner.Stop();
        device.Host.Dispose();
        disk.Delete(model);

        device = Open();
        await device.StartAsync();
        await device.PollAsync();
        await device.PollAsync();

        Is100Serving(device);
        Assert.NotNull(device.Host.Shadow);
    }

    /// <summary>A life in which the shadow comes, settles, and ends with the experiment. At every moment 1.0.0 serves.</summary>
    async Task LiveAsync(string boot)
    {
        var device = Open(boot);
        try
        {
            await device.StartAsync();
            for (var poll = 0; poll < 3; poll++)
            {
                await PollAsync(device);
                if (device.Host.Shadow is not null)
                    Ask(device, 20);
                time.Advance(TimeSpan.FromMinutes(1));
            }

            shop.Change("r-2.0.0", rollout => rollout with { State = RolloutState.Aborted });
            await PollAsync(device);
            Assert.Equal((null, null), (device.Runner.State.Shadow, device.Host.Shadow));
        }
        finally
        {
            device.Host.Dispose();
        }

        async Task PollAsync(Device device)
        {
            for (var i = 0; i < 200; i++)
            {
                var wait = await device.Runner.StepAsync(default);
                Is100Saved(device);
                if (device.Runner.State.Step == UpdateStep.Idle && wait >= Device.Policy.Poll / 2)
                    return;
                time.Advance(wait);
            }

            Assert.Fail($"did not come to rest: {string.Join("; ", device.Events.TakeLast(4).Select(e => e.Text))}");
        }
    }

    static void Is100Saved(Device device) => Assert.Equal(("1.0.0", "1.0.0"), (device.Serving, device.Runner.State.Serving!.Release.ToString()));

    [Fact]
    public async Task A_power_cut_at_every_change_of_the_disk_leaves_what_serves_and_no_half_shadow()
    {
        var device = await ServingAsync();
        device.Runner.Stop();
        device.Host.Dispose();
        var (start, plan, before) = (disk, shop.Plan, disk.Changes);
        disk = start.Copy(0);
        await LiveAsync("boot");
        var changes = disk.Changes;
        Assert.True(changes - before > 30, "a shadow's life with so few changes is none");

        for (var cut = before + 1; cut <= changes; cut++)
        {
            (disk, shop.Plan) = (start.Copy(cut), plan);
            disk.CutAt = cut;
            try
            {
                await LiveAsync("boot");
                Assert.True(disk.Changes < cut); // its thread had not let go of the files yet, so that fewer were deleted at the end
                Assert.True(cut > changes - 10);
            }
            catch (PowerCutException)
            {
                disk.PowerOn();
            }

            disk.CutAt = null;
            shop.Plan = plan;
            await LiveAsync("after the cut");
            var reports = devices[^1].Reports();
            Assert.Equal(Enumerable.Range(1, reports.Length).Select(n => (long)n), reports.Select(report => report.Sequence));
            Assert.DoesNotContain(reports, report => report.Release.ToString() == "2.0.0" && report.Shadow != true);
        }
    }
}
