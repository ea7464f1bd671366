namespace Coppice.Server.Registry;

/// <summary>Signs what the online key signs again before it expires, and says when an offline key is needed.</summary>
sealed partial class ExpiryWorker(Repository repository, TimeProvider time, ILogger<ExpiryWorker> log) : BackgroundService
{
    static readonly TimeSpan Pause = TimeSpan.FromHours(1);
    static readonly TimeSpan PauseAfterFailure = TimeSpan.FromMinutes(1);

    /// <summary>Signs what has less than half of its life left.</summary>
    public void Refresh()
    {
        var now = time.GetUtcNow();
        if (repository.Tree.RefreshExpiry(now))
            LogSigned();
        foreach (var warning in repository.Tree.Status(now).Warnings)
            LogWarning(warning);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (true)
        {
            var pause = Pause;
            try
            {
                Refresh();
            }
            catch (Exception e) when (!stoppingToken.IsCancellationRequested)
            {
                LogFailed(e); // a full disk or the like; half a lifetime is left to mend it
                pause = PauseAfterFailure;
            }

            await Task.Delay(pause, time, stoppingToken);
        }
    }

    [LoggerMessage(LogLevel.Information, "Repository metadata signed anew.")]
    partial void LogSigned();

    [LoggerMessage(LogLevel.Warning, "{Warning}")]
    partial void LogWarning(string warning);

    [LoggerMessage(LogLevel.Error, "Repository metadata could not be signed anew; the next try is in a minute.")]
    partial void LogFailed(Exception e);
}
