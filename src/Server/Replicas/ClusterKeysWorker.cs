using Coppice.Server.Identity;
using Coppice.Server.Storage;

namespace Coppice.Server.Replicas;

/// <summary>Takes keys over that other servers made, and gives them those that somebody put here.</summary>
sealed partial class ClusterKeysWorker(ClusterKeys keys, Database database, DataFolder data, Authorities authorities, ILogger<ClusterKeysWorker> log) : BackgroundService
{
    static readonly TimeSpan Pause = TimeSpan.FromSeconds(5);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (true)
        {
            await Task.Delay(Pause, TimeProvider.System, stoppingToken);
            try
            {
                if (await keys.ShareAsync(database, data, stoppingToken) > 0)
                    authorities.LookAgain();
            }
            catch (Exception e) when (!stoppingToken.IsCancellationRequested)
            {
                LogFailed(e); // the database is away, or a file differs; the next look says so again
            }
        }
    }

    [LoggerMessage(LogLevel.Error, "Keys could not be shared with the other servers; the next try is in a few seconds.")]
    partial void LogFailed(Exception e);
}
