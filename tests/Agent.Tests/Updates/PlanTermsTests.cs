using Coppice.Agent.Tests.Storage;
using Coppice.Agent.Updates;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Rollouts;

namespace Coppice.Agent.Tests.Updates;

/// <summary>What a rollout asks of a device beside its share: turns, windows, users, other models, arms.</summary>
public sealed class PlanTermsTests
{
    readonly LossyDisk disk = new(1);
    readonly Shop shop = new();
    readonly ManualTime time = new();

    async Task<Device> ServingAsync()
    {
        shop.Roll("1.0.0");
        var device = new Device(disk, shop, time);
        await device.StartAsync();
        await device.PollAsync();
        Assert.Equal("1.0.0", device.Serving);
        return device;
    }

    void Roll(Func<Rollout, Rollout> terms) => shop.Plan = shop.Plan with { Rollouts = shop.Plan.Rollouts.Insert(0, terms(shop.Publish("2.0.0", "answer 2"))) };

    static ReportKind[] Kinds(Device device) => [.. device.Reports().Select(report => report.Kind).Skip(3)];

    [Fact]
    public async Task A_device_waits_for_its_turn_and_looks_again_at_that_moment()
    {
        var device = await ServingAsync();
        Roll(rollout => rollout with { Since = time.GetUtcNow(), Spread = TimeSpan.FromMinutes(9) });
        var turn = shop.Plan.Rollouts[0].TurnOf("d-1");
        Assert.InRange(turn, TimeSpan.FromSeconds(10), TimeSpan.FromMinutes(9));

        var wait = await device.PollAsync();
        Assert.Equal(("1.0.0", turn), (device.Serving, wait));
        time.Advance(wait);
        await device.PollAsync();

        Assert.Equal("2.0.0", device.Serving);
    }

    [Fact]
    public async Task Nothing_begins_before_its_start()
    {
        var device = await ServingAsync();
        Roll(rollout => rollout with { StartsAt = time.GetUtcNow().AddMinutes(3) });

        Assert.Equal(TimeSpan.FromMinutes(3), await device.PollAsync());
        time.Advance(TimeSpan.FromMinutes(3));
        await device.PollAsync();

        Assert.Equal("2.0.0", device.Serving);
    }

    [Fact]
    public async Task What_is_fetched_early_waits_for_its_window_over_a_restart_and_costs_no_download_then()
    {
        var device = await ServingAsync();
        Roll(rollout => rollout with { FetchEarly = true, Windows = [new([], new(12, 0), new(13, 0))] }); // it is eight

        await device.PollAsync();
        Assert.Equal("1.0.0", device.Serving);
        Assert.Contains(device.Events, e => e.Kind == AgentEventKind.Fetched && e.Text.Contains("waits", StringComparison.Ordinal));
        Assert.Empty(Kinds(device)); // not begun, as the server counts
        device.Runner.Stop();
        var again = new Device(disk, shop, time);
        await again.StartAsync();
        var asked = shop.Requests;
        await again.PollAsync();
        await again.PollAsync();
        Assert.Equal(2, shop.Requests - asked); // two looks at the plan

        time.Advance(TimeSpan.FromHours(4));
        asked = shop.Requests;
        await again.PollAsync();

        Assert.Equal("2.0.0", again.Serving);
        Assert.Equal(2, shop.Requests - asked); // one look at the plan before, one after
        Assert.Equal([ReportKind.Started, ReportKind.Switched, ReportKind.Settled], Kinds(again));
        Assert.True(again.Reports()[^1].BytesFetched > 0);
    }

    [Fact]
    public async Task The_user_is_asked_once_and_the_answer_counts()
    {
        var device = await ServingAsync();
        Roll(rollout => rollout with { Consent = "May it switch?" });
        await device.PollAsync();
        await device.PollAsync();
        Assert.Equal(("1.0.0", "May it switch?"), (device.Serving, device.Runner.State.Question!.Text));
        Assert.Single(device.Events, e => e.Kind == AgentEventKind.Asked);

        UserConsent.Answer(disk, Shop.Model, device.Runner.State.Question!, yes: false);
        await device.PollAsync();
        Assert.Equal(("1.0.0", null), (device.Serving, device.Runner.State.Question));
        shop.Change("r-2.0.0", rollout => rollout with { Attempt = 2 }); // asks again
        await device.PollAsync();
        UserConsent.Answer(disk, Shop.Model, device.Runner.State.Question!, yes: true);
        await device.PollAsync();

        Assert.Equal(("2.0.0", null), (device.Serving, device.Runner.State.Question));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_question_is_told_once_also_when_the_release_is_fetched_meanwhile(bool fetchEarly)
    {
        var device = await ServingAsync();
        Roll(rollout => rollout with { Consent = "May it switch?", FetchEarly = fetchEarly });
        for (var i = 0; i < 3; i++)
            await device.PollAsync();

        Assert.Equal("2.0.0 by r-2.0.0: May it switch?", Assert.Single(device.Events, happened => happened.Kind == AgentEventKind.Asked).Text);
    }

    [Fact]
    public async Task From_a_moment_on_nobody_is_waited_for()
    {
        var device = await ServingAsync();
        Roll(rollout => rollout with { Consent = "May it switch?", Windows = [new([], new(12, 0), new(13, 0))], ForcedFrom = time.GetUtcNow().AddMinutes(5) });

        Assert.Equal(TimeSpan.FromMinutes(5), await device.PollAsync());
        Assert.Equal("1.0.0", device.Serving);
        time.Advance(TimeSpan.FromMinutes(5));
        await device.PollAsync();

        Assert.Equal("2.0.0", device.Serving);
    }

    [Fact]
    public async Task A_model_waits_for_the_one_that_it_needs()
    {
        var device = await ServingAsync();
        var embedder = ModelName.Parse("plant/embedder");
        Roll(rollout => rollout with { Requires = [new(embedder, VersionRange.TryParse(">=1.2.0", out var range) ? range : throw new InvalidOperationException())] });
        await device.PollAsync();
        Assert.Equal("1.0.0", device.Serving);
        device.Others = device.Others.Add(embedder, SemanticVersion.Parse("1.1.0"));
        await device.PollAsync();
        Assert.Equal("1.0.0", device.Serving);

        device.Others = device.Others.SetItem(embedder, SemanticVersion.Parse("1.3.0"));
        await device.PollAsync();

        Assert.Equal("2.0.0", device.Serving);
    }

    static VersionRange Range(string text) => VersionRange.TryParse(text, out var range) ? range : throw new ArgumentException(text);

    [Fact]
    public async Task A_release_waits_for_the_model_that_its_own_signed_manifest_names_also_when_that_goes_away_before_the_switch()
    {
        var device = await ServingAsync();
        var embedder = ModelName.Parse("plant/embedder");
        var two = shop.Publish("2.0.0", "answer 2", change: manifest => manifest with { Requires = [new(embedder, Range(">=2.0.0"))] });
        shop.Plan = shop.Plan with { Rollouts = shop.Plan.Rollouts.Insert(0, two) };
        await device.PollAsync();
        Assert.Equal("1.0.0", device.Serving);
        Assert.Null(device.Runner.State.Target); // and fetches nothing meanwhile

        device.Others = device.Others.SetItem(embedder, SemanticVersion.Parse("2.0.0"));
        while (device.Runner.State.Step != UpdateStep.Switch)
            time.Advance(await device.Runner.StepAsync(default));
        device.Others = device.Others.SetItem(embedder, SemanticVersion.Parse("1.0.0"));
        await device.Runner.StepAsync(default);
        Assert.Equal((UpdateStep.Idle, "1.0.0"), (device.Runner.State.Step, device.Serving));

        device.Others = device.Others.SetItem(embedder, SemanticVersion.Parse("2.2.0"));
        await device.PollAsync();
        Assert.Equal("2.0.0", device.Serving);
    }

    [Fact]
    public async Task A_model_stays_where_another_needs_it()
    {
        var device = await ServingAsync();
        device.NeededBy = [new(ModelName.Parse("plant/rag"), SemanticVersion.Parse("1.0.0"), Range("<2.0.0"))];
        Roll(rollout => rollout);
        await device.PollAsync();
        Assert.Equal("1.0.0", device.Serving);

        device.NeededBy = [];
        await device.PollAsync();
        Assert.Equal("2.0.0", device.Serving);
    }

    [Fact]
    public async Task A_device_takes_the_release_of_its_own_arm_and_a_control_keeps_what_it_has()
    {
        var device = await ServingAsync();
        var two = shop.Publish("2.0.0", "answer 2");
        var three = shop.Publish("3.0.0", "answer 3");
        Rollout Arms(string salt) => two with { Salt = salt, Arms = [new("control", 1), new("b", 1, two.Release, two.Manifest), new("c", 1, three.Release, three.Manifest)] };
        string SaltOf(string arm) => Enumerable.Range(0, 100).Select(i => $"s{i}").First(salt => Arms(salt).ArmOf("d-1")!.Name == arm);

        shop.Plan = shop.Plan with { Rollouts = shop.Plan.Rollouts.Insert(0, Arms(SaltOf("control"))) };
        await device.PollAsync();
        Assert.Equal("1.0.0", device.Serving);
        shop.Change("r-2.0.0", _ => Arms(SaltOf("c")));
        await device.PollAsync();
        Assert.Equal("3.0.0", device.Serving);

        shop.Change("r-2.0.0", _ => two); // b is promoted
        await device.PollAsync();
        Assert.Equal("2.0.0", device.Serving);
    }

    [Fact]
    public async Task A_crash_is_reported_as_one()
    {
        var device = await ServingAsync();
        Roll(rollout => rollout);
        while (device.Runner.State.Step != UpdateStep.Probation)
            time.Advance(await device.Runner.StepAsync(default));

        var again = new Device(disk, shop, time); // the same boot of the machine: the process crashed
        await again.StartAsync();
        await again.SettleAsync();

        var report = again.Reports()[^1];
        Assert.Equal((ReportKind.TakenBack, 1), (report.Kind, report.Measures![ReportFigures.Crashes]));
    }
}
