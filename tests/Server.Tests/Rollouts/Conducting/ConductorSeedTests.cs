using System.Globalization;
using System.Text;
using Coppice.Protocol;
using Coppice.Rollouts;
using Coppice.Server.Rollouts;
using Xunit.Abstractions;
using static Coppice.Server.Tests.RunningServer;

namespace Coppice.Server.Tests.Rollouts.Conducting;

/// <summary>
/// Rollouts under everything that can go wrong around the server that moves them, in seeded order: reports late, doubled, reordered, unanswered, of other attempts and other releases;
/// operators who order this and that; a database that refuses a row in the middle of anything; a full disk; a process that ends while it publishes; clocks that jump.
/// </summary>
/// <remarks>COPPICE_CONDUCTOR_SEEDS sets how many seeds are run, COPPICE_CONDUCTOR_SEED runs one.</remarks>
public sealed class ConductorSeedTests(ITestOutputHelper output)
{
    const int Seeds = 500;
    const int MostShown = 5;

    static int? Number(string name) => int.TryParse(Environment.GetEnvironmentVariable(name), NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : null;

    [Fact]
    public async Task What_must_stay_true_of_a_rollout_stays_true_whatever_happens()
    {
        var (first, count) = Number("COPPICE_CONDUCTOR_SEED") is { } one ? (one, 1) : (1, Number("COPPICE_CONDUCTOR_SEEDS") ?? Seeds);
        var failures = new List<string>();
        var moved = new SortedDictionary<RolloutState, int>();
        for (var seed = first; seed < first + count && failures.Count < MostShown; seed++)
        {
            using var world = await ConductorWorld.StartAsync();
            try
            {
                await new ConductorChance(world, seed).RunAsync();
                foreach (var rollout in world.Rollouts.Values)
                    moved[rollout.State] = moved.GetValueOrDefault(rollout.State) + 1;
            }
            catch (Exception e)
            {
                failures.Add(Told(seed, world, e));
            }
        }

        output.WriteLine(string.Join(", ", moved.Select(state => $"{state.Value} {state.Key}")));
        Assert.True(failures.Count == 0, $"{failures.Count} of {count} seeds:{Environment.NewLine}{string.Join(Environment.NewLine, failures)}");
        if (count == Seeds) // they came everywhere
            Assert.All(Enum.GetValues<RolloutState>(), state => Assert.True(moved.GetValueOrDefault(state) >= 4, $"only {moved.GetValueOrDefault(state)} rollouts ended {state}"));
    }

    static StartRollout Careful(params Phase[] phases) => new(Bearing, ConductorTemplate.Release(1), [.. phases]) { Salt = "s", Selector = "site = oslo", Policy = new(0, PhaseAction.Hold) };

    static async Task SettleAsync(ConductorWorld world, int devices, long rollout = 1)
    {
        for (var device = 0; device < devices; device++)
        {
            world.Happens(device, ReportKind.Settled, $"r-{rollout}", ConductorTemplate.Release(1), 1);
            await world.ArriveAsync(world.Send(device));
        }
    }

    [Theory]
    [InlineData("UPDATE Rollouts SET Phase = 1")]
    [InlineData("UPDATE Rollouts SET State = 'Running' WHERE State = 'Held'")]
    [InlineData("UPDATE RolloutDevices SET Kind = 'Settled'")]
    [InlineData("DELETE FROM RolloutDevices")]
    [InlineData("DELETE FROM Reports WHERE Device = 'd-0'")]
    [InlineData("UPDATE Models SET Serial = Serial + 1")]
    [InlineData("INSERT INTO Events (At, Kind, By, Why, Rollout, Hash) VALUES (0, 'RolloutResumed', 'nobody', '', 'r-1', '')")]
    public async Task Whoever_writes_past_the_server_is_found_out(string sql)
    {
        using var world = await ConductorWorld.StartAsync();
        await world.StartRolloutAsync(Careful(new(0.5), new(1)));
        world.Happens(0, ReportKind.Refused, "r-1", ConductorTemplate.Release(1), 1);
        await world.ArriveAsync(world.Send(0));
        await world.JudgeAsync();
        Assert.Equal(RolloutState.Held, world.Rollouts[1].State);

        await Assert.ThrowsAnyAsync<Xunit.Sdk.XunitException>(() => world.TamperAsync(sql));
    }

    public static TheoryData<Fault, int> EveryStep
    {
        get
        {
            var steps = new TheoryData<Fault, int>();
            foreach (var fault in new[] { Fault.Tables, Fault.Tree, Fault.Death })
            {
                for (var step = 0; step < 12; step++)
                    steps.Add(fault, step);
            }

            return steps;
        }
    }

    [Fact]
    public async Task What_was_decided_before_a_rollout_began_by_a_clock_that_was_set_back_is_told_again()
    {
        using var world = await ConductorWorld.StartAsync();
        await world.StartRolloutAsync(Careful(new Phase(1, TimeSpan.Zero)));
        await world.SetClockAsync(TimeSpan.FromMinutes(-2));
        world.Happens(0, ReportKind.TakenBack, "r-1", ConductorTemplate.Release(1), 1);
        await world.ArriveAsync(world.Send(0));

        await world.JudgeAsync();

        Assert.Equal(RolloutState.Held, world.Rollouts[1].State);
    }

    /// <summary>Each act of a rollout's life, with each fault at each step of it, done again afterwards as a person or a clock would.</summary>
    [Theory, MemberData(nameof(EveryStep))]
    public async Task An_act_that_fails_at_any_step_is_done_wholly_or_not_at_all_and_once_when_it_is_repeated(Fault fault, int step)
    {
        using var world = await ConductorWorld.StartAsync();
        await world.StartRolloutAsync(Careful(new(0.5, TimeSpan.Zero), new(1)), fault, step);
        await world.StartRolloutAsync(Careful(new(0.5, TimeSpan.Zero), new(1))); // refused when the first was taken after all
        var first = Assert.Single(world.Rollouts).Key;
        await SettleAsync(world, ConductorTemplate.Oslo, first);

        await world.JudgeAsync(fault, step);
        await world.JudgeAsync();
        Assert.Equal((RolloutState.Running, 1), (world.Rollouts[first].State, world.Rollouts[first].Phase));

        await world.OrderAsync(RolloutVerb.Hold, first, fault: fault, step: step);
        await world.OrderAsync(RolloutVerb.Hold, first);
        await world.JudgeAsync();
        await world.RestartAsync();
        await world.JudgeAsync();
        Assert.Equal((RolloutState.Held, 1), (world.Rollouts[first].State, world.Rollouts[first].Phase));

        await world.OrderAsync(RolloutVerb.Retry, first, attempt: 2, fault: fault, step: step);
        await world.OrderAsync(RolloutVerb.Retry, first, attempt: 2);
        Assert.Equal(2, world.Rollouts[first].Attempt);
        await world.OrderAsync(RolloutVerb.Advance, first, phase: 2, fault: fault, step: step);
        await world.OrderAsync(RolloutVerb.Advance, first, phase: 2);
        Assert.Equal(RolloutState.Complete, world.Rollouts[first].State);

        await world.RevokeAsync(1, fault, step);
        await world.RevokeAsync(1);
        await world.OrderAsync(RolloutVerb.Revert, first, fault: fault, step: step);
        await world.OrderAsync(RolloutVerb.Revert, first);
        Assert.Equal(RolloutState.Reverted, world.Rollouts[first].State);
    }

    static string Told(int seed, ConductorWorld world, Exception e)
    {
        var text = new StringBuilder();
        text.AppendLine(CultureInfo.InvariantCulture, $"seed {seed} (COPPICE_CONDUCTOR_SEED={seed}), act {world.Acts.Count}:");
        foreach (var act in world.Acts)
            text.AppendLine(CultureInfo.InvariantCulture, $"  {act}");
        return text.Append(e).ToString();
    }
}
