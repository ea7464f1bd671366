using System.Collections.Concurrent;
using Coppice.Server.Replicas;

namespace Coppice.Server.Events;

/// <summary>Sends events to webhooks: each webhook's in their order, and none waits for another's. Where it was cut short it goes on: an event may be sent twice, never not at all.</summary>
sealed partial class WebhookWorker(WebhookStore webhooks, EventSender sender, Conductor conductor, EventBell bell, TimeProvider time, ILogger<WebhookWorker> log) : BackgroundService
{
    static readonly TimeSpan Pause = TimeSpan.FromSeconds(5);
    static readonly TimeSpan Remembered = TimeSpan.FromDays(14);

    readonly ConcurrentDictionary<long, SemaphoreSlim> gates = new();
    readonly Dictionary<long, Task> underWay = [];

    /// <summary>Sends everything that is due now.</summary>
    public async Task SendAsync(CancellationToken cancel)
    {
        await Task.WhenAll((await webhooks.WorkingAsync(cancel)).Select(webhook => SendAsync(webhook.Number, cancel)));
        await webhooks.ForgetAsync(time.GetUtcNow() - Remembered, cancel);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (!stoppingToken.IsCancellationRequested)
        {
            var ring = bell.Next;
            try
            {
                foreach (var webhook in conductor.IsHeld ? await webhooks.WorkingAsync(stoppingToken) : [])
                {
                    if (!underWay.TryGetValue(webhook.Number, out var before) || before.IsCompleted)
                        underWay[webhook.Number] = TryAsync(webhook.Number, stoppingToken);
                }
            }
            catch (Exception e) when (!stoppingToken.IsCancellationRequested)
            {
                LogFailed(e); // a full disk or the like; the clock tries again
            }
            catch (OperationCanceledException)
            {
                break;
            }

            await Task.WhenAny(ring, Task.Delay(Pause, time, stoppingToken)); // also when it stops: the delay is cancelled then
        }

        await Task.WhenAll(underWay.Values); // what was cut short is sent again at the next start
    }

    async Task TryAsync(long number, CancellationToken stopping)
    {
        try
        {
            await SendAsync(number, stopping);
        }
        catch (Exception e) when (!stopping.IsCancellationRequested)
        {
            LogFailed(e); // as above
        }
        catch (OperationCanceledException)
        {
            // Stopping.
        }
    }

    async Task SendAsync(long number, CancellationToken cancel)
    {
        var gate = gates.GetOrAdd(number, _ => new(1));
        await gate.WaitAsync(cancel); // else two would send the same
        try
        {
            if (await webhooks.FindAsync(number, cancel) is not { DisabledAt: null } webhook)
                return;
            while (conductor.IsHeld && await webhooks.NextAsync(webhook, time.GetUtcNow(), cancel) is { } next)
            {
                if (await webhooks.FindAsync(number, cancel) is not { DisabledAt: null } current)
                    return;
                webhook = current; // as it was when the event came or later: what was changed or disabled before an event holds for it
                var sent = await sender.SendAsync(webhook, next.What, time.GetUtcNow(), cancel);
                if (!sent.Taken)
                    LogRefused(next.What.Id, webhook.Id, sent.Error);
                if (!await webhooks.KeepAsync(webhook, next.Delivery, sent, Random.Shared.NextDouble(), time.GetUtcNow(), CancellationToken.None))
                    return;
            }
        }
        finally
        {
            gate.Release();
        }
    }

    [LoggerMessage(LogLevel.Warning, "Event {Number} was not taken by webhook {Webhook}: {Why}")]
    partial void LogRefused(long number, string webhook, string? why);

    [LoggerMessage(LogLevel.Error, "Events could not be sent; the next try is in a few seconds.")]
    partial void LogFailed(Exception e);
}
