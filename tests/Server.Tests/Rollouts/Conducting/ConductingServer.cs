using Coppice.Server.Fleet;
using Coppice.Server.Patches;
using Coppice.Server.Registry;
using Coppice.Server.Replicas;
using Coppice.Server.Rollouts;
using Coppice.Server.Storage;
using Coppice.Server.Trust;
using Coppice.Trust;
using Microsoft.Extensions.Logging.Abstractions;

namespace Coppice.Server.Tests.Rollouts.Conducting;

/// <summary>What of a server moves rollouts: its stores, its publisher and its worker, without HTTP and without threads of their own.</summary>
sealed class ConductingServer : IDisposable
{
    ConductingServer(Database database, Repository repository, TimeProvider time)
    {
        (Database, Repository) = (database, repository);
        Plans = new(database, repository, time);
        Rollouts = new(database, Plans);
        Releases = new(database, repository, Plans);
        Reports = new(database);
        lease = new(database, new() { Data = "" }, NullLogger<Conductor>.Instance);
        Worker = new(Rollouts, Plans, Releases, lease, new RolloutSignal(), new PatchSignal(), time, NullLogger<RolloutWorker>.Instance);
    }

    readonly Conductor lease;

    public Database Database { get; }
    public Repository Repository { get; }
    public PlanPublisher Plans { get; }
    public RolloutStore Rollouts { get; }
    public ReleaseStore Releases { get; }
    public ReportStore Reports { get; }
    public RolloutWorker Worker { get; }

    /// <summary>Starts as a server does.</summary>
    public static async Task<ConductingServer> StartAsync(string tables, MemoryTree tree, SigningKey online, TimeProvider time)
    {
        var conductor = new ConductingServer(await Database.OpenAsync(tables, CancellationToken.None), Repository.Over(tree, OnlineKeys.Of(online)), time);
        await conductor.Releases.ReconcileAsync(time.GetUtcNow(), CancellationToken.None);
        await conductor.Plans.ReconcileAsync(CancellationToken.None);
        return conductor;
    }

    /// <summary>Ends without a word, as a process does that is killed.</summary>
    public void Dispose()
    {
        Worker.Dispose();
        lease.Dispose();
        Plans.Dispose();
        Database.Dispose();
    }
}
