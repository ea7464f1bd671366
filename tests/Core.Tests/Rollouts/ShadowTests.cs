using System.Collections.Immutable;
using System.Text;
using Coppice.Fleet;
using Coppice.Formats;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Rollouts;
using Coppice.Trust;

namespace Coppice.Core.Tests.Rollouts;

public sealed class ShadowTests
{
    static readonly DateTimeOffset Now = new(2026, 11, 26, 12, 0, 0, TimeSpan.Zero);
    static readonly Sha256Digest One = Sha256Digest.Of("1"u8);
    static readonly Sha256Digest Two = Sha256Digest.Of("2"u8);

    static SemanticVersion V(string text) => SemanticVersion.Parse(text);

    /// <summary>An experiment whose only other arm has hardly a device: everybody is in arm b.</summary>
    static Rollout Experiment(Func<Rollout, Rollout>? change = null)
    {
        var rollout = new Rollout("r-2", V("2.0.0"), Two, "salt", "", [new(1)], 0, RolloutState.Running, 1)
        {
            Arms = [new("control", 1e-9), new("b", 1) { Shadow = new(V("2.0.0"), Two) { Share = 0.5 } }],
        };
        return change?.Invoke(rollout) ?? rollout;
    }

    static RolloutPlan Plan(params Rollout[] rollouts) => new(1, ModelName.Parse("plant/bearing"), 1, [.. rollouts], []);

    static DeviceView Device(string? serving) => new("d-1", new FactSet([]), serving is null ? null : V(serving), []);

    static ReleaseChoice Choose(RolloutPlan plan, DeviceView device) => ReleaseChoice.Choose(plan, device, Now);

    static Rollout Whole(string id, string release) => new(id, V(release), One, "salt", "", [new(1)], 0, RolloutState.Complete, 1);

    [Fact]
    public void A_device_of_a_shadow_arm_keeps_what_serves_and_runs_the_release_beside_it()
    {
        var choice = Choose(Plan(Experiment(), Whole("r-1", "1.0.0")), Device("1.0.0"));

        Assert.Equal((ChoiceKind.Keep, "r-1"), (choice.Kind, choice.Rollout!.Id));
        Assert.Equal(("r-2", "2.0.0", Two, "b", 0.5), (choice.Shadow!.Rollout.Id, choice.Shadow.Rollout.Release.ToString(), choice.Shadow.Rollout.Manifest, choice.Shadow.Arm, choice.Shadow.Share));
        Assert.Contains("r-2 (arm b, 2.0.0 as a shadow): runs beside what serves, and answers nobody", choice.Reasons);
    }

    [Fact]
    public void What_older_rollouts_say_of_serving_holds_as_if_the_experiment_were_not_there()
    {
        var choice = Choose(Plan(Experiment(), Whole("r-1", "1.1.0")), Device("1.0.0"));

        Assert.Equal((ChoiceKind.Take, "1.1.0", "r-2"), (choice.Kind, choice.Rollout!.Release.ToString(), choice.Shadow!.Rollout.Id));
    }

    [Fact]
    public void A_newer_rollout_that_decides_ends_the_shadow_of_an_older_experiment() =>
        Assert.Null(Choose(Plan(Whole("r-3", "3.0.0"), Experiment()), Device("3.0.0")).Shadow);

    [Theory]
    [InlineData(null, "nothing serves here that it could run beside")]
    [InlineData("2.0.0", "serves here, and is no shadow of itself")]
    public void It_needs_another_release_that_answers(string? serving, string why)
    {
        var choice = Choose(Plan(Experiment()), Device(serving));

        Assert.Null(choice.Shadow);
        Assert.Contains(choice.Reasons, reason => reason.EndsWith(why, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(RolloutState.Running, false, true)]
    [InlineData(RolloutState.Complete, false, true)]
    [InlineData(RolloutState.Held, false, false)]
    [InlineData(RolloutState.Held, true, true)] // goes on, so that an operator can look
    [InlineData(RolloutState.Aborted, true, false)]
    [InlineData(RolloutState.Reverted, true, false)]
    public void By_the_state_of_the_experiment_it_begins_goes_on_or_ends(RolloutState state, bool runs, bool wanted)
    {
        var choice = Choose(Plan(Experiment(rollout => rollout with { State = state })), Device("1.0.0") with { ShadowBy = runs ? "r-2" : null });

        Assert.Equal((ChoiceKind.Keep, wanted), (choice.Kind, choice.Shadow is not null));
    }

    [Fact]
    public void A_revoked_or_refused_release_is_no_shadow_and_what_serves_is_not_concerned()
    {
        var plan = Plan(Experiment());
        var refused = Device("1.0.0") with { Refusals = [new("r-2", V("2.0.0"), 1, "it crashed")] };

        Assert.Equal((ChoiceKind.Keep, null), Choose(plan with { Revoked = [V("2.0.0")] }, Device("1.0.0")) is var revoked ? (revoked.Kind, revoked.Shadow) : default);
        Assert.Equal((ChoiceKind.Keep, null), Choose(plan, refused) is var choice ? (choice.Kind, choice.Shadow) : default);
        Assert.NotNull(Choose(Plan(Experiment(rollout => rollout with { Attempt = 2 })), refused).Shadow);
    }

    [Fact]
    public void Neither_windows_nor_users_are_waited_for_but_the_start_and_the_turn_are()
    {
        var night = new MaintenanceWindow([], new(2, 0), new(3, 0));
        Assert.NotNull(Choose(Plan(Experiment(rollout => rollout with { Windows = [night], Consent = "May it?" })), Device("1.0.0")).Shadow);

        var early = Choose(Plan(Experiment(rollout => rollout with { StartsAt = Now.AddHours(1) })), Device("1.0.0"));
        Assert.Equal((null, Now.AddHours(1)), (early.Shadow, early.Again!.Value));
        var turn = Choose(Plan(Experiment(rollout => rollout with { Since = Now, Spread = TimeSpan.FromDays(300) })), Device("1.0.0"));
        Assert.True(turn is { Shadow: null, Again: not null });
    }

    [Fact]
    public async Task What_its_manifest_needs_must_serve_here()
    {
        var needs = new ReleaseManifest(1, ModelName.Parse("plant/bearing"), V("2.0.0"), []) { Requires = [new(ModelName.Parse("plant/embedder"), VersionRange.TryParse(">=2.0.0", out var range) ? range : null!)] };

        var choice = await ReleaseChoice.ChooseAsync(Plan(Experiment()), Device("1.0.0"), Now, _ => Task.FromResult<ReleaseManifest?>(needs));

        Assert.Null(choice.Shadow);
        Assert.Contains(choice.Reasons, reason => reason.Contains("plant/embedder", StringComparison.Ordinal));
    }

    [Fact]
    public void In_the_plan_a_shadow_arm_reads_as_one_that_keeps_what_it_has_where_shadows_are_not_known()
    {
        var text = Encoding.UTF8.GetString(DocumentJson.Write(Plan(Experiment())));

        Assert.Contains("{\"name\":\"b\",\"weight\":1,\"shadow\":{\"release\":\"2.0.0\",\"manifest\":\"" + Two + "\",\"share\":0.5}}", text, StringComparison.Ordinal);
        Assert.True(DocumentJson.TryRead(Encoding.UTF8.GetBytes(text), out RolloutPlan? plan, out _));
        Assert.Equal(Experiment().Arms!.Value.AsEnumerable(), plan.Rollouts[0].Arms!.Value);
    }

    static readonly FactSet Facts = new([new("os", "linux"), new("runtime.text", "1.0.0"), new("disk.free", "1000000000"), new("ram.total", "1000"), new("ram.free", "500")]);

    static VariantChoice Fit(long length, long? ram, string? runtime = "text") => VariantChoice.ChooseShadow(
        new(1, ModelName.Parse("plant/bearing"), V("2.0.0"), [new("plain", [new("m", One, length)], ModelFormat.Opaque, runtime) { Requirements = new() { Ram = ram } }]), Facts, _ => 0);

    [Theory]
    [InlineData(400, null, true)] // 400 and a tenth of 1000
    [InlineData(401, null, false)]
    [InlineData(10_000, 400, true)] // what is declared goes before the files' length
    [InlineData(10, 401, false)]
    public void Memory_must_take_it_beside_what_serves_and_leave_a_tenth(long length, int? ram, bool fits) => Assert.Equal(fits, Fit(length, ram).Chosen is not null);

    [Fact]
    public void A_misfit_says_what_it_needs_beside_what_serves()
    {
        Assert.Equal("needs 450 B of memory beside what serves with 100 B to spare, there is 500 B", Assert.Single(Assert.Single(Fit(450, null).Misfits).Reasons));
        Assert.Contains("names no runtime", Assert.Single(Assert.Single(Fit(10, null, runtime: null).Misfits).Reasons), StringComparison.Ordinal);
    }

    static ArmFigures Figures(string arm, long devices, double mean, bool shadow = false, bool keeps = false) =>
        new(arm, 1, devices, 0, Coppice.Numerics.Moments.Of(100, 100 * mean, 100 * (mean * mean + 0.0001))) { Shadow = shadow ? true : null, Keeps = keeps ? true : null };

    [Fact]
    public void A_control_that_keeps_what_it_has_is_not_counted_against_its_weight_and_a_shadow_may_win()
    {
        ImmutableArray<ArmFigures> arms = [Figures("control", 0, 0.8, keeps: true), Figures("b", 100, 0.9, shadow: true)];

        var standing = ExperimentStanding.Judge(new("accuracy", Goal.Higher) { SharpAt = 100 }, arms, 0.95, guardsHold: _ => true);

        Assert.Equal((1, "b", true), (standing.SampleRatioP, standing.Winner, standing.Arms[1].Shadow));
        Assert.Null(ExperimentStanding.Judge(new("accuracy", Goal.Higher) { SharpAt = 100 }, arms, 0.95, guardsHold: _ => false).Winner);
    }
}
