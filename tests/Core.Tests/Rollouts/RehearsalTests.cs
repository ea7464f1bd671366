using Coppice.Registry;
using Coppice.Rollouts;
using Coppice.Rollouts.Rehearsals;

namespace Coppice.Core.Tests.Rollouts;

public sealed class RehearsalTests
{
    static readonly TimeSpan Hour = TimeSpan.FromHours(1);

    static readonly RehearsalWorld World = new() { Devices = 5_000, Days = 10, Checks = Hour };

    static RehearsedRollout Plan(params Gate[] gates) => RehearsedRollout.Of(
        SemanticVersion.Parse("1.1.0"), "", [new(0.1, 4 * Hour), new(0.5, 4 * Hour), new(1, 4 * Hour)], [.. gates], new(null, PhaseAction.Revert), 0.95, TimeSpan.FromHours(24));

    static Gate Failures => new(GateKind.Failures) { Max = 0.03 };

    [Fact]
    public void Phases_may_have_gates_of_their_own_on_other_metrics()
    {
        Gate Metric(string name) => new(GateKind.Metric) { Metric = name, Against = Reference.Before, MaxRise = 0.2 };
        var plan = Plan(Metric("latencyP95Ms"), Metric("memoryBytes"));
        plan = plan with { Phases = [plan.Phases[0] with { Gates = [Failures] }, plan.Phases[1] with { Gates = [Metric("temperature")] }, plan.Phases[2]] };

        var result = Rehearsal.Run(plan, World);

        Assert.Equal((RolloutState.Complete, 3), (result.State, result.Phases.Length));
    }

    [Fact]
    public void A_release_that_is_a_little_too_bad_for_a_small_phase_waits_for_an_operator_or_ends_as_the_plan_says()
    {
        var plan = Plan(Failures) with { Phases = [new(0.02, 4 * Hour), new(1, 4 * Hour)] };
        plan = plan with { Rollout = plan.Rollout with { Phases = plan.Phases } };
        var world = World with { Release = new(0.03, 0.03) };

        var waits = Rehearsal.Run(plan, world);
        Assert.Equal((RolloutState.Running, 0), (waits.State, waits.Undecided!.Phase));
        Assert.Contains("an operator decides", waits.Undecided.Why, StringComparison.Ordinal);

        var ends = Rehearsal.Run(plan with { Policy = plan.Policy with { OnUndecided = PhaseAction.Revert, DecideWithin = 6 * Hour } }, world);
        Assert.Equal((RolloutState.Reverted, null), (ends.State, ends.Undecided));
        Assert.InRange(ends.Stop!.At - waits.Undecided.At, 6 * 3600, 6 * 3600 + 600);
    }

    [Fact]
    public void A_good_release_reaches_every_device_that_lives_and_every_number_adds_up()
    {
        var result = Rehearsal.Run(Plan(Failures), World);

        Assert.Equal((RolloutState.Complete, null), (result.State, result.Stop));
        Assert.Equal(3, result.Phases.Length);
        Assert.Equal(5_000, result.Settled + result.Failed + result.Silent + result.Underway);
        Assert.InRange(result.Failed, 1, 30);
        Assert.Equal(World.Bytes * 5_000, result.Bytes);
        Assert.True(result.Phases.Zip(result.Phases.Skip(1)).All(pair => pair.First.EndedAt <= pair.Second.StartedAt));
        Assert.Equal(result.Settled, result.SettledByHour[^1]);
        Assert.True(result.BytesByHour.Sum() is var sum && Math.Abs(sum - result.Bytes) < 1e-3 * result.Bytes);
    }

    [Fact]
    public void The_same_seed_gives_the_same_rehearsal_and_another_one_another()
    {
        var (first, again, other) = (Rehearsal.Run(Plan(Failures), World), Rehearsal.Run(Plan(Failures), World), Rehearsal.Run(Plan(Failures), World with { Seed = 2 }));

        Assert.Equal(first.SettledByHour.AsEnumerable(), again.SettledByHour.AsEnumerable());
        Assert.Equal(first.Phases.AsEnumerable(), again.Phases.AsEnumerable());
        Assert.NotEqual(first.SettledByHour.AsEnumerable(), other.SettledByHour.AsEnumerable());
    }

    [Fact]
    public void A_bad_release_is_reverted_at_the_first_share_and_its_devices_go_back_when_they_are_on()
    {
        var result = Rehearsal.Run(Plan(Failures), World with { Release = new(0.1, 0.1) });

        Assert.Equal((RolloutState.Reverted, PhaseAction.Revert, 0.1), (result.State, result.Stop!.Action, result.Stop.Share));
        Assert.True(result.Stop.Devices < 600);
        Assert.Equal((0, 0), (result.Settled, result.Underway));
        Assert.True(result.Back > 0);
    }

    [Fact]
    public void A_slower_release_is_caught_by_its_metric_alone()
    {
        var gate = new Gate(GateKind.Metric) { Metric = "latencyP95Ms", Against = Reference.Before, MaxRise = 0.1 };
        var slow = World with { Release = new() { Effects = [("latencyP95Ms", 0.3)] } };

        Assert.Equal(RolloutState.Complete, Rehearsal.Run(Plan(gate), World).State);
        var stopped = Rehearsal.Run(Plan(gate), slow);
        Assert.Equal(RolloutState.Reverted, stopped.State);
        Assert.Contains("latencyP95Ms", stopped.Stop!.Why, StringComparison.Ordinal);
    }

    [Fact]
    public void Devices_that_never_come_back_hold_nobody_up_and_a_gate_counts_them()
    {
        var lost = World with { Lost = 0.2 };

        Assert.Equal(RolloutState.Complete, Rehearsal.Run(Plan(Failures), lost).State);
        var stopped = Rehearsal.Run(Plan(Failures, new(GateKind.Silence) { Max = 0.05 }), lost);
        Assert.Equal(RolloutState.Reverted, stopped.State);
        Assert.StartsWith("silence", stopped.Stop!.Why, StringComparison.Ordinal);
    }

    [Fact]
    public void Without_gates_a_phase_waits_for_each_device_until_it_is_silent()
    {
        var careful = Plan() with { Policy = new(1_000, PhaseAction.Hold) };

        Assert.Equal(RolloutState.Complete, Rehearsal.Run(careful, World).State);
        Assert.Equal(RolloutState.Held, Rehearsal.Run(careful with { Policy = RolloutPolicy.Careful }, World).State);
    }

    [Fact]
    public void A_spread_and_a_window_flatten_what_the_origin_sees_and_the_plan_decides_when()
    {
        var at_once = Rehearsal.Run(Plan(Failures), World with { Presence = PresenceMix.AllOn, Poll = TimeSpan.FromMinutes(5) });
        var plan = Plan(Failures);
        var spread = Rehearsal.Run(plan with { Rollout = plan.Rollout with { Spread = 4 * Hour } }, World with { Presence = PresenceMix.AllOn, Poll = TimeSpan.FromMinutes(5) });
        Assert.True(spread.PeakBytes < at_once.PeakBytes / 4, $"{spread.PeakBytes} against {at_once.PeakBytes}");

        var night = Rehearsal.Run(plan with { Rollout = plan.Rollout with { Windows = [new([], new(2, 0), new(4, 0))] } }, World with { Presence = new(1, 0, 0, 1) });
        Assert.Equal(0, night.SettledByHour[17]); // from eight in the morning until two at night
        Assert.True(night.SettledByHour[20] > 0);
    }

    [Fact]
    public void Phases_by_selector_reach_the_devices_that_have_the_facts()
    {
        var plan = RehearsedRollout.Of(SemanticVersion.Parse("1.1.0"), "", [new(1, Hour) { Selector = "label.site = lab" }, new(1, Hour)], [Failures], new(null, PhaseAction.Revert), 0.95, TimeSpan.FromHours(24));

        var result = Rehearsal.Run(plan, World with { Facts = [new("label.site", "lab", 0.1)] });

        Assert.InRange(result.Phases[0].Reached, 400, 600);
        Assert.Equal((RolloutState.Complete, 5_000), (result.State, result.Phases[1].Reached));
    }

    /// <summary>The invariants of a rollout under random faults; each seed is a rehearsal of its own.</summary>
    [Fact]
    public void Whatever_goes_wrong_phases_only_move_on_evidence()
    {
        for (var seed = 1UL; seed <= 60; seed++)
        {
            var random = new Coppice.Numerics.SeededRandom(seed);
            double Some(double most) => random.NextInt32(2) == 0 ? 0 : most * random.NextDouble();
            var world = new RehearsalWorld
            {
                Devices = 300 + random.NextInt32(2_000),
                Days = 6,
                Seed = seed,
                Failures = Some(0.05),
                Lost = Some(0.3),
                Release = new(Some(0.2), Some(0.2), Some(0.1)),
                Poll = TimeSpan.FromMinutes(5 + random.NextInt32(120)),
                Presence = random.NextInt32(2) == 0 ? PresenceMix.AllOn : new(Some(0.5), Some(0.3), Some(0.2), 6),
            };
            var gates = new List<Gate> { new(GateKind.Failures) { Max = 0.02 + 0.1 * random.NextDouble() } };
            if (random.NextInt32(2) == 0)
                gates.Add(new(GateKind.Silence) { Max = 0.1 });
            if (random.NextInt32(2) == 0)
                gates.Add(new(GateKind.Metric) { Metric = "m", Against = Reference.Before, MaxRise = 0.5 });
            var result = Rehearsal.Run(Plan([.. gates]), world);

            Assert.True(world.Devices >= result.Settled + result.Failed + result.Silent + result.Underway + result.Back);
            Assert.Equal(result.State is RolloutState.Reverted or RolloutState.Held, result.Stop is not null);
            foreach (var phase in result.Phases)
            {
                if (phase.EndedAt is not { } ended || result.Stop?.Phase == phase.Index)
                    continue;
                Assert.True(ended - phase.StartedAt >= 4 * 3600, $"seed {seed}: phase {phase.Index} did not soak");
                Assert.True(phase.Settled > 0, $"seed {seed}: phase {phase.Index} ended on no data");
            }
        }
    }
}
