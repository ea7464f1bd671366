using Coppice.Protocol;
using Coppice.Server.Patches;
using Coppice.Server.Registry;
using Coppice.Server.Replicas;

namespace Coppice.Server.Rollouts;

/// <summary>Judges running rollouts: at once after a report that may decide one, and every few seconds, because soaking ends by itself.</summary>
sealed partial class RolloutWorker(
    RolloutStore rollouts, PlanPublisher plans, ReleaseStore releases, Conductor conductor, RolloutSignal signal, PatchSignal patches, TimeProvider time, ILogger<RolloutWorker> log) : BackgroundService
{
    static readonly TimeSpan Pause = TimeSpan.FromSeconds(5);

    /// <summary>Judging rests so many times as long as it took: of a large fleet each report may decide something, and counting takes a while.</summary>
    const int Rest = 4;

    long? seen;

    /// <summary>Judges every running rollout once.</summary>
    public async Task JudgeAsync(CancellationToken cancel)
    {
        if (await plans.AwaitsAsync(cancel))
            await plans.ReconcileAsync(cancel);
        foreach (var number in await rollouts.RunningAsync(cancel))
        {
            if (await rollouts.JudgeAsync(number, time.GetUtcNow(), cancel) is not { } happened)
                continue;
            LogMoved(number, happened);
            patches.Raise(); // devices may serve something new
        }
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await using var clock = time.CreateTimer(_ => signal.Raise(), null, TimeSpan.Zero, Pause);
        await foreach (var _ in signal.AllAsync(stoppingToken))
        {
            try
            {
                if (conductor.Term is not { } term)
                    continue;
                if (term != seen)
                    await releases.ReconcileAsync(time.GetUtcNow(), stoppingToken); // the server before may have died in the middle of a publish
                seen = term;
                var began = time.GetTimestamp();
                await JudgeAsync(stoppingToken);
                await Task.Delay(Rest * time.GetElapsedTime(began), time, stoppingToken);
            }
            catch (Exception e) when (!stoppingToken.IsCancellationRequested)
            {
                LogFailed(e); // a full disk or the like; the clock tries again, and /readyz says so meanwhile
            }
        }
    }

    [LoggerMessage(LogLevel.Information, "Rollout r-{Number}: {Happened}.")]
    partial void LogMoved(long number, EventKind happened);

    [LoggerMessage(LogLevel.Error, "Rollouts could not be judged; the next try is in a few seconds.")]
    partial void LogFailed(Exception e);
}
