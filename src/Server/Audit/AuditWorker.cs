namespace Coppice.Server.Audit;

/// <summary>Signs the end of the audit log every minute in which it moved, and when the server stops.</summary>
sealed partial class AuditWorker(AuditStore audit, TimeProvider time, ILogger<AuditWorker> log) : BackgroundService
{
    static readonly TimeSpan Pause = TimeSpan.FromMinutes(1);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (!stoppingToken.IsCancellationRequested)
        {
            await TryAsync(stoppingToken);
            await Task.Delay(Pause, time, stoppingToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    public override async Task StopAsync(CancellationToken cancellationToken)
    {
        await base.StopAsync(cancellationToken);
        await TryAsync(cancellationToken);
    }

    async Task TryAsync(CancellationToken cancel)
    {
        try
        {
            await audit.CheckpointAsync(time.GetUtcNow(), cancel);
        }
        catch (Exception e) when (!cancel.IsCancellationRequested)
        {
            LogFailed(e); // a full disk or the like, or a log that was cut; the server goes on, and the next try says so again
        }
        catch (OperationCanceledException)
        {
            // Stopping; StopAsync signs once more.
        }
    }

    [LoggerMessage(LogLevel.Error, "The end of the audit log could not be signed; the next try is in a minute.")]
    partial void LogFailed(Exception e);
}
