using System.Globalization;
using Coppice.Agent.Link;
using Coppice.Agent.Storage;
using Coppice.Agent.Tests;
using Coppice.Agent.Tests.Storage;
using Coppice.Agent.Updates;
using Coppice.Protocol;
using Coppice.Rollouts;

namespace Coppice.Simulation.Agent;

/// <summary>
/// One device, and everything that can go wrong with it, in seeded order: power cuts at any write, crashes of the process, a full disk,
/// a repository that is away or lies, clocks that jump, releases that are refused, fail or kill, rollouts that are held, reverted, tried again.
/// </summary>
/// <remarks>COPPICE_SIMULATION_SEEDS sets how many seeds are run (8), COPPICE_SIMULATION_SEED runs one.</remarks>
public sealed class FaultSimulationTests
{
    const int Events = 400;

    public static TheoryData<int> Seeds
    {
        get
        {
            var seeds = new TheoryData<int>();
            if (Number("COPPICE_SIMULATION_SEED") is { } one)
                seeds.Add(one);
            for (var seed = 1; seeds.Count == 0 || (Number("COPPICE_SIMULATION_SEED") is null && seed <= (Number("COPPICE_SIMULATION_SEEDS") ?? 8)); seed++)
                seeds.Add(seed);
            return seeds;
        }
    }

    static int? Number(string name) => int.TryParse(Environment.GetEnvironmentVariable(name), NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : null;

    [Theory, MemberData(nameof(Seeds))]
    public async Task What_must_stay_true_stays_true(int seed)
    {
        var world = new World(seed);
        for (var i = 0; i < Events; i++)
            await world.GoOnAsync();
        await world.QuietAsync();
    }

    sealed class World(int seed)
    {
        static readonly string[] Behaviours = ["answer", "answer", "answer", "refuse", "fail", "kill"];

        readonly Random chance = new(seed);
        readonly LossyDisk disk = new(seed);
        readonly Shop shop = new();
        readonly ManualTime time = new();
        readonly Dictionary<string, string> behaviours = new(StringComparer.Ordinal);
        readonly HeardReports heard = new(report => $"{report.Kind} {report.Release} {report.Attempt} {report.At:O}");
        readonly HashSet<string> condemned = new(StringComparer.Ordinal); // "rollout attempt" that this device gave up
        Device? device;
        bool everSettled;
        int boots;
        int releases;

        /// <summary>One thing happens, good or bad.</summary>
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
                    device = null;
                    return;
                case 2: // it ends in order
                    await LiveAsync(() =>
                    {
                        device.Runner.Stop();
                        device = null;
                        return Task.CompletedTask;
                    });
                    return;
                case 3:
                    var full = chance.Next(2) == 0;
                    disk.FullAt = full ? _ => chance.Next(3) == 0 : _ => false;
                    break;
                case 4:
                    shop.Trouble = chance.Next(2) == 0 ? () => { } : () => Throw(chance.Next(3) == 0);
                    break;
                case 5:
                    shop.Spoil = chance.Next(2) == 0 ? bytes => bytes : Spoil;
                    break;
                case 6:
                    time.Jump(TimeSpan.FromDays(chance.Next(-900, 900)));
                    break;
                case 7 or 8 when releases < 40:
                    Release();
                    break;
                case 9 when shop.Plan.Rollouts.Length > 0:
                    Change();
                    break;
                case 10:
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

        byte[] Spoil(byte[] bytes) => chance.Next(4) switch
        {
            0 => bytes[..chance.Next(bytes.Length + 1)],
            1 => [.. bytes, 1, 2, 3],
            2 => [.. bytes.Select(b => (byte)~b)],
            _ => bytes,
        };

        void Release()
        {
            var version = $"{++releases}.0.0";
            var behaviour = releases == 1 ? "answer" : Behaviours[chance.Next(Behaviours.Length)];
            behaviours[version] = behaviour;
            shop.Roll(version, $"{behaviour} {releases}", chance.Next(10, 3_000));
        }

        void Change()
        {
            var rollout = shop.Plan.Rollouts[chance.Next(shop.Plan.Rollouts.Length)];
            shop.Change(rollout.Id, known => chance.Next(4) switch
            {
                0 => known with { Attempt = known.Attempt + 1, State = RolloutState.Running },
                1 => known with { State = RolloutState.Held },
                2 => known with { State = RolloutState.Reverted },
                _ => known with { State = RolloutState.Running },
            });
        }

        async Task StartAsync()
        {
            device = new(disk, shop, time, $"boot {boots}", chance.Next(), quota: 30_000);
            await device.StartAsync();
            Check();
        }

        async Task StepsAsync()
        {
            for (var i = chance.Next(1, 12); i > 0; i--)
            {
                var wait = await device!.Runner.StepAsync(default);
                Check();
                time.Advance(wait);
            }
        }

        /// <summary>Lives on until the power goes or the process ends.</summary>
        async Task LiveAsync(Func<Task> life)
        {
            try
            {
                await life();
            }
            catch (PowerCutException)
            {
                device = null;
                boots++;
                disk.PowerOn();
            }
            catch (ProcessEndedException)
            {
                device = null;
            }
        }

        /// <summary>The server takes a batch, perhaps twice, perhaps without the device hearing of it.</summary>
        void Deliver()
        {
            ReportQueue? queue = null;
            try
            {
                queue = device!.Queue;
                queue.Confirm(0, byServer: false); // any answer says how far the server has got; this one at least that it is there
                var reports = queue.Next();
                heard.Take(reports);
                if (chance.Next(3) > 0 && reports.Length > 0)
                    queue.Confirm(reports[^1].Sequence);
            }
            catch (PowerCutException)
            {
                device = null;
                boots++;
                disk.PowerOn();
            }
            catch (IOException) // full: it stays where it was
            {
            }
        }

        /// <summary>Whenever the process runs: what serves is whole, signed, and not a release that was given up.</summary>
        void Check()
        {
            var state = device!.Runner.State;
            var slot = device.Host.Serving?.Slot;
            if (slot is not null)
            {
                foreach (var path in (string[])["model.txt", "data/weights.bin"])
                    Assert.True(shop.Signed(disk.ReadSmall($"{DataFolder.Slots(Shop.Model)}/{slot.Folder}/{path}", 1 << 20)!), $"{path} of {slot} is not what was signed");
                Assert.DoesNotContain(behaviours[slot.Release.ToString()], (string[])["refuse", "kill"]);
                if (state.Step is not (UpdateStep.TakeBack or UpdateStep.Withdraw))
                    Assert.DoesNotContain($"{slot.Rollout} {slot.Attempt}", condemned);
                // Read back from the disk, it is the same: what serves was saved before it served.
            }

            foreach (var refusal in state.Refusals)
                condemned.Add($"{refusal.Rollout} {refusal.Attempt}");
            everSettled |= state.Serving is { Settled: true };
            if (everSettled && state.Step is not (UpdateStep.TakeBack or UpdateStep.Withdraw) && slot is null)
                Assert.True(state.Refusals.Length > 0, "a release settled here, none failed, and yet nothing serves");
        }

        /// <summary>All trouble ends: the device comes to the newest release that is good, and every report arrives once.</summary>
        public async Task QuietAsync()
        {
            (disk.CutAt, disk.FullAt, shop.Trouble, shop.Spoil) = (null, _ => false, () => { }, bytes => bytes);
            if (releases == 0)
                Release();
            // Power cuts may have condemned good releases: an operator orders all again.
            foreach (var rollout in shop.Plan.Rollouts)
                shop.Change(rollout.Id, known => known with { Attempt = known.Attempt + 1, State = RolloutState.Running });
            var wanted = shop.Plan.Rollouts.First(rollout => behaviours[rollout.Release.ToString()] == "answer").Release.ToString();
            for (var life = 0; life < 200; life++)
            {
                if (device is null)
                    await LiveAsync(StartAsync);
                await LiveAsync(async () =>
                {
                    if (device is not null)
                        await device.SettleAsync(2_000);
                });
                if (device?.Serving == wanted && device.Runner.State is { Step: UpdateStep.Idle, Serving.Settled: true })
                    break;
            }

            Assert.Equal(wanted, device?.Serving);
            while (device!.Queue.Waiting > 0)
                Deliver();
            Assert.Empty(heard.Words.GroupBy(said => said).Where(same => same.Count() > 1).Select(same => same.Key));
            Assert.Contains(heard.Words, said => said.StartsWith($"{ReportKind.Settled} {wanted} ", StringComparison.Ordinal) || said.StartsWith($"{ReportKind.Switched} {wanted} ", StringComparison.Ordinal));
        }
    }
}
