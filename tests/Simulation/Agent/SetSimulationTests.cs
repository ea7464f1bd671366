using System.Globalization;
using Coppice.Agent.Link;
using Coppice.Agent.Tests;
using Coppice.Agent.Tests.Storage;
using Coppice.Agent.Updates;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Rollouts;

namespace Coppice.Simulation.Agent;

/// <summary>
/// One device with three models that rollouts bring together and apart, and everything that can go wrong, in seeded order: power cuts at any write, crashes, a full disk, no network, clocks that jump, releases of each
/// model that are refused, fail or kill, sets that are held, reverted, tried again, members that are revoked.
/// </summary>
/// <remarks>COPPICE_SIMULATION_SEEDS sets how many seeds are run (8), COPPICE_SIMULATION_SEED runs one.</remarks>
public sealed class SetSimulationTests
{
    const int Events = 300;

    [Theory, MemberData(nameof(FaultSimulationTests.Seeds), MemberType = typeof(FaultSimulationTests))]
    public async Task No_two_models_of_a_set_serve_from_different_rollouts(int seed)
    {
        using var world = new World(seed);
        for (var i = 0; i < Events; i++)
            await world.GoOnAsync();
        await world.QuietAsync();
    }

    sealed class World(int seed) : IDisposable
    {
        static readonly string[] Behaviours = ["answer", "answer", "answer", "answer", "answer", "refuse", "fail", "kill"];

        readonly Random chance = new(seed);
        readonly LossyDisk disk = new(seed);
        readonly SetShop shop = new();
        readonly ManualTime time = new();
        readonly HeardReports heard = new(report => $"{report.Kind} {report.Model} {report.Release} {report.Rollout} {report.Attempt} {report.At:O}");
        readonly HashSet<(string Set, ModelName Model)> left = []; // moved on by another rollout since the set was switched to
        readonly List<SetMember> published = [];
        SetDevice? device;
        readonly Dictionary<ModelName, string?> seen = [];
        int boots;
        int versions;

        public async Task GoOnAsync()
        {
            time.Advance(TimeSpan.FromMilliseconds(1)); // so that no two things happen at one moment
            if (device is null)
            {
                await LiveAsync(StartAsync);
                return;
            }

            switch (chance.Next(24))
            {
                case 0:
                    disk.CutAt = disk.Changes + chance.Next(1, 60);
                    break;
                case 1: // the process is killed
                    End();
                    break;
                case 2: // it ends in order
                    await LiveAsync(() =>
                    {
                        foreach (var runner in device.Runners.Values)
                            runner.Stop();
                        End();
                        return Task.CompletedTask;
                    });
                    break;
                case 3:
                    var full = chance.Next(2) == 0;
                    disk.FullAt = full ? _ => chance.Next(3) == 0 : _ => false;
                    break;
                case 4:
                    shop.Trouble = chance.Next(2) == 0 ? () => { } : () => Throw(chance.Next(4) == 0);
                    break;
                case 5:
                    time.Jump(TimeSpan.FromDays(chance.Next(-900, 900)));
                    break;
                case 6 when versions < 60:
                    shop.Roll(Publish(SetShop.Models[chance.Next(3)]));
                    break;
                case 7 or 8 or 9 when versions < 60:
                    shop.Roll([.. SetShop.Models.OrderBy(model => model == SetShop.Rag ? 0 : 1).Select(model =>
                        chance.Next(5) == 0 && published.FindLast(member => member.Model == model) is { } again ? again : Publish(model))]);
                    break;
                case 10:
                    Change();
                    break;
                case 11:
                    Deliver();
                    break;
                default:
                    await LiveAsync(StepsAsync);
                    break;
            }
        }

        static void Throw(bool now)
        {
            if (now)
                throw new LinkException("the network is away");
        }

        SetMember Publish(ModelName model, string? behaviour = null)
        {
            var member = shop.Publish(model, $"{++versions}.0.0", $"{behaviour ?? (versions < 4 ? "answer" : Behaviours[chance.Next(Behaviours.Length)])} {versions}", chance.Next(10, 800));
            published.Add(member);
            return member;
        }

        void Change()
        {
            var model = SetShop.Models[chance.Next(3)];
            var own = shop.Plans.GetValueOrDefault(model)?.Rollouts.Where(rollout => rollout.Lead is null).ToList();
            if (own is not { Count: > 0 })
                return;
            var rollout = own[chance.Next(own.Count)];
            if (chance.Next(20) == 0)
                shop.Revoke(model, rollout.Release.ToString());
            else
                shop.Change(model, rollout.Id, known => chance.Next(4) switch
                {
                    0 => known with { Attempt = known.Attempt + 1, State = RolloutState.Running },
                    1 => known with { State = RolloutState.Held },
                    2 => known with { State = RolloutState.Reverted },
                    _ => known with { State = RolloutState.Running },
                });
        }

        async Task StartAsync()
        {
            seen.Clear();
            device = new(disk, shop, time, $"boot {boots}", chance.Next(), quota: 20_000) { AfterStep = Check };
            await device.StartAsync();
        }

        async Task StepsAsync()
        {
            for (var i = chance.Next(1, 30); i > 0; i--)
            {
                await device!.StepAsync();
                // The moments that matter are few: the power goes in most of them.
                if (disk.CutAt is null && chance.Next(3) > 0 && device.Runners.Values.Count(runner => device.Sets.Concerns(runner.State)) >= 2)
                    disk.CutAt = disk.Changes + chance.Next(1, 40);
            }
        }

        public void Dispose() => End();

        void End()
        {
            device?.Dispose();
            device = null;
        }

        async Task LiveAsync(Func<Task> life)
        {
            try
            {
                await life();
            }
            catch (PowerCutException)
            {
                End();
                boots++;
                disk.PowerOn();
            }
            catch (ProcessEndedException)
            {
                End();
            }
        }

        void Deliver()
        {
            try
            {
                device!.Queue.Confirm(0, byServer: false);
                var reports = device.Queue.Next();
                heard.Take(reports);
                if (reports.Length > 0)
                    device.Queue.Confirm(reports[^1].Sequence);
            }
            catch (PowerCutException)
            {
                End();
                boots++;
                disk.PowerOn();
            }
            catch (IOException) // full: it stays where it was
            {
            }
        }

        /// <summary>Whenever the process runs: sessions are as the states say or as they were, and of a set that was switched to all serve that did not move on.</summary>
        void Check()
        {
            foreach (var (model, host) in device!.Hosts)
            {
                var now = host.Serving?.Slot.Folder;
                if (seen.TryGetValue(model, out var before) && device.Sets.IsPending(model))
                    Assert.Equal(before, now); // decided, and not exchanged yet
                seen[model] = now;
            }

            if (!device.Runners.All(model => model.Value.State.Serving?.Folder == device.Hosts[model.Key].Serving?.Slot.Folder))
                return;
            var serving = device.Runners.Select(model => (Model: model.Key, model.Value.State.Serving, model.Value.State.Step)).ToList();
            foreach (var (_, slot, step) in serving)
            {
                if (slot is not { Set: not null, Rollout: var set } || step == UpdateStep.TakeBack)
                    continue;
                foreach (var (model, other, otherStep) in serving)
                {
                    if (other?.Rollout == set)
                        left.Remove((set, model));
                    else if (other is not null && Number(other.Rollout) > Number(set))
                        left.Add((set, model));
                    else if (otherStep is not (UpdateStep.TakeBack or UpdateStep.Withdraw))
                        Assert.True(left.Contains((set, model)), $"{model} serves {other} of {other?.Rollout} beside {set}: {string.Join("; ", device.Events.TakeLast(12).Select(told => $"{told.Model} {told.Text}"))}");
                }
            }
        }

        static int Number(string rollout) => int.Parse(rollout.AsSpan(2), CultureInfo.InvariantCulture);

        /// <summary>All trouble ends, and a good set comes: the device serves it, and every report arrives once.</summary>
        public async Task QuietAsync()
        {
            (disk.CutAt, disk.FullAt, shop.Trouble) = (null, _ => false, () => { });
            var last = SetShop.Models.Select(model => Publish(model, "answer")).ToArray();
            var id = shop.Roll(last);
            var wanted = string.Join(" ", last.Select(member => member.Release));
            for (var life = 0; life < 60; life++)
            {
                if (device is null)
                    await LiveAsync(StartAsync);
                await LiveAsync(async () =>
                {
                    if (device is not null)
                        await device.RestAsync(6_000);
                });
                if (device?.Serving == wanted && device.Runners.Values.All(runner => runner.State is { Step: UpdateStep.Idle, Serving.Settled: true }))
                    break;
                shop.Change(SetShop.Rag, id, known => known with { Attempt = known.Attempt + 1 }); // an end of the process may have condemned it
            }

            Assert.Equal(wanted, device?.Serving);
            Assert.All(device!.Runners.Values, runner => Assert.Equal(id, runner.State.Serving!.Rollout));
            while (device.Queue.Waiting > 0)
                Deliver();
            Assert.Contains(heard.Words, said => said.StartsWith($"{ReportKind.Settled} {SetShop.Rag} {last[0].Release} {id} ", StringComparison.Ordinal));
            End();
        }
    }
}
