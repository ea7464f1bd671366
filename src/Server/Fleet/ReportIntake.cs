using System.Threading.Channels;
using Coppice.Protocol;
using Coppice.Server.Storage;

namespace Coppice.Server.Fleet;

/// <summary>Keeps the batches that devices send at the same time in one transaction: what that costs, they share.</summary>
/// <remarks>Nobody waits for others to come: when the database is free, all that wait are taken along. A batch that cannot be kept spoils no other.</remarks>
sealed partial class ReportIntake : IDisposable
{
    /// <summary>Most batches of one transaction.</summary>
    const int AtOnce = 1_000;

    readonly Channel<Waiting> queue = Channel.CreateUnbounded<Waiting>(new() { SingleReader = true });
    readonly ReportStore reports;

    readonly ILogger<ReportIntake> log;

    public ReportIntake(ReportStore reports, ILogger<ReportIntake> log)
    {
        (this.reports, this.log) = (reports, log);
        _ = RunAsync();
    }

    /// <inheritdoc cref="ReportStore.KeepAsync(string, ReportBatch, DateTimeOffset, CancellationToken)"/>
    public Task<KeptBatch> KeepAsync(string device, ReportBatch batch, DateTimeOffset now)
    {
        var mine = new Waiting(device, batch, now);
        return queue.Writer.TryWrite(mine) ? mine.Done.Task : throw new ObjectDisposedException(nameof(ReportIntake));
    }

    public void Dispose() => queue.Writer.TryComplete();

    async Task RunAsync()
    {
        var (some, devices) = (new List<Waiting>(), new HashSet<string>(StringComparer.Ordinal));
        while (await queue.Reader.WaitToReadAsync())
        {
            while (some.Count < AtOnce && queue.Reader.TryPeek(out var next) && devices.Add(next.Device)) // the second of a device reads what the first has written
            {
                queue.Reader.TryRead(out _);
                some.Add(next);
            }

            await KeepAsync(some);
            some.Clear();
            devices.Clear();
        }
    }

    async Task KeepAsync(List<Waiting> some)
    {
        if (some.Count > 1)
        {
            try
            {
                var kept = await reports.KeepAllAsync([.. some.Select(waiting => (waiting.Device, waiting.Batch, waiting.Now))], CancellationToken.None);
                for (var i = 0; i < some.Count; i++)
                    some[i].Done.SetResult(kept[i]);
                return;
            }
            catch (LoneActException)
            {
                // Each by itself then.
            }
            catch (Exception e) when (e is not DatabaseUnavailableException)
            {
                LogApart(some.Count, e); // each by itself then, and who is at fault is told so
            }
            catch (DatabaseUnavailableException away)
            {
                foreach (var waiting in some)
                    waiting.Done.SetException(away);
                return;
            }
        }

        foreach (var waiting in some)
        {
            try
            {
                waiting.Done.SetResult(await reports.KeepAsync(waiting.Device, waiting.Batch, waiting.Now, CancellationToken.None));
            }
            catch (Exception e) // it is the caller's, whatever it is
            {
                waiting.Done.SetException(e);
            }
        }
    }

    [LoggerMessage(LogLevel.Warning, "{Count} batches of reports could not be kept together; each is kept by itself.")]
    partial void LogApart(int count, Exception e);

    sealed record Waiting(string Device, ReportBatch Batch, DateTimeOffset Now)
    {
        public TaskCompletionSource<KeptBatch> Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
