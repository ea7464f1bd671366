using System.Net;
using System.Net.Http.Json;
using Coppice.Audit;
using Coppice.Client;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Rollouts;
using Coppice.Trust;
using static Coppice.Server.Tests.RunningServer;

namespace Coppice.Server.Tests.Replicas;

public sealed class ReplicaTests
{
    const int Devices = 8;

    [Fact]
    public async Task Servers_die_in_every_state_of_a_rollout_the_database_too_and_nothing_is_lost_doubled_or_unaudited()
    {
        // Their own clocks are a quarter of an hour apart.
        await using var replicas = await Replicas.StartAsync(("a", 7), ("b", -8));
        using var watching = new CancellationTokenSource();
        var watched = WatchTimestampsAsync(replicas, watching.Token);

        await PublishAsync(replicas, "1.0.0");
        var devices = new List<Sender>();
        for (var i = 0; i < Devices; i++)
            devices.Add(await EnrolAsync(replicas, $"till-{i}"));
        var started = await replicas.AskAsync(name => Using(replicas, name, client => client.StartRolloutAsync(new(Bearing, V("1.0.0"), [new Phase(0.5, TimeSpan.Zero), new Phase(1, TimeSpan.Zero)]))));

        // While devices begin, the server that moves rollouts on dies.
        var first = await replicas.ConductorAsync();
        await Task.WhenAll(
            SendAllAsync(devices, device => [device.Next(ReportKind.Started)]),
            replicas.KillAsync(first));
        await replicas.StartAsync(first);

        // The other dies with a part of the reports answered, and the database under both of them.
        var second = await replicas.ConductorAsync();
        await Task.WhenAll(
            SendAllAsync(devices, device => [device.Next(ReportKind.Switched)]),
            KillDatabaseAsync(replicas));
        await replicas.KillAsync(second);
        await SendAllAsync(devices, device => [device.Next(ReportKind.Settled)]); // to the one that is left: it takes the lease over, and moves the rollout on
        await replicas.UntilAsync(async () => await StateAsync(replicas, started.Id) != (RolloutState.Running, 0), "the first phase is over");
        await replicas.StartAsync(second);

        // A word more from each, so that the last phase has its own; whoever has the lease dies once more.
        var third = await replicas.ConductorAsync();
        await replicas.KillAsync(third);
        await SendAllAsync(devices, device => [device.Next(ReportKind.Started), device.Next(ReportKind.Settled)]);
        await replicas.UntilAsync(async () => (await StateAsync(replicas, started.Id)).State == RolloutState.Complete, "the rollout is complete");
        await replicas.StartAsync(third);
        await watching.CancelAsync();
        var timestamps = await watched;

        // Each report once.
        foreach (var device in devices)
        {
            var kept = await replicas.AskAsync(name => Using(replicas, name, client => client.ListReportsAsync(device.Id)));
            Assert.Equal(Enumerable.Range(1, 5).Select(i => (long)i), kept.Reports.Select(report => report.Report.Sequence).Order());
        }

        // Each step once, and all of them in a chain without gap or fork.
        var kinds = await VerifiedAsync(replicas, "a");
        Assert.Equal(kinds, await VerifiedAsync(replicas, "b"));
        Assert.Equal([EventKind.RolloutStarted, EventKind.RolloutAdvanced, EventKind.RolloutCompleted], kinds.Where(kind => kind is EventKind.RolloutStarted or EventKind.RolloutAdvanced or EventKind.RolloutHeld or EventKind.RolloutReverted or EventKind.RolloutCompleted));
        Assert.Equal(Devices, kinds.Count(kind => kind == EventKind.DeviceEnrolled));
        Assert.Single(kinds, kind => kind == EventKind.ReleasePublished);

        // Both give devices the same plan, and no two timestamps of one version ever were.
        foreach (var name in new[] { "a", "b" })
        {
            using var http = replicas.Http(name);
            var plan = await new TufWalk(http, TimeProvider.System).PlanAsync(Bearing);
            Assert.Equal((RolloutState.Complete, 3L), (plan!.Rollouts[0].State, plan.Serial));
        }

        Assert.All(timestamps.GroupBy(seen => seen.Version), version => Assert.Single(version.Select(seen => seen.Digest).Distinct()));
        Assert.Equal(timestamps.Select(seen => seen.Version).Order(), timestamps.Select(seen => seen.Version)); // never an older one after a newer, whoever was asked
        Assert.True(timestamps.Count > 20, $"only {timestamps.Count} timestamps were seen");
    }

    [Fact]
    public async Task Servers_that_publish_at_once_sign_one_version_after_the_other_and_know_each_others_devices_keys_and_events()
    {
        await using var replicas = await Replicas.StartAsync(("a", 0), ("b", 0));
        var models = Enumerable.Range(0, 6).Select(i => ModelName.Parse($"plant/m{i}")).ToArray();
        foreach (var model in models)
            await PublishAsync(replicas, "1.0.0", model);
        using var stop = new CancellationTokenSource(TimeSpan.FromMinutes(4));
        using var streaming = replicas.Client("b");
        await using var stream = streaming.StreamEventsAsync(0, stop.Token).GetAsyncEnumerator(stop.Token);

        // Rollouts of six models through two servers at the same time: every one is signed, and none signs another away.
        await Task.WhenAll(models.Select((model, i) => Using(replicas, i % 2 == 0 ? "a" : "b", client => client.StartRolloutAsync(new(model, V("1.0.0"), [new Phase(1)])))));

        using var http = replicas.Http("b");
        foreach (var model in models)
            Assert.Equal(RolloutState.Running, (await new TufWalk(http, TimeProvider.System).PlanAsync(model))!.Rollouts.Single().State);
        for (var begun = 0; begun < models.Length;)
        {
            Assert.True(await stream.MoveNextAsync()); // those that came through the other server are heard here
            begun += stream.Current.Kind == EventKind.RolloutStarted ? 1 : 0;
        }

        // An authority that one makes, the other has by the time it is asked to make one itself.
        await Using(replicas, "a", client => client.RotateAuthorityAsync());
        await Using(replicas, "b", client => client.RotateAuthorityAsync());
        await replicas.UntilAsync(async () => (await Using(replicas, "a", client => client.ListAuthoritiesAsync())).Authorities.Length == 3, "both have three authorities");
        var (a, b) = (await Using(replicas, "a", client => client.ListAuthoritiesAsync()), await Using(replicas, "b", client => client.ListAuthoritiesAsync()));
        Assert.Equal(a.Authorities.Select(authority => authority.Pin), b.Authorities.Select(authority => authority.Pin));
    }

    static async Task KillDatabaseAsync(Replicas replicas)
    {
        await replicas.Cluster.KillAsync();
        await replicas.Cluster.RestartAsync();
    }

    static async Task<T> Using<T>(Replicas replicas, string name, Func<CoppiceClient, Task<T>> ask)
    {
        using var client = replicas.Client(name);
        return await ask(client);
    }

    static async Task<(RolloutState State, int Phase)> StateAsync(Replicas replicas, string rollout)
    {
        var view = (await replicas.AskAsync(name => Using(replicas, name, client => client.GetRolloutAsync(rollout)))).Rollout;
        return (view.State, view.Phase);
    }

    static async Task PublishAsync(Replicas replicas, string version, ModelName? model = null)
    {
        var (manifest, blob) = MakeRelease(version, model);
        using var key = SigningKey.Import(await File.ReadAllBytesAsync(Path.Combine(replicas.OfflineKeys, "releases-1.pem")));
        await replicas.AskAsync(async name =>
        {
            using var http = replicas.Http(name);
            var timestamp = MetadataFile.ReadTimestamp(await http.GetByteArrayAsync("repository/metadata/timestamp.json")).Signed;
            var snapshot = MetadataFile.ReadSnapshot(await http.GetByteArrayAsync($"repository/metadata/{timestamp.Snapshot.Version}.snapshot.json")).Signed;
            var releases = await http.GetByteArrayAsync($"repository/metadata/{snapshot.Of(RepositoryLayout.ReleasesRole)!.Version}.releases.json");
            using var client = replicas.Client(name);
            await client.PutBlobAsync(Sha256Digest.Of(blob), new MemoryStream(blob), blob.Length);
            return await client.PublishAsync(model ?? Bearing, new(manifest, ReleaseSigning.Prepare(releases, RepositoryLayout.ReleaseTarget((model ?? Bearing).ToString(), version), manifest, key, TimeProvider.System.GetUtcNow())));
        });
    }

    static async Task<Sender> EnrolAsync(Replicas replicas, string id)
    {
        var token = await replicas.AskAsync(name => Using(replicas, name, client => client.CreateJoinTokenAsync(new(TimeSpan.FromHours(1), 1))));
        var key = DeviceKey.Create();
        await replicas.AskAsync(async name =>
        {
            using var http = replicas.Http(name);
            return await new TestDevice(null, id) { Key = key, Http = http }.JoinAsync(token.Token);
        });
        return new(replicas, id, key);
    }

    static Task<long?[]> SendAllAsync(IEnumerable<Sender> devices, Func<Sender, Report[]> reports) => Task.WhenAll(devices.Select(device => device.SendAsync(reports(device))));

    static async Task<List<EventKind>> VerifiedAsync(Replicas replicas, string name)
    {
        using var client = replicas.Client(name);
        var checkpoint = await client.GetAuditCheckpointAsync();
        var chain = new AuditChain(new PublicKey("ecdsa", "ecdsa-sha2-nistp256", (await client.ListAuditAsync(0, 1)).Key), [checkpoint.Checkpoint()]);
        var kinds = new List<EventKind>();
        await foreach (var line in client.ExportAuditAsync())
        {
            if (line.Entry is { } entry)
            {
                chain.Take(entry.Entry(), Sha256Digest.Parse(entry.Previous), Sha256Digest.Parse(entry.Hash));
                kinds.Add(Enum.Parse<EventKind>(entry.Kind, ignoreCase: true));
            }
            else
                chain.Take(line.Checkpoint!.Checkpoint());
        }

        chain.End();
        Assert.Empty(chain.Problems);
        return kinds;
    }

    /// <summary>Looks at the timestamp as devices do, through one server and the other.</summary>
    static async Task<List<(long Version, Sha256Digest Digest)>> WatchTimestampsAsync(Replicas replicas, CancellationToken stop)
    {
        var seen = new List<(long, Sha256Digest)>();
        while (!stop.IsCancellationRequested)
        {
            seen.Add(await replicas.AskAsync(async name =>
            {
                using var http = replicas.Http(name);
                var bytes = await http.GetByteArrayAsync("repository/metadata/timestamp.json", CancellationToken.None);
                return (MetadataFile.ReadTimestamp(bytes).Signed.Version, Sha256Digest.Of(bytes));
            }));
            await Task.Delay(200, CancellationToken.None);
        }

        return seen;
    }

    /// <summary>A device that sends what was not answered again, as agents do.</summary>
    sealed class Sender(Replicas replicas, string id, DeviceKey key)
    {
        long sequence;

        public string Id => id;

        public Report Next(ReportKind kind) => TestDevice.Report(++sequence, kind);

        public Task<long?> SendAsync(Report[] reports) => replicas.AskAsync(async name =>
        {
            using var http = replicas.Http(name);
            using var answer = await new TestDevice(null, id) { Key = key, Http = http }.PostAsync(new([.. reports]));
            if (answer.StatusCode >= HttpStatusCode.InternalServerError)
                throw new HttpRequestException($"{answer.StatusCode}");
            Assert.True(answer.IsSuccessStatusCode, await answer.Content.ReadAsStringAsync());
            var through = (await answer.Content.ReadFromJsonAsync(DeviceMessagesContext.Default.ReportAnswer))!.Through;
            Assert.Equal(reports[^1].Sequence, through);
            return (long?)through;
        });
    }
}
