using System.Globalization;
using Coppice.Client;
using Coppice.Protocol;
using Coppice.Rollouts;
using static Coppice.Server.Tests.RunningServer;

namespace Coppice.Server.Tests.Rollouts;

/// <summary>
/// A rollout with gates, and everything that can go wrong around the server that moves it, in seeded order: reports twice, late, out of order and of other
/// attempts, devices that fall silent, two workers at once, operators who order this and that, a server that ends at any moment and starts again on its folder.
/// </summary>
/// <remarks>COPPICE_SIMULATION_SEEDS sets how many seeds are run (1), COPPICE_SIMULATION_SEED runs one.</remarks>
public sealed class ConductorSimulationTests
{
    const int Acts = 20;

    public static TheoryData<int> Seeds
    {
        get
        {
            static int? Number(string name) => int.TryParse(Environment.GetEnvironmentVariable(name), NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : null;
            return Number("COPPICE_SIMULATION_SEED") is { } one ? [one] : [.. Enumerable.Range(1, Number("COPPICE_SIMULATION_SEEDS") ?? 1)];
        }
    }

    [Theory, MemberData(nameof(Seeds))]
    public async Task What_must_stay_true_of_a_rollout_stays_true(int seed)
    {
        var folder = NewFolder();
        try
        {
            await using var world = await World.StartAsync(seed, folder);
            for (var i = 0; i < Acts; i++)
            {
                await world.ActAsync();
                await world.CheckAsync();
            }
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    sealed class World(int seed, string folder, RunningServer server) : IAsyncDisposable
    {
        static readonly ReportKind[] Kinds = [ReportKind.Started, ReportKind.Switched, ReportKind.Settled, ReportKind.Settled, ReportKind.Settled, ReportKind.Settled, ReportKind.Refused, ReportKind.TakenBack, ReportKind.Unfit];

        readonly Random chance = new(seed);
        readonly List<(TestDevice Device, Coppice.Trust.DeviceKey Key)> devices = [];
        readonly Dictionary<string, List<Report>> said = new(StringComparer.Ordinal);
        readonly Dictionary<string, (int Phase, int Attempt)> furthest = new(StringComparer.Ordinal);
        RunningServer server = server;
        string? current;
        int releases;
        long serial;

        public static async Task<World> StartAsync(int seed, string folder)
        {
            var world = new World(seed, folder, await RunningServer.StartAsync(data: folder));
            var token = await world.server.Client.CreateJoinTokenAsync(new(TimeSpan.FromHours(1), 40));
            for (var i = 0; i < 24; i++)
            {
                var device = new TestDevice(world.server, $"d-{i}");
                (await device.EnrolAsync(token.Token)).Dispose();
                world.devices.Add((device, device.Key));
                world.said[device.Id] = [];
            }

            return world;
        }

        public async Task ActAsync()
        {
            var act = chance.Next(30);
            if (current is null || act == 0)
            {
                await RollAsync();
                return;
            }

            switch (act)
            {
                case 1:
                    server.Time.Advance(TimeSpan.FromHours(chance.Next(1, 40)));
                    server.Get<Coppice.Server.Registry.ExpiryWorker>().Refresh();
                    break;
                case 2: // it ends, and starts again
                    var (time, keys) = (server.Time, server.OfflineKeys);
                    await server.DisposeAsync();
                    server = await RunningServer.StartAsync(data: folder, time: time, offlineKeys: keys);
                    for (var i = 0; i < devices.Count; i++)
                        devices[i] = (new(server, devices[i].Device.Id) { Key = devices[i].Key }, devices[i].Key);
                    break;
                case 3:
                    await OrderAsync();
                    break;
                case 4 or 5 or 6:
                    await Task.WhenAll(server.JudgeAsync(), server.JudgeAsync());
                    break;
                case 7:
                    await RepeatAsync();
                    break;
                default:
                    await SayAsync();
                    break;
            }
        }

        async Task RollAsync()
        {
            var version = $"{++releases}.0.0";
            await server.PublishAsync(version);
            try
            {
                current = (await server.Client.StartRolloutAsync(new(Bearing, V(version), [new(0.4, TimeSpan.FromHours(chance.Next(3))), new(1, TimeSpan.FromHours(chance.Next(3)))])
                {
                    Gates = [new(GateKind.Failures) { Max = 0.25 }, new(GateKind.Silence) { Max = 0.4 }],
                    Policy = new(chance.Next(3) == 0 ? 2 : null, chance.Next(2) == 0 ? PhaseAction.Hold : PhaseAction.Revert),
                    Deadline = TimeSpan.FromHours(24),
                })).Id;
            }
            catch (ControlException e) when (e.Type == "/problems/rollout-active")
            {
            }
        }

        async Task OrderAsync()
        {
            var rollout = await server.RolloutAsync(current!);
            try
            {
                await (chance.Next(6) switch
                {
                    0 => server.Client.HoldAsync(current!, "x"),
                    1 => server.Client.ResumeAsync(current!, "x"),
                    2 => server.Client.RetryAsync(current!, rollout.Attempt + 1, "x"),
                    3 => server.Client.AdvanceAsync(current!, rollout.Phase + 1, "x"),
                    4 => server.Client.AbortAsync(current!, "x"),
                    _ => server.Client.RevertAsync(current!, "x"),
                });
            }
            catch (ControlException e) when (e.Problem.Status == 409) // an order that does not fit
            {
            }
        }

        async Task SayAsync()
        {
            var rollout = await server.RolloutAsync(current!);
            var (device, _) = devices[chance.Next(devices.Count)];
            var own = said[device.Id];
            var attempt = Math.Max(1, rollout.Attempt - (chance.Next(8) == 0 ? 1 : 0));
            var report = TestDevice.Report(own.Count + 1, Kinds[chance.Next(Kinds.Length)], rollout.Release.ToString(), rollout.Id, attempt);
            own.Add(report);
            await device.SayAsync(report);
        }

        /// <summary>What was said before comes again, in another order.</summary>
        async Task RepeatAsync()
        {
            var (device, _) = devices[chance.Next(devices.Count)];
            var again = said[device.Id].ToArray();
            chance.Shuffle(again);
            foreach (var report in again.Take(5))
                await device.SayAsync(report);
        }

        public async Task CheckAsync()
        {
            if (current is null)
                return;
            await server.Get<Coppice.Server.Rollouts.PlanPublisher>().ReconcileAsync(default);
            var plan = (await server.PlanAsDeviceAsync())!;
            Assert.True(plan.Serial >= serial, $"the plan went back from {serial} to {plan.Serial}");
            serial = plan.Serial;
            var rollout = await server.RolloutAsync(current);
            var planned = plan.Rollouts.Single(one => one.Id == current);
            Assert.Equal((rollout.State, rollout.Phase, rollout.Attempt), (planned.State, planned.Phase, planned.Attempt));
            var (phase, attempt) = furthest.GetValueOrDefault(current);
            Assert.True(rollout.Phase >= phase && rollout.Attempt >= attempt, "a rollout went back");
            furthest[current] = (rollout.Phase, rollout.Attempt);

            // Each device once, by its highest report.
            var counted = said.Values.Select(reports => reports.Where(report => report.Rollout == current && report.Attempt <= rollout.Attempt).MaxBy(report => report.Sequence)).OfType<Report>().ToList();
            Assert.Equal(counted.Count(report => report.Kind == ReportKind.Settled), rollout.Counts.Settled);
            Assert.Equal(counted.Count(report => report.Attempt == rollout.Attempt && report.Kind is ReportKind.Refused or ReportKind.TakenBack && report.Attempt == rollout.Attempt), rollout.Counts.Failures);

            var why = await server.Client.WhyAsync(current);
            var events = (await server.Client.ListEventsAsync(limit: 500)).Events.Where(happened => happened.Rollout == current && happened.By == "coppice").ToList();
            Assert.Equal(events.Count, why.Decisions.Length); // nothing moved without a decision, and none twice
            foreach (var decision in why.Decisions)
            {
                var again = PhaseVerdict.Judge(decision.Evidence);
                Assert.Equal((decision.Action, decision.Why), (again.Action, again.Why));
                if (decision.Action is PhaseAction.Advance or PhaseAction.Complete)
                    Assert.True(decision.Evidence.Counts.Settled > 0 && again.Gates.All(gate => gate.Standing == GateStanding.Good));
            }

            Assert.Equal(why.Decisions.Count(decision => decision.Action == PhaseAction.Complete), events.Count(happened => happened.Kind == EventKind.RolloutCompleted));
        }

        public ValueTask DisposeAsync() => server.DisposeAsync();
    }
}
