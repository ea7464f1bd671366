using System.Collections.Immutable;
using Coppice.Protocol;
using Coppice.Rollouts;
using Coppice.Server.Rollouts;
using static Coppice.Server.Tests.RunningServer;

namespace Coppice.Server.Tests.Rollouts.Conducting;

/// <summary>What a seed does to a world: the same acts in the same order on every machine.</summary>
sealed class ConductorChance(ConductorWorld world, int seed)
{
    const int Acts = 24;

    static readonly ReportKind[] Usual = [ReportKind.Started, ReportKind.Switched, ReportKind.Settled, ReportKind.Settled, ReportKind.Settled, ReportKind.Settled, ReportKind.Settled, ReportKind.Refused, ReportKind.TakenBack, ReportKind.Unfit];

    readonly Random random = new(seed);
    readonly List<(int Device, ReportBatch Batch)> late = [];
    int release;

    public async Task RunAsync()
    {
        var experiments = random.Next(20) == 0; // they need many devices, and cost as much
        for (var act = 0; act < Acts; act++)
            await ActAsync(experiments);
    }

    Task ActAsync(bool experiments)
    {
        if (world.Rollouts.Count == 0 || (world.Rollouts.Values.All(rollout => rollout.State != RolloutState.Running) && random.Next(3) == 0))
            return RollAsync(experiments);
        var (newest, rollout) = world.Rollouts.MaxBy(pair => pair.Key);
        if (experiments && rollout is { HasArms: true, State: RolloutState.Running } && random.Next(8) == 0)
            return EverybodyAsync(newest, rollout);
        switch (random.Next(20))
        {
            case 0:
                return world.SetClockAsync(TimeSpan.FromHours(random.Next(1, 30)));
            case 1:
                return world.SetClockAsync(TimeSpan.FromMinutes(random.Next(-15, 16)));
            case 2:
                return world.RestartAsync();
            case 3 or 4:
                return OrderAsync(newest, rollout);
            case 5:
                return world.CheckAsync(newest, random.Next(5) == 0 ? rollout.Phase + 1 : rollout.Phase, random.Next(6) != 0, Fault(out var check), check);
            case 6 when random.Next(6) == 0:
                return world.RevokeAsync(random.Next(1, release + 1), Fault(out var revoke), revoke);
            case 6 or 7 or 8 or 9:
                return world.JudgeAsync(Fault(out var judge), judge);
            case 10 when !experiments:
                return SiteAsync();
            case 11 or 12 when late.Count > 0:
                var again = late[random.Next(late.Count)];
                return world.ArriveAsync(again, random.Next(2) == 0, Fault(out var arrive), arrive);
            default:
                return SayAsync();
        }
    }

    Task RollAsync(bool experiment)
    {
        if (release == ConductorTemplate.Releases)
            return world.JudgeAsync();
        release++;
        TimeSpan? Soak() => random.Next(5) == 0 ? null : TimeSpan.FromHours(random.Next(4));
        var gates = random.Next(4);
        var wanted = new StartRollout(Bearing, ConductorTemplate.Release(release), random.Next(3) == 0 ? [new(1, Soak())] : [new(0.4, Soak()), new(1, Soak())])
        {
            Selector = experiment ? "" : "site = oslo",
            Salt = $"salt {random.Next(1_000)}",
            Gates = [.. new Gate[] { new(GateKind.Failures) { Max = 0.3 }, new(GateKind.Silence) { Max = 0.4 }, new(GateKind.Check) { Check = "bench" } }.Take(gates)],
            Policy = new(gates == 0 || random.Next(3) == 0 ? random.Next(3) : null, random.Next(2) == 0 ? PhaseAction.Hold : PhaseAction.Revert)
            {
                OnUndecided = random.Next(3) switch { 0 => PhaseAction.Hold, 1 => PhaseAction.Revert, _ => PhaseAction.Wait },
            },
            Deadline = TimeSpan.FromHours(24),
        };
        if (experiment && release > 1)
        {
            wanted = wanted with
            {
                Arms = [new("control", 1, random.Next(2) == 0 ? null : ConductorTemplate.Release(release - 1)), new("b", 1, wanted.Release) { Shadow = random.Next(3) == 0 ? true : null }],
                Experiment = new("accuracy", Goal.Higher) { SharpAt = 100, Promote = random.Next(3) != 0 },
                Phases = [new(1, Soak())],
            };
        }

        return world.StartRolloutAsync(wanted, Fault(out var step), step);
    }

    Task OrderAsync(long newest, KnownRollout rollout)
    {
        var older = random.Next(4) == 0 ? random.Next(1, (int)newest + 1) : newest;
        var about = world.Rollouts.GetValueOrDefault(older, rollout);
        var fault = Fault(out var step);
        return random.Next(8) switch
        {
            0 => world.OrderAsync(RolloutVerb.Hold, older, fault: fault, step: step),
            1 or 2 => world.OrderAsync(RolloutVerb.Resume, older, fault: fault, step: step),
            3 => world.OrderAsync(RolloutVerb.Retry, older, attempt: about.Attempt + random.Next(3), fault: fault, step: step),
            4 => world.OrderAsync(RolloutVerb.Advance, older, phase: about.Phase + random.Next(3), fault: fault, step: step),
            5 => world.OrderAsync(RolloutVerb.Abort, older, fault: fault, step: step),
            6 when about.HasArms => world.PromoteAsync(older, random.Next(2) == 0 ? "control" : "b", fault, step),
            _ => world.OrderAsync(RolloutVerb.Revert, older, fault: fault, step: step),
        };
    }

    /// <summary>A device has come to something, perhaps to several things; it sends them, or some of them, and its message arrives, arrives twice, or gets lost.</summary>
    Task SayAsync()
    {
        var device = random.Next(ConductorTemplate.Oslo);
        for (var more = random.Next(1, 3); more > 0; more--)
            HappensTo(device, Usual[random.Next(Usual.Length)]);
        var message = world.Send(device, random.Next(5) == 0 ? 1 : int.MaxValue);
        if (random.Next(2) == 0)
            late.Add(message); // a copy is under way
        if (random.Next(10) == 0)
            return Task.CompletedTask; // it got lost
        return world.ArriveAsync(message, answers: random.Next(5) != 0, Fault(out var step), step);
    }

    void HappensTo(int device, ReportKind kind)
    {
        var numbers = world.Rollouts.Keys.Order().ToArray();
        var number = random.Next(6) == 0 ? numbers[random.Next(numbers.Length)] : numbers[^1];
        var rollout = world.Rollouts[number];
        var arms = rollout.HasArms ? rollout.Terms.Arms.Where(arm => arm.Release is not null).ToArray() : [];
        var chosen = arms.Length > 0 ? arms[random.Next(arms.Length)] : null;
        var brought = chosen?.Release ?? rollout.Terms.Release;
        // A device may not have heard yet that its shadow was promoted.
        var shadow = chosen?.Shadow == true || (chosen is null && random.Next(3) == 0 && rollout.Terms.Arms.Any(arm => arm.Shadow == true));
        var attempt = Math.Max(1, rollout.Attempt + random.Next(10) switch { 0 => -1, 1 => 1, _ => 0 });
        world.Happens(device, kind, random.Next(30) == 0 ? "r-99" : $"r-{number}", random.Next(30) == 0 ? ConductorTemplate.Release(1) : brought, attempt, shadow: shadow);
    }

    /// <summary>The whole site comes to something, most of it to good, and the worker looks.</summary>
    async Task SiteAsync()
    {
        for (var device = 0; device < ConductorTemplate.Oslo; device++)
            HappensTo(device, random.Next(15) == 0 ? ReportKind.Refused : ReportKind.Settled);
        await world.ArriveTogetherAsync([.. Enumerable.Range(0, ConductorTemplate.Oslo).Select(device => world.Send(device))]);
        await world.JudgeAsync(Fault(out var step), step);
    }

    /// <summary>All devices of an experiment settle; one arm may be better.</summary>
    async Task EverybodyAsync(long number, KnownRollout rollout)
    {
        var better = random.Next(3) == 0 ? 0 : 0.05;
        var messages = new List<(int, ReportBatch)>();
        for (var device = 0; device < ConductorTemplate.Devices; device++)
        {
            var arm = rollout.ArmOf(ConductorTemplate.Device(device));
            if (arm.Release is null)
                continue;
            world.Happens(device, ReportKind.Settled, $"r-{number}", arm.Release, rollout.Attempt,
                ImmutableDictionary<string, double>.Empty.Add("deviceAccuracy", 0.9 + (arm.Name == "b" ? better : 0) + 0.01 * random.NextDouble()).Add("servingAccuracy", 0.9 + 0.01 * random.NextDouble()), arm.Shadow == true);
            messages.Add(world.Send(device));
        }

        await world.ArriveTogetherAsync(messages);
        await world.JudgeAsync(Fault(out var step), step);
    }

    Fault Fault(out int step)
    {
        step = random.Next(12);
        return random.Next(12) switch { 0 => Conducting.Fault.Tables, 1 => Conducting.Fault.Tree, 2 => Conducting.Fault.Death, _ => Conducting.Fault.None };
    }
}
