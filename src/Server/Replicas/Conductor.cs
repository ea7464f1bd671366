using Coppice.Server.Storage;

namespace Coppice.Server.Replicas;

/// <summary>Whether this server is the one that moves rollouts on, sends events and makes patches: of several on one database, one at a time.</summary>
/// <remarks>
/// A lease in the database, by its clock. A server that does not get through stops taking itself for the conductor before another can become it. Two that do for a
/// moment harm nothing: what is decided is decided in a transaction, from what is there then.
/// </remarks>
sealed partial class Conductor(Database database, ControlPlaneOptions options, ILogger<Conductor> log) : BackgroundService
{
    const string Name = "conductor";

    static readonly TimeSpan Life = TimeSpan.FromSeconds(15);
    static readonly TimeSpan Pause = TimeSpan.FromSeconds(4);

    /// <summary>Asked for that long before its end, the lease is not counted on any more.</summary>
    static readonly TimeSpan Margin = TimeSpan.FromSeconds(2);

    readonly string holder = $"{Environment.MachineName}/{Environment.ProcessId}/{Guid.NewGuid():N}";
    readonly Lock gate = new();
    (long Term, long Asked)? held;

    /// <summary>Whether it is now.</summary>
    public bool IsHeld => Term is not null;

    /// <summary>Counts the changes of hands; null while another server, or nobody, has the lease.</summary>
    public long? Term
    {
        get
        {
            if (!database.IsShared)
                return 1;
            lock (gate)
                return held is var (term, asked) && TimeProvider.System.GetElapsedTime(asked) < Life - Margin ? term : null;
        }
    }

    /// <summary>Asks for the lease, so that a server on its own has it from the start.</summary>
    public override async Task StartAsync(CancellationToken cancellationToken)
    {
        if (database.IsShared)
            await AskAsync(cancellationToken);
        await base.StartAsync(cancellationToken);
    }

    public override async Task StopAsync(CancellationToken cancellationToken)
    {
        await base.StopAsync(cancellationToken);
        try
        {
            lock (gate)
                held = null;
            await database.LetGoAsync(Name, holder, cancellationToken);
        }
        catch (DatabaseUnavailableException e)
        {
            LogFailed(e); // it ends by itself
        }
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        if (!database.IsShared)
            return;
        while (true)
        {
            await Task.Delay(Pause, TimeProvider.System, stoppingToken); // the machine's: a lease is about servers, not about the fleet's time
            try
            {
                await AskAsync(stoppingToken);
            }
            catch (Exception e) when (!stoppingToken.IsCancellationRequested)
            {
                LogFailed(e); // the database is away; without an answer the lease ends by itself
            }
        }
    }

    async Task AskAsync(CancellationToken cancel)
    {
        var asked = TimeProvider.System.GetTimestamp(); // before the question: the database counts from when it hears it
        var answer = options.Time is DatabaseClock clock
            ? await clock.AskAsync(() => database.LeaseAsync(Name, holder, Life, cancel), leased => leased.Now)
            : await database.LeaseAsync(Name, holder, Life, cancel);
        bool began;
        lock (gate)
        {
            began = answer.Term is { } now && held?.Term != now;
            held = answer.Term is { } term ? (term, asked) : null;
        }

        if (began)
            LogBegan(answer.Term!.Value);
    }

    [LoggerMessage(LogLevel.Information, "This server moves rollouts on from now (term {Term}).")]
    partial void LogBegan(long term);

    [LoggerMessage(LogLevel.Warning, "The database was not reached for the lease; until it is, this server moves no rollout on.")]
    partial void LogFailed(Exception e);
}
