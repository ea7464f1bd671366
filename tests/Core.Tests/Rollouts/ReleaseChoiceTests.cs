using Coppice.Registry;
using Coppice.Rollouts;
using Coppice.Trust;

namespace Coppice.Core.Tests.Rollouts;

public sealed class ReleaseChoiceTests
{
    static readonly DateTime Noon = new(2026, 11, 22, 12, 0, 0); // a Sunday

    static Rollout Rollout(string id, string release, RolloutState state = RolloutState.Running, double share = 1, int attempt = 1, string selector = "") =>
        new(id, SemanticVersion.Parse(release), Sha256Digest.Of([1]), id, selector, [new(share, null)], 0, state, attempt);

    static ReleaseChoice Choose(string? serving, Rollout[] newestFirst, string[]? revoked = null, Refusal[]? refusals = null, string device = "till-1") =>
        ReleaseChoice.Choose(
            new(1, ModelName.Parse("plant/bearing"), 1, [.. newestFirst], [.. (revoked ?? []).Select(SemanticVersion.Parse)]),
            new(device, new([new("label.site", "oslo")]), serving is null ? null : SemanticVersion.Parse(serving), [.. refusals ?? []]), Noon);

    static void Takes(string release, ReleaseChoice choice) =>
        Assert.Equal((ChoiceKind.Take, release), (choice.Kind, choice.Rollout!.Release.ToString()));

    [Fact]
    public void An_empty_plan_keeps_what_there_is() => Assert.Equal(ChoiceKind.Keep, Choose("1.0.0", []).Kind);

    [Fact]
    public void The_newest_rollout_that_reaches_the_device_wins() =>
        Takes("1.1.0", Choose("1.0.0", [Rollout("r-2", "1.1.0"), Rollout("r-1", "1.0.0")]));

    static readonly ModelName Embedder = ModelName.Parse("plant/embedder");

    static VersionRange Range(string text) => VersionRange.TryParse(text, out var range) ? range : throw new ArgumentException(text);

    [Theory]
    [InlineData(null, "1.0.0", "r-2 (2.0.0): needs plant/embedder >=2.0.0, which does not serve here")]
    [InlineData("1.9.0", "1.0.0", "r-2 (2.0.0): needs plant/embedder >=2.0.0, and 1.9.0 serves here")]
    [InlineData("2.1.0", "2.0.0", "r-2 (2.0.0): reaches this device")]
    public async Task What_a_release_says_that_it_needs_serves_before_it_or_an_older_rollout_stands(string? embedder, string takes, string reason)
    {
        RolloutPlan plan = new(1, ModelName.Parse("plant/rag"), 1, [Rollout("r-2", "2.0.0"), Rollout("r-1", "1.0.0")], []);
        var others = System.Collections.Immutable.ImmutableDictionary<ModelName, SemanticVersion>.Empty;
        var device = new DeviceView("till-1", new([]), null, []) { Others = embedder is null ? others : others.Add(Embedder, SemanticVersion.Parse(embedder)) };
        var read = new List<string>();

        var choice = await ReleaseChoice.ChooseAsync(plan, device, Noon, rollout =>
        {
            read.Add(rollout.Id);
            return Task.FromResult<ReleaseManifest?>(new(1, plan.Model, rollout.Release, []) { Requires = rollout.Id == "r-2" ? [new(Embedder, Range(">=2.0.0"))] : null });
        });

        Takes(takes, choice);
        Assert.Contains(reason, choice.Reasons);
        Assert.Equal(takes == "2.0.0" ? ["r-2"] : ["r-2", "r-1"], read); // of those that are not in question no manifest is read
    }

    [Fact]
    public void A_model_is_not_moved_away_from_what_another_needs_of_it_unless_what_serves_may_not()
    {
        ReleaseChoice Moves(RolloutState state, params string[] revoked) => ReleaseChoice.Choose(
            new(1, Embedder, 1, [Rollout("r-3", "1.5.0"), Rollout("r-2", "2.0.0", state)], [.. revoked.Select(SemanticVersion.Parse)]),
            new("till-1", new([]), SemanticVersion.Parse("2.0.0"), []) { NeededBy = [new(ModelName.Parse("plant/rag"), SemanticVersion.Parse("2.0.0"), Range(">=2.0.0"))] }, Noon);

        var kept = Moves(RolloutState.Complete);
        Assert.Equal((ChoiceKind.Keep, "r-2"), (kept.Kind, kept.Rollout!.Id));
        Assert.Equal("r-3 (1.5.0): plant/rag 2.0.0, which serves here, needs plant/embedder >=2.0.0", kept.Reasons[0]);
        Takes("1.5.0", Moves(RolloutState.Complete, "2.0.0"));
    }

    [Fact]
    public void A_held_rollout_gives_nothing_new_and_takes_nothing_away()
    {
        Rollout[] plan = [Rollout("r-2", "1.1.0", RolloutState.Held), Rollout("r-1", "1.0.0")];

        Assert.Equal(ChoiceKind.Keep, Choose("1.0.0", plan).Kind);
        Assert.Equal(ChoiceKind.Keep, Choose("1.1.0", plan).Kind);
        Takes("1.0.0", Choose(null, plan));
    }

    [Fact]
    public void A_reverted_rollout_sends_its_devices_back_to_the_one_before() =>
        Takes("1.0.0", Choose("1.1.0", [Rollout("r-2", "1.1.0", RolloutState.Reverted), Rollout("r-1", "1.0.0")]));

    [Fact]
    public void A_reverted_release_goes_on_where_nothing_else_is_planned() =>
        Assert.Equal(ChoiceKind.Keep, Choose("1.1.0", [Rollout("r-2", "1.1.0", RolloutState.Reverted)]).Kind);

    [Fact]
    public void A_revoked_release_is_left_at_once_or_stopped()
    {
        Takes("1.0.0", Choose("1.1.0", [Rollout("r-2", "1.1.0"), Rollout("r-1", "1.0.0")], revoked: ["1.1.0"]));
        Assert.Equal(ChoiceKind.Stop, Choose("1.1.0", [Rollout("r-2", "1.1.0")], revoked: ["1.1.0"]).Kind);
        Assert.Equal(ChoiceKind.Keep, Choose(null, [Rollout("r-2", "1.1.0")], revoked: ["1.1.0"]).Kind);
    }

    [Fact]
    public void A_refused_release_is_tried_again_only_at_a_later_attempt()
    {
        Refusal[] refused = [new("r-2", SemanticVersion.Parse("1.1.0"), 1, "accuracy 70 %")];

        Assert.Equal(ChoiceKind.Keep, Choose("1.0.0", [Rollout("r-2", "1.1.0"), Rollout("r-1", "1.0.0")], refusals: refused).Kind);
        Takes("1.1.0", Choose("1.0.0", [Rollout("r-2", "1.1.0", attempt: 2), Rollout("r-1", "1.0.0")], refusals: refused));
        Takes("1.1.0", Choose("1.0.0", [Rollout("r-3", "1.1.0"), Rollout("r-2", "1.1.0"), Rollout("r-1", "1.0.0")], refusals: refused));
    }

    [Fact]
    public void A_selector_and_a_share_leave_devices_out()
    {
        Assert.Equal(ChoiceKind.Keep, Choose("1.0.0", [Rollout("r-2", "1.1.0", selector: "site = bergen")]).Kind);
        Assert.Equal(ChoiceKind.Keep, Choose("1.0.0", [Rollout("r-2", "1.1.0", share: 0.0001)]).Kind);
        Assert.Equal(ChoiceKind.Keep, Choose("1.0.0", [Rollout("r-2", "1.1.0", selector: "from the future (")]).Kind);
    }

    [Fact]
    public void A_share_reaches_its_part_of_the_devices_and_grows_without_dropping_any()
    {
        var third = Enumerable.Range(0, 30_000).Where(i => Choose("1.0.0", [Rollout("r-2", "1.1.0", share: 1 / 3.0)], device: $"d{i}").Kind == ChoiceKind.Take).ToHashSet();
        var half = Enumerable.Range(0, 30_000).Where(i => Choose("1.0.0", [Rollout("r-2", "1.1.0", share: 0.5)], device: $"d{i}").Kind == ChoiceKind.Take).ToHashSet();

        Assert.InRange(third.Count, 9_700, 10_300); // 10,000 ± 3.7 standard deviations
        Assert.True(third.IsSubsetOf(half));
    }

    [Theory]
    [InlineData("12:00", "13:00", true)]
    [InlineData("13:00", "14:00", false)]
    [InlineData("22:00", "04:00", false)]
    [InlineData("22:00", "12:30", true)] // open since last night
    public void A_device_waits_for_its_window_but_not_to_leave_a_revoked_release(string from, string to, bool open)
    {
        var windowed = Rollout("r-2", "1.1.0") with { Windows = [new([], TimeOnly.Parse(from), TimeOnly.Parse(to))] };

        Assert.Equal(open ? ChoiceKind.Take : ChoiceKind.Keep, Choose("1.0.0", [windowed]).Kind);
        Takes("1.1.0", Choose("1.0.0", [windowed], revoked: ["1.0.0"]));
        Takes("1.1.0", Choose(null, [windowed]));
    }

    [Fact]
    public void Places_are_those_of_GrowthBook_version_2()
    {
        // growthbook/growthbook, packages/sdk-js/test/cases.json, "hash": [seed, value, 2, result]
        Assert.Equal(505, Cohort.Of("seed", "a")); // 0.0505
        Assert.Equal(2696, Cohort.Of("seed", "b")); // 0.2696
        Assert.Equal(2575, Cohort.Of("foo", "ab")); // 0.2575
        Assert.Equal(2019, Cohort.Of("foo", "def")); // 0.2019
        Assert.Equal(124 * 10, Cohort.Of("89123klj", "8952klfjas09ujkasdf")); // 0.124
        Assert.Equal(7516, Cohort.Of("90850943850283058242805", "123")); // 0.7516
    }

    [Fact]
    public void Every_choice_gives_its_reasons()
    {
        var choice = Choose("1.0.0", [Rollout("r-3", "1.2.0", RolloutState.Reverted), Rollout("r-2", "1.1.0", selector: "site = bergen"), Rollout("r-1", "1.0.0")]);

        Assert.Equal(["r-3 (1.2.0): reverted", "r-2 (1.1.0): for devices where site = bergen", "r-1 (1.0.0): serves here"], choice.Reasons.AsEnumerable());
    }
}
