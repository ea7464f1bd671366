using Coppice.Server.Replicas;
using Coppice.Server.Storage;
using Microsoft.EntityFrameworkCore;

namespace Coppice.Server.Fleet;

/// <summary>Forgets reports that came long ago, a little at a time. What they came to stays: what a device serves, what a rollout counted, the audit log.</summary>
sealed partial class ReportRetention(Database database, Conductor conductor, ControlPlaneOptions options, TimeProvider time, ILogger<ReportRetention> log) : BackgroundService
{
    static readonly TimeSpan Pause = TimeSpan.FromHours(1);

    /// <summary>Rows of one transaction, and those that came in the same millisecond as the last: others wait for no longer than that takes.</summary>
    const int AtOnce = 500;

    /// <summary>Forgets everything that is old enough now.</summary>
    /// <returns>How many reports.</returns>
    public async Task<int> ForgetAsync(CancellationToken cancel)
    {
        var before = time.GetUtcNow() - options.KeepReports;
        var all = 0;
        for (int some; ; all += some)
        {
            some = await database.WriteAsync(async db =>
            {
                var old = db.Reports.Where(row => row.ReceivedAt < before);
                // By a moment, not by rows: the index leads to them, where a list of their keys would be compared with the whole table.
                var through = await old.OrderBy(row => row.ReceivedAt).Select(row => (DateTimeOffset?)row.ReceivedAt).Skip(AtOnce - 1).FirstOrDefaultAsync(cancel) ?? before;
                return await old.Where(row => row.ReceivedAt <= through).ExecuteDeleteAsync(cancel);
            }, cancel);
            if (some == 0)
                return all;
        }
    }

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

    [LoggerMessage(LogLevel.Information, "{Count} old reports forgotten.")]
    partial void LogForgotten(int count);

    [LoggerMessage(LogLevel.Error, "Old reports could not be forgotten; the next try is in an hour.")]
    partial void LogFailed(Exception e);
}
