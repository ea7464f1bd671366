using System.Text.Json;
using Coppice.Numerics;
using Coppice.Protocol;
using Coppice.Rollouts;

namespace Coppice.Core.Tests.Rollouts;

public sealed class PhaseVerdictTests
{
    static readonly TimeSpan Hour = TimeSpan.FromHours(1);

    static PhaseEvidence Evidence(RolloutCounts counts, params Gate[] gates) =>
        new(RolloutState.Running, 0, 2, 2 * Hour, new(null, PhaseAction.Revert), new(counts.Refused, counts.TakenBack), counts) { Soak = Hour, Gates = [.. gates], Absent = 1 };

    static Gate Failures(double max = 0.02) => new(GateKind.Failures) { Max = max };

    static Gate Slower(double rise = 0.1) => new(GateKind.Metric) { Metric = "latencyP95Ms", Against = Reference.Before, MaxRise = rise };

    static GateFigures Figures(Gate gate, int devices, double mean, double deviation) => new(gate.Name(), new(devices, mean, deviation * deviation * (devices - 1)), default);

    [Fact]
    public void Many_devices_and_few_failures_are_good_and_the_phase_advances()
    {
        var verdict = PhaseVerdict.Judge(Evidence(new(995, 0, 3, 2), Failures()));

        Assert.Equal(PhaseAction.Advance, verdict.Action);
        Assert.Equal(GateStanding.Good, verdict.Gates[0].Standing);
        Assert.InRange(verdict.Gates[0].High!.Value, 0.005, 0.02);
    }

    [Fact]
    public void Too_many_failures_are_bad_and_the_policy_says_what_that_means()
    {
        var verdict = PhaseVerdict.Judge(Evidence(new(450, 0, 40, 10), Failures()));

        Assert.Equal(PhaseAction.Revert, verdict.Action);
        Assert.StartsWith("failures: 50 of 500 devices failed; that is too much", verdict.Why, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0.05)]
    [InlineData(0.01)]
    public void Three_crashes_of_three_devices_need_no_fourth(double max)
    {
        var counts = new RolloutCounts(0, 0, 0, 3) { Crashed = 3 };

        Assert.Equal(PhaseAction.Revert, PhaseVerdict.Judge(Evidence(counts, new(GateKind.Crashes) { Max = max }, new(GateKind.Silence) { Max = 0.5 })).Action);
    }

    [Fact]
    public void A_few_devices_say_nothing_yet_and_the_verdict_says_how_many_would()
    {
        var verdict = PhaseVerdict.Judge(Evidence(new(20, 0, 0, 0), Failures()));

        Assert.Equal(PhaseAction.Wait, verdict.Action);
        var gate = verdict.Gates[0];
        Assert.Equal(GateStanding.Unknown, gate.Standing);
        var more = gate.DevicesNeeded!.Value;
        Assert.Equal(GateStanding.Good, PhaseVerdict.Judge(Evidence(new((int)(20 + more), 0, 0, 0), Failures())).Gates[0].Standing);
        Assert.Equal(GateStanding.Unknown, PhaseVerdict.Judge(Evidence(new((int)(20 + more - 1), 0, 0, 0), Failures())).Gates[0].Standing);
        Assert.Equal(TimeSpan.FromMinutes(Math.Ceiling(more / 20.0 * 120)), gate.TimeNeeded);
    }

    [Fact]
    public void No_data_is_never_a_pass_for_any_gate()
    {
        Gate[] gates = [Failures(), new(GateKind.TakenBack) { Max = 0.01 }, new(GateKind.Crashes) { Max = 0.01 }, new(GateKind.Silence) { Max = 0.05 }, Slower(), new(GateKind.Check) { Check = "bench" }];
        foreach (var absent in (int?[])[null, 0])
        {
            var verdict = PhaseVerdict.Judge(Evidence(new(0, 0, 0, 0), gates) with { Absent = absent, InPhase = TimeSpan.FromDays(300) });
            Assert.Equal(PhaseAction.Wait, verdict.Action);
            Assert.All(verdict.Gates, gate => Assert.Equal(GateStanding.Unknown, gate.Standing));
        }
    }

    [Fact]
    public void A_metric_that_nobody_reports_holds_the_phase_even_when_all_have_settled()
    {
        var verdict = PhaseVerdict.Judge(Evidence(new(1_000, 0, 0, 0), Failures(), Slower()) with { Absent = 0 });

        Assert.Equal((PhaseAction.Wait, GateStanding.Unknown), (verdict.Action, verdict.Gates[1].Standing));
    }

    [Fact]
    public void A_small_phase_that_has_nothing_more_to_tell_goes_by_its_counts()
    {
        var all = Evidence(new(10, 0, 0, 0), Failures());
        Assert.Equal(PhaseAction.Wait, PhaseVerdict.Judge(all).Action); // one is still to come
        Assert.Equal(PhaseAction.Advance, PhaseVerdict.Judge(all with { Absent = 0 }).Action);
        Assert.Equal(PhaseAction.Advance, PhaseVerdict.Judge(all with { InPhase = TimeSpan.FromDays(7) }).Action); // it had its time
        Assert.Equal(PhaseAction.Wait, PhaseVerdict.Judge(Evidence(new(9, 0, 1, 0), Failures()) with { Absent = 0 }).Action); // 10 % is more than 2 %, and may be chance
    }

    [Fact]
    public void A_phase_that_nobody_is_left_to_decide_says_so_and_that_an_operator_decides()
    {
        var chance = Evidence(new(9, 0, 1, 0), Failures()) with { Absent = 0 };

        var verdict = PhaseVerdict.Judge(chance);
        Assert.True(verdict.IsUndecided);
        Assert.StartsWith("Cannot tell: failures: 1 of 10 devices failed", verdict.Why, StringComparison.Ordinal);
        Assert.EndsWith("all 10 devices of the phase have answered or had their time: an operator decides, by skip, retry, abort or revert.", verdict.Why, StringComparison.Ordinal);
        Assert.EndsWith("10 devices of the phase have answered, and the others had their 7d: an operator decides, by skip, retry, abort or revert.", PhaseVerdict.Judge(chance with { Absent = null, InPhase = TimeSpan.FromDays(7) }).Why, StringComparison.Ordinal);
        Assert.Equal("No device has settled; no device that is known here is in the phase's reach: an operator decides, by skip, retry, abort or revert.", PhaseVerdict.Judge(Evidence(new(0, 0, 0, 0)) with { Absent = 0 }).Why);
        Assert.False(PhaseVerdict.Judge(chance with { Absent = 1 }).IsUndecided); // one may still come
        Assert.False(PhaseVerdict.Judge(chance with { Counts = new(8, 1, 1, 0) }).IsUndecided); // one is under way
    }

    [Theory]
    [InlineData(PhaseAction.Hold)]
    [InlineData(PhaseAction.Revert)]
    public void What_a_plan_names_happens_to_an_undecided_phase_when_nobody_decides_in_time(PhaseAction named)
    {
        var chance = Evidence(new(9, 0, 1, 0), Failures()) with { Absent = 0, Policy = new(null, PhaseAction.Revert) { OnUndecided = named, DecideWithin = 6 * Hour } };

        Assert.EndsWith($"otherwise it is {(named == PhaseAction.Hold ? "held" : "reverted")} 6h after that was known.", PhaseVerdict.Judge(chance).Why, StringComparison.Ordinal);
        Assert.Equal(PhaseAction.Wait, PhaseVerdict.Judge(chance with { Undecided = 6 * Hour - TimeSpan.FromSeconds(1) }).Action);
        var late = PhaseVerdict.Judge(chance with { Undecided = 6 * Hour });
        Assert.Equal(named, late.Action);
        Assert.EndsWith("and no operator decided within 6h.", late.Why, StringComparison.Ordinal);
        Assert.Equal(PhaseAction.Advance, PhaseVerdict.Judge(chance with { Undecided = 6 * Hour, Counts = new(1_000, 0, 1, 0) }).Action); // devices that joined since have told
        Assert.Equal(PhaseAction.Wait, PhaseVerdict.Judge(chance with { Undecided = TimeSpan.FromDays(300), Policy = new() }).Action);
    }

    [Fact]
    public void An_arm_that_has_won_is_promoted_by_the_verdict_itself_and_the_evidence_that_was_kept_gives_it_again()
    {
        var terms = new ExperimentTerms("accuracy", Goal.Higher) { SharpAt = 100, Promote = true };
        var evidence = Evidence(new(200, 0, 0, 0), Failures(0.3)) with
        {
            Soak = null,
            Experiment = terms,
            Arms = [new("control", 1, 100, 0, new(100, 0.90, 0.01)), new("b", 1, 100, 0, new(100, 0.95, 0.01))],
        };

        var verdict = PhaseVerdict.Judge(evidence);
        Assert.Equal((PhaseAction.Promote, "b"), (verdict.Action, verdict.Compared!.Winner));
        var kept = PhaseVerdict.Judge(JsonSerializer.Deserialize(JsonSerializer.Serialize(evidence, ControlContext.Default.PhaseEvidence), ControlContext.Default.PhaseEvidence)!);
        Assert.Equal((verdict.Action, verdict.Why, "b"), (kept.Action, kept.Why, kept.Compared!.Winner));

        Assert.StartsWith("b is better than control", PhaseVerdict.Judge(evidence with { Experiment = terms with { Promote = false } }).Why, StringComparison.Ordinal);
        Assert.Equal(PhaseAction.Wait, PhaseVerdict.Judge(evidence with { Experiment = terms with { Promote = false } }).Action);
        Assert.Equal(PhaseAction.Revert, PhaseVerdict.Judge(evidence with { Counts = new(100, 0, 100, 0) }).Action); // a bad gate comes first
        Assert.Equal(PhaseAction.Wait, PhaseVerdict.Judge(evidence with { State = RolloutState.Held }).Action);
    }

    static PhaseEvidence Experiment(params ArmEvidence[] arms)
    {
        int Sum(Func<RolloutCounts, int> of) => arms.Sum(arm => of(arm.Counts));
        return Evidence(new(Sum(counts => counts.Settled), Sum(counts => counts.Underway), Sum(counts => counts.Refused), Sum(counts => counts.TakenBack)), Failures(0.05)) with { ByArm = [.. arms] };
    }

    [Fact]
    public void A_bad_arm_is_not_hidden_by_a_good_one_and_an_arm_without_a_word_is_no_pass()
    {
        var evidence = Experiment(new("a", new(5_000, 0, 0, 0)), new ArmEvidence("b", new(160, 0, 40, 0)));

        var verdict = PhaseVerdict.Judge(evidence);
        Assert.Equal(PhaseAction.Revert, verdict.Action);
        Assert.StartsWith("failures of b: 40 of 200 devices failed", verdict.Why, StringComparison.Ordinal);
        Assert.Equal([("a", GateStanding.Good), ("b", GateStanding.Bad)], verdict.Gates.Select(gate => (gate.Arm!, gate.Standing)));
        Assert.Equal(PhaseAction.Advance, PhaseVerdict.Judge(evidence with { ByArm = [] }).Action); // taken together they hide it: so evidence of older versions is judged, as it was then

        var silent = PhaseVerdict.Judge(Experiment(new("a", new(1_000, 0, 0, 0)), new ArmEvidence("b", new(0, 0, 0, 0))) with { Absent = 0 });
        Assert.Equal((PhaseAction.Wait, true, "Cannot tell: failures of b: no device has begun yet"), (silent.Action, silent.IsUndecided, silent.Why.Split(';')[0]));
    }

    [Fact]
    public void Each_arm_is_held_against_the_limit_of_a_metric_by_its_own_devices()
    {
        var gate = Slower();
        ArmEvidence Arm(string name, double change) => new(name, new(500, 0, 0, 0)) { Figures = [Figures(gate, 500, change, 0.2)] };
        var evidence = Experiment(Arm("a", -0.2), Arm("b", 0.25)) with { Gates = [gate], Figures = [Figures(gate, 1_000, 0.025, 0.2)] };

        var verdict = PhaseVerdict.Judge(evidence);
        Assert.Equal([GateStanding.Good, GateStanding.Bad], verdict.Gates.Select(said => said.Standing));
        Assert.StartsWith("latencyP95Ms high against before of b: +28.4% over 500 devices", verdict.Why, StringComparison.Ordinal);
        var kept = JsonSerializer.Deserialize(JsonSerializer.Serialize(evidence, ControlContext.Default.PhaseEvidence), ControlContext.Default.PhaseEvidence)!;
        Assert.Equal(verdict.Why, PhaseVerdict.Judge(kept).Why);
    }

    [Fact]
    public void An_arm_wins_when_its_own_gates_hold_whether_or_not_those_of_another_can_be_told()
    {
        PhaseEvidence With(RolloutCounts control, RolloutCounts b) => Experiment(new("control", control), new ArmEvidence("b", b)) with
        {
            Soak = null,
            Experiment = new("accuracy", Goal.Higher) { SharpAt = 100, Promote = true },
            Arms = [new("control", 1, 100, 0, new(100, 0.90, 0.01)), new("b", 1, 100, 0, new(100, 0.95, 0.01))],
        };

        var (told, open) = (new RolloutCounts(500, 0, 0, 0), new RolloutCounts(20, 0, 0, 0));
        Assert.Equal(PhaseAction.Promote, PhaseVerdict.Judge(With(open, told)).Action);
        var waits = PhaseVerdict.Judge(With(told, open));
        Assert.Equal((PhaseAction.Wait, null, "b is better in accuracy, but a gate does not hold yet for it"), (waits.Action, waits.Compared!.Winner, waits.Compared.Why));
        Assert.Equal(PhaseAction.Revert, PhaseVerdict.Judge(With(new(400, 0, 100, 0), told)).Action);
    }

    [Fact]
    public void What_only_shadows_report_is_asked_of_shadows_alone()
    {
        var gate = new Gate(GateKind.Metric) { Metric = "agreement", Min = 0.98 };
        var a = new ArmEvidence("a", new(500, 0, 0, 0));
        var b = new ArmEvidence("b", new(500, 0, 0, 0)) { Shadow = true, Figures = [Figures(gate, 500, -0.99, 0.005)] };

        var verdict = PhaseVerdict.Judge(Experiment(a, b) with { Gates = [gate] });
        Assert.Equal(("b", GateStanding.Good), (Assert.Single(verdict.Gates).Arm, verdict.Gates[0].Standing));
        Assert.Equal(GateStanding.Unknown, Assert.Single(PhaseVerdict.Judge(Experiment(a) with { Gates = [gate] }).Gates).Standing); // nobody could report it: no pass
    }

    [Fact]
    public void A_silent_device_holds_nobody_up_for_ever_and_counts_where_silence_is_a_gate()
    {
        var silence = new Gate(GateKind.Silence) { Max = 0.05 };
        var counts = new RolloutCounts(400, 0, 0, 0) { Silent = 1 };
        Assert.Equal(PhaseAction.Advance, PhaseVerdict.Judge(Evidence(counts)).Action);
        Assert.Equal(PhaseAction.Advance, PhaseVerdict.Judge(Evidence(counts, Failures(), silence)).Action);

        var verdict = PhaseVerdict.Judge(Evidence(counts with { Silent = 60 }, Failures(), silence));
        Assert.Equal(PhaseAction.Revert, verdict.Action);
        Assert.StartsWith("silence: 60 of 460 devices went silent", verdict.Why, StringComparison.Ordinal);
    }

    [Fact]
    public void One_refusal_among_many_holds_nobody_unless_the_policy_says_so()
    {
        var one = Evidence(new(999, 0, 1, 0), Failures());

        Assert.Equal(PhaseAction.Advance, PhaseVerdict.Judge(one).Action);
        Assert.Equal(PhaseAction.Hold, PhaseVerdict.Judge(one with { Policy = RolloutPolicy.Careful }).Action);
    }

    [Fact]
    public void Failures_that_come_before_successes_can_settle_are_no_false_alarm()
    {
        // 1 % fail at once, and the others are on probation: the share of those that have ended is 100 %.
        Assert.Equal(PhaseAction.Wait, PhaseVerdict.Judge(Evidence(new(0, 990, 10, 0), Failures())).Action);
        Assert.Equal(PhaseAction.Revert, PhaseVerdict.Judge(Evidence(new(0, 900, 100, 0), Failures())).Action);
    }

    [Fact]
    public void A_metric_is_compared_with_the_same_devices_before_as_a_ratio()
    {
        var gate = Slower();
        PhaseVerdict Judge(double ratio, int devices = 400) => PhaseVerdict.Judge(Evidence(new(400, 0, 0, 0), gate) with { Figures = [Figures(gate, devices, Math.Log(ratio), 0.2)] });

        Assert.Equal(PhaseAction.Advance, Judge(1.02).Action);
        Assert.Equal(PhaseAction.Revert, Judge(1.3).Action);
        Assert.Equal(PhaseAction.Wait, Judge(1.1).Action);
        Assert.Equal(PhaseAction.Wait, Judge(1.02, devices: 29).Action);
        Assert.Equal(0.02, Judge(1.02).Gates[0].Seen!.Value, 1e-9);
        Assert.Equal(Math.Log(1.5), gate.Contribution(30, 20));
        Assert.Null(gate.Contribution(30, 0));
        Assert.Null(gate.Contribution(30, null));
    }

    [Fact]
    public void Accuracy_may_drop_by_so_much_and_a_mean_may_have_a_floor()
    {
        var drop = new Gate(GateKind.Metric) { Metric = "accuracy", Against = Reference.Before, MaxDrop = 0.01 };
        Assert.Equal(0.03, drop.Contribution(0.90, 0.93)!.Value, 1e-12);
        Assert.Equal(PhaseAction.Revert, PhaseVerdict.Judge(Evidence(new(400, 0, 0, 0), drop) with { Figures = [Figures(drop, 400, 0.03, 0.02)] }).Action);
        Assert.Equal(PhaseAction.Advance, PhaseVerdict.Judge(Evidence(new(400, 0, 0, 0), drop) with { Figures = [Figures(drop, 400, -0.02, 0.02)] }).Action);

        var floor = new Gate(GateKind.Metric) { Metric = "accuracy", Min = 0.9 };
        var verdict = PhaseVerdict.Judge(Evidence(new(400, 0, 0, 0), floor) with { Figures = [Figures(floor, 400, -0.95, 0.02)] });
        Assert.Equal((PhaseAction.Advance, 0.95), (verdict.Action, Math.Round(verdict.Gates[0].Seen!.Value, 9)));
    }

    [Fact]
    public void Control_is_other_devices_at_the_same_time()
    {
        var gate = new Gate(GateKind.Metric) { Metric = "temperature", Against = Reference.Control, MaxRise = 1 };
        PhaseVerdict Judge(double mean, int control) => PhaseVerdict.Judge(Evidence(new(300, 0, 0, 0), gate) with { Figures = [new(gate.Name(), new(300, mean, 299 * 4), new(control, 40, Math.Max(0, control - 1) * 4))] });

        Assert.Equal(PhaseAction.Advance, Judge(40.1, 300).Action);
        Assert.Equal(PhaseAction.Revert, Judge(42.5, 300).Action);
        Assert.Equal("temperature high against control: no device of the control has reported it", $"{gate.Name()}: {Judge(40, 0).Gates[0].Why}");
    }

    [Fact]
    public void A_check_from_outside_counts_as_it_comes()
    {
        var gate = new Gate(GateKind.Check) { Check = "bench" };
        var evidence = Evidence(new(5, 0, 0, 0), gate);

        Assert.Equal(PhaseAction.Wait, PhaseVerdict.Judge(evidence).Action);
        Assert.Equal(PhaseAction.Advance, PhaseVerdict.Judge(evidence with { Checks = [new("bench", true, "ok")] }).Action);
        Assert.Equal(PhaseAction.Revert, PhaseVerdict.Judge(evidence with { Checks = [new("bench", false, "burnt")] }).Action);
    }

    [Fact]
    public void Evidence_that_was_kept_gives_the_same_verdict()
    {
        var gate = Slower();
        var evidence = Evidence(new(380, 7, 9, 4) { Crashed = 3, Silent = 2 }, Failures(), gate, new(GateKind.Crashes) { Max = 0.01 }) with { Figures = [Figures(gate, 380, 0.0123456789, 0.2)] };
        var kept = JsonSerializer.Deserialize(JsonSerializer.Serialize(evidence, ControlContext.Default.PhaseEvidence), ControlContext.Default.PhaseEvidence)!;

        var (now, then) = (PhaseVerdict.Judge(evidence), PhaseVerdict.Judge(kept));
        Assert.Equal((now.Action, now.Why), (then.Action, then.Why));
        Assert.Equal(now.Gates.AsEnumerable(), then.Gates.AsEnumerable());
    }

    [Fact]
    public void Everything_wrong_with_gates_is_said_by_field()
    {
        Gate[] gates =
        [
            new(GateKind.Failures), new(GateKind.Crashes) { Max = 1.5 }, new(GateKind.Metric) { Metric = "x", Max = 1, Min = 0 }, new(GateKind.Metric) { Metric = "x", Against = Reference.Before },
            new(GateKind.Check), Failures(), Failures(), new(GateKind.Silence) { Max = 0.1, Check = "x" },
        ];

        Assert.Equal(["gates[0].max", "gates[1].max", "gates[2]", "gates[3]", "gates[4].check", "gates[6]", "gates[7]"], GateRules.Check([.. gates], "gates").Select(problem => problem.Where));
    }

    /// <summary>Whole rollouts: two phases, three gates that share their devices, a look after every fortieth device. The release is at each limit, which is allowed.</summary>
    [Fact]
    public void A_release_at_its_limits_is_stopped_in_at_most_alpha_of_ten_thousand_rollouts()
    {
        const int Runs = 10_000, Devices = 240, Look = 40;
        Gate[] gates = [Failures(0.05), new(GateKind.TakenBack) { Max = 0.03 }, Slower()];
        var stopped = 0;
        var random = new SeededRandom(7);
        for (var run = 0; run < Runs; run++)
        {
            var stops = false;
            for (var phase = 0; phase < 2 && !stops; phase++)
            {
                var (settled, refused, back) = (0, 0, 0);
                var figures = default(Moments);
                for (var device = 1; device <= Devices && !stops; device++)
                {
                    var draw = random.NextDouble();
                    (refused, back, settled) = draw < 0.02 ? (refused + 1, back, settled) : draw < 0.05 ? (refused, back + 1, settled) : (refused, back, settled + 1);
                    figures = figures.Add(Math.Log(1.1) + 0.3 * random.NextGaussian());
                    if (device % Look != 0)
                        continue;
                    var evidence = Evidence(new(settled, 0, refused, back), gates) with { Phase = phase, Figures = [new(gates[2].Name(), figures, default)] };
                    stops = PhaseVerdict.Judge(evidence, explain: false).Action == PhaseAction.Revert;
                }
            }

            stopped += stops ? 1 : 0;
        }

        Assert.InRange(stopped, 1, 500);
    }
}
