using Coppice.Server.Storage;

namespace Coppice.Server.Replicas;

/// <summary>Hears of events that other servers commit, for streams and webhooks here.</summary>
sealed partial class EventEar(Database database, ILogger<EventEar> log) : BackgroundService
{
    static readonly TimeSpan Pause = TimeSpan.FromSeconds(2);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (database.IsShared)
        {
            try
            {
                await database.ListenAsync(stoppingToken);
            }
            catch (DatabaseUnavailableException e) when (!stoppingToken.IsCancellationRequested)
            {
                LogDeaf(e);
            }

            await Task.Delay(Pause, TimeProvider.System, stoppingToken);
        }
    }

    [LoggerMessage(LogLevel.Warning, "Events of other servers are not heard at once while the database is away; they are looked for every few seconds.")]
    partial void LogDeaf(Exception e);
}
