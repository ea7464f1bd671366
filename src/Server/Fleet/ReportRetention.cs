using Coppice.Server.Replicas;
using Coppice.Server.Storage;

namespace Coppice.Server.Fleet;

/// <summary>Forgets reports that came long ago, a week at a time. What they came to stays: what a device serves, what a rollout counted, the audit log.</summary>
sealed partial class ReportRetention(Database database, Conductor conductor, ControlPlaneOptions options, TimeProvider time, ILogger<ReportRetention> log) : BackgroundService
{
    static readonly TimeSpan Pause = TimeSpan.FromHours(1);

    /// <summary>Forgets the weeks of which everything is old enough now.</summary>
    /// <returns>How many weeks.</returns>
    public Task<int> ForgetAsync(CancellationToken cancel) => database.Engine.ForgetReportsAsync(database, ReportRow.WeekOf(time.GetUtcNow() - options.KeepReports), cancel);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (true)
        {
            await Task.Delay(Pause, time, stoppingToken);
            try
            {
                if (conductor.IsHeld && await ForgetAsync(stoppingToken) is > 0 and var gone)
                    LogForgotten(gone);
            }
            catch (Exception e) when (!stoppingToken.IsCancellationRequested)
            {
                LogFailed(e); // the database is away or its disk full; the next hour tries again
            }
        }
    }

    [LoggerMessage(LogLevel.Information, "The reports of {Count} weeks are old and forgotten.")]
    partial void LogForgotten(int count);

    [LoggerMessage(LogLevel.Error, "Old reports could not be forgotten; the next try is in an hour.")]
    partial void LogFailed(Exception e);
}
