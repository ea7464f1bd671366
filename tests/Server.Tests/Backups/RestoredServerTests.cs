using System.Collections.Immutable;
using Coppice.Audit;
using Coppice.Fleet;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Rollouts;
using Coppice.Server.Backups;
using Coppice.Server.Storage;
using Coppice.Trust;
using Microsoft.EntityFrameworkCore;
using static Coppice.Server.Tests.RunningServer;
using static Coppice.Server.Tests.TestDevice;

namespace Coppice.Server.Tests.Backups;

/// <summary>A server that went on after its backup, was lost, and was put back: what its devices and operators see.</summary>
public class RestoredServerTests : IDisposable
{
    static readonly ModelName Vision = ModelName.Parse("plant/vision");

    readonly string folder = Directory.CreateDirectory(NewFolder()).FullName;
    readonly FakeTime time = new();

    public void Dispose()
    {
        key.Dispose();
        Directory.Delete(folder, recursive: true);
        GC.SuppressFinalize(this);
    }

    string Data => Path.Combine(folder, "data");

    string BackupFile => Path.Combine(folder, "backup.cpbk");

    protected virtual Task<PostgresAddress?> NewDatabaseAsync() => Task.FromResult<PostgresAddress?>(null);

    readonly SealingKey key = SealingKey.Create();

    /// <summary>Opened by a key: a password is slow on purpose.</summary>
    BackupReaders Readers => new(null, [key.Public]);

    [Fact]
    public async Task A_server_that_lost_what_was_after_its_backup_is_followed_again_and_gives_no_number_twice()
    {
        var database = await NewDatabaseAsync();
        string token, offline;
        TestDevice device, late;
        SeenBefore seen;
        AuditCheckpointRecord lost;
        RolloutView lostRollout;
        await using (var server = await RunningServer.StartAsync(options => options with { Database = database }, Data, time))
        {
            (token, offline) = (server.Token, server.OfflineKeys);
            await server.PublishAsync("1.0.0");
            await server.StartRolloutAsync("1.0.0", new Phase(1, TimeSpan.Zero));
            device = await server.EnrolAsync("till-1");
            await device.SayAsync(Report(1, ReportKind.Started), Report(2, ReportKind.Switched), Report(3, ReportKind.Settled));
            await server.JudgeAsync();
            Assert.Equal(RolloutState.Complete, (await server.RolloutAsync()).State);

            // Beside the running server.
            var made = await Backup.CreateAsync(new(new(Data) { Database = database }, BackupFile, Readers) { Time = time }, CancellationToken.None);
            Assert.False(made.Stopped);

            time.Advance(TimeSpan.FromHours(1));
            await server.PublishAsync("1.1.0");
            await server.StartRolloutAsync("1.1.0");
            await device.SayAsync(Report(4, ReportKind.Started, "1.1.0", "r-2"), Report(5, ReportKind.Switched, "1.1.0", "r-2"), Report(6, ReportKind.Settled, "1.1.0", "r-2"));
            await server.JudgeAsync();
            await server.PublishAsync("2.0.0", Vision);
            lostRollout = await server.Client.StartRolloutAsync(new(Vision, V("2.0.0"), [new(1)]));
            late = await server.EnrolAsync("till-2");
            seen = await SeenBefore.ReadAsync(server, time);
            lost = await server.Client.GetAuditCheckpointAsync();
        }

        var keys = Path.Combine(folder, "offline");
        Directory.Move(offline, keys);
        Directory.Delete(Data, recursive: true);
        database = await NewDatabaseAsync();
        time.Advance(TimeSpan.FromHours(1));
        var done = await Restore.RunAsync(new(BackupFile, new(Data) { Database = database }) { Key = key, Time = time }, CancellationToken.None);
        Assert.Equal("r-1", Assert.Single(done.Held));
        Assert.True(done.Keys);
        Assert.Single(done.Missing); // the file of 1.0.0, which was not asked for
        Assert.False(Directory.Exists(Path.Combine(Data, "keys", "offline")));

        await using var restored = await RunningServer.StartAsync(options => options with { Database = database }, Data, time, keys);
        Assert.Equal(token, restored.Token);
        (device, late) = (device.At(restored), late.At(restored));

        // What offline keys signed after the backup cannot be made again: until they sign once more, a device that saw it keeps what it has, and the server says so.
        var refused = await Assert.ThrowsAsync<UntrustedMetadataException>(() => seen.FollowAsync(restored, time));
        Assert.Contains("'releases.json' version", refused.Message, StringComparison.Ordinal);
        Assert.Contains("If 'targets' or 'releases' was signed after that backup", Assert.Single((await restored.Client.GetReadinessAsync()).Warnings), StringComparison.Ordinal);
        await PublishAsync(restored, keys, "1.2.0", Bearing);

        var plan = await seen.FollowAsync(restored, time);
        Assert.True(plan.Serial > seen.PlanSerial, $"{plan.Serial} after {seen.PlanSerial}");
        Assert.Equal(RolloutState.Held, plan.Rollouts.Single().State);
        Assert.Contains("'targets'", Assert.Single((await restored.Client.GetReadinessAsync()).Warnings), StringComparison.Ordinal);

        // A device on a release that the server knows nothing of keeps it, and explain tells.
        Assert.Equal(ChoiceKind.Keep, Choose(plan, "1.1.0").Kind);
        Assert.Equal(ChoiceKind.Keep, Choose(plan, "1.0.0").Kind);
        Assert.Contains((await restored.Client.ExplainDeviceAsync("till-1")).Notes, note => note.Contains("restored at 2026-11-22 14:00:00Z from a backup of 2026-11-22 12:00:00Z", StringComparison.Ordinal));

        // New reports are taken and old ones are there, each once; a gap is what it is.
        Assert.Equal(8, (await device.SayAsync(Report(7, ReportKind.Settled, "1.1.0", "r-2"), Report(8, ReportKind.Started, "1.2.0", "r-9"))).Through);
        Assert.Equal([8, 7, 3, 2, 1], (await restored.Client.ListReportsAsync("till-1")).Reports.Select(kept => kept.Report.Sequence));
        Assert.Equal(V("1.1.0"), (await restored.Client.GetDeviceAsync("till-1")).Models.Single().Serving);
        using (var unknown = await late.PostAsync(new([Report(1, ReportKind.Started)])))
            Assert.Equal(401, (int)unknown.StatusCode); // upon which an agent enrols again, with the same key
        await restored.EnrolAsync(late);

        // Numbers of rollouts, serials of plans and entries of the log are none that the lost server gave.
        var next = await restored.StartRolloutAsync("1.2.0");
        Assert.True(RolloutNumber(next) > RolloutNumber(lostRollout) + 3600, next.Id);
        Assert.Equal(ChoiceKind.Take, Choose((await restored.PlanAsDeviceAsync())!, "1.1.0").Kind);
        await PublishAsync(restored, keys, "2.0.0", Vision);
        await restored.Client.StartRolloutAsync(new(Vision, V("2.0.0"), [new(1)]));
        Assert.True((await restored.Client.GetModelAsync(Vision)).PlanSerial > 1_000_000);
        var events = (await restored.Client.ListEventsAsync(lost.Entry)).Events;
        Assert.Equal([EventKind.ServerRestored, EventKind.RolloutHeld], events.Take(2).Select(happened => happened.Kind));

        // The log is whole, and says what a checkpoint says that was kept: that an end of it was lost.
        Assert.Empty((await AuditAsync(restored)).Problems);
        Assert.Contains("is not in the log, but a checkpoint that was kept says that it was", Assert.Single((await AuditAsync(restored, lost)).Problems).What, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_server_that_was_stopped_for_its_backup_moves_and_goes_on_as_if_nothing_had_been()
    {
        var database = await NewDatabaseAsync();
        string offline;
        TestDevice device;
        await using (var server = await RunningServer.StartAsync(options => options with { Database = database }, Data, time))
        {
            offline = server.OfflineKeys;
            await server.PublishAsync("1.0.0");
            await server.StartRolloutAsync("1.0.0", new(0.5, TimeSpan.Zero), new(1));
            device = await server.EnrolAsync("till-1");
            await device.SayAsync(Report(1, ReportKind.Started));
        }

        var made = await Backup.CreateAsync(new(new(Data) { Database = database }, BackupFile, Readers) { WithBlobs = true, Time = time }, CancellationToken.None);
        Assert.True(made.Stopped);
        var elsewhere = Path.Combine(folder, "elsewhere");
        var done = await Restore.RunAsync(new(BackupFile, new(elsewhere) { Database = database = await NewDatabaseAsync() }) { Key = key, Moved = true, Time = time }, CancellationToken.None);
        Assert.Empty(done.Missing);
        Assert.Empty(done.Held);

        await using var moved = await RunningServer.StartAsync(options => options with { Database = database }, elsewhere, time, offline);
        Assert.Equal(RolloutState.Running, (await moved.RolloutAsync()).State);
        Assert.Equal(2, (await device.At(moved).SayAsync(Report(2, ReportKind.Settled))).Through);
        await moved.PublishAsync("1.1.0"); // the next version of the role, as ever
        await moved.Client.AbortAsync("r-1", "the next");
        Assert.Equal("r-2", (await moved.StartRolloutAsync("1.1.0")).Id);
        Assert.Empty((await moved.Client.GetReadinessAsync()).Warnings);
        Assert.Empty((await AuditAsync(moved)).Problems);
    }

    [Fact]
    public async Task A_server_that_was_lost_twice_goes_beyond_both_of_its_lives()
    {
        var database = await NewDatabaseAsync();
        await using (var server = await RunningServer.StartAsync(options => options with { Database = database }, Data, time))
        {
            await server.PublishAsync("1.0.0");
            await server.StartRolloutAsync("1.0.0", new Phase(1, TimeSpan.Zero));
            await Backup.CreateAsync(new(new(Data) { Database = database }, BackupFile, Readers) { Time = time }, CancellationToken.None);
        }

        SeenBefore? seen = null;
        for (var life = 0; life < 2; life++)
        {
            time.Advance(TimeSpan.FromMinutes(10));
            Directory.Delete(Data, recursive: true);
            database = await NewDatabaseAsync();
            await Restore.RunAsync(new(BackupFile, new(Data) { Database = database }) { Key = key, Time = time }, CancellationToken.None);
            await using var restored = await RunningServer.StartAsync(options => options with { Database = database }, Data, time);
            if (seen is not null)
                Assert.True((await seen.FollowAsync(restored, time)).Serial > seen.PlanSerial);
            await restored.Client.ResumeAsync("r-1", "it is well"); // another plan
            seen = await SeenBefore.ReadAsync(restored, time);
        }
    }

    static long RolloutNumber(RolloutView rollout) => long.Parse(rollout.Id[2..], System.Globalization.CultureInfo.InvariantCulture);

    static ReleaseChoice Choose(RolloutPlan plan, string serving) => ReleaseChoice.Choose(plan, new("till-1", FactSet.Empty, V(serving), []), new(2026, 11, 22, 15, 0, 0, TimeSpan.Zero));

    /// <summary>Publishes as the publisher's program does: with the version that the snapshot asks for.</summary>
    static async Task PublishAsync(RunningServer server, string keys, string version, ModelName model)
    {
        var (manifest, blob) = MakeRelease(version, model);
        await server.Client.PutBlobAsync(Sha256Digest.Of(blob), new MemoryStream(blob), blob.Length);
        var tree = server.Get<Coppice.Server.Registry.Repository>().Tree;
        using var key = SigningKey.Import(await File.ReadAllBytesAsync(Path.Combine(keys, "releases-1.pem")));
        var metadata = ReleaseSigning.Prepare(
            tree.CurrentRole(RepositoryLayout.ReleasesRole), [new(RepositoryLayout.ReleaseTarget(model.ToString(), version), manifest)], server.Time.GetUtcNow(), null, tree.LeastNext.GetValueOrDefault(RepositoryLayout.ReleasesRole, 1), key);
        await server.Client.PublishAsync(model, new(manifest, metadata));
    }

    static async Task<AuditChain> AuditAsync(RunningServer server, params AuditCheckpointRecord[] held)
    {
        var chain = new AuditChain(new("ecdsa", "ecdsa-sha2-nistp256", (await server.Client.ListAuditAsync(0, 1)).Key), held.Select(checkpoint => checkpoint.Checkpoint()));
        await foreach (var line in server.Client.ExportAuditAsync())
        {
            if (line.Entry is { } entry)
                chain.Take(entry.Entry(), Sha256Digest.Parse(entry.Previous), Sha256Digest.Parse(entry.Hash));
            else
                chain.Take(line.Checkpoint!.Checkpoint());
        }

        chain.End();
        return chain;
    }

    /// <summary>What a device that followed the server has stored, and how it goes on from there: by all rules of TUF.</summary>
    sealed record SeenBefore(ReadOnlyMemory<byte> Root, ReadOnlyMemory<byte> Timestamp, ReadOnlyMemory<byte> Snapshot, long PlanSerial)
    {
        public static async Task<SeenBefore> ReadAsync(RunningServer server, TimeProvider time)
        {
            var timestamp = await GetAsync(server, "timestamp.json");
            return new(
                await GetAsync(server, "1.root.json"), timestamp, await GetAsync(server, $"{MetadataFile.ReadTimestamp(timestamp).Signed.Snapshot.Version}.snapshot.json"), (await new TufWalk(server.Anyone, time).PlanAsync(Bearing))!.Serial);
        }

        public async Task<RolloutPlan> FollowAsync(RunningServer server, TimeProvider time)
        {
            var trusted = new TrustedMetadataSet(Root, time.GetUtcNow());
            trusted.LoadTimestamp(Timestamp);
            Assert.True(trusted.UpdateTimestamp(await GetAsync(server, "timestamp.json")), "the timestamp is the one that was seen");
            trusted.LoadSnapshot(Snapshot);
            trusted.UpdateSnapshot(await GetAsync(server, $"{trusted.Timestamp!.Signed.Snapshot.Version}.snapshot.json"));
            return (await new TufWalk(server.Anyone, time).PlanAsync(Bearing))!;
        }

        static async Task<ReadOnlyMemory<byte>> GetAsync(RunningServer server, string name) => await server.Anyone.GetByteArrayAsync("repository/metadata/" + name);
    }
}

public sealed class RestoredServerOnPostgresTests : RestoredServerTests
{
    protected override async Task<PostgresAddress?> NewDatabaseAsync() => await RunningServer.NewDatabaseAsync();
}
