using Coppice.Server.Backups;

namespace Coppice.Server.Registry;

/// <summary>Signs what the online key signs again before it expires, and says when an offline key is needed.</summary>
sealed partial class ExpiryWorker(Repository repository, Restores restores, TimeProvider time, ILogger<ExpiryWorker> log) : BackgroundService
{
    static readonly TimeSpan Pause = TimeSpan.FromHours(1);
    static readonly TimeSpan PauseAfterFailure = TimeSpan.FromMinutes(1);

    TimeSpan firstPause;

    /// <summary>Signs what has less than half of its life left.</summary>
    public void Refresh()
    {
        var now = time.GetUtcNow();
        if (restores.Newest is { } restored && repository.Tree.GoPast(restored.Version, restored.Least(), now))
            LogWentPast(restored.Version);
        if (repository.Tree.RefreshExpiry(now))
            LogSigned();
        foreach (var warning in repository.Tree.Status(now).Warnings)
            LogWarning(warning);
    }

    /// <summary>Signs before the first device asks.</summary>
    public override Task StartAsync(CancellationToken cancellationToken)
    {
        firstPause = Try(cancellationToken);
        return base.StartAsync(cancellationToken);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        for (var pause = firstPause; ; pause = Try(stoppingToken))
            await Task.Delay(pause, time, stoppingToken);
    }

    /// <returns>How long to wait for the next time.</returns>
    TimeSpan Try(CancellationToken stopping)
    {
        try
        {
            Refresh();
            return Pause;
        }
        catch (Exception e) when (!stopping.IsCancellationRequested)
        {
            LogFailed(e); // a full disk or the like; half a lifetime is left to mend it
            return PauseAfterFailure;
        }
    }

    [LoggerMessage(LogLevel.Information, "Repository metadata signed anew, from version {Version} on: beyond what devices can have seen before the restore.")]
    partial void LogWentPast(long version);

    [LoggerMessage(LogLevel.Information, "Repository metadata signed anew.")]
    partial void LogSigned();

    [LoggerMessage(LogLevel.Warning, "{Warning}")]
    partial void LogWarning(string warning);

    [LoggerMessage(LogLevel.Error, "Repository metadata could not be signed anew; the next try is in a minute.")]
    partial void LogFailed(Exception e);
}
