using System.Collections.Concurrent;
using Coppice.Protocol;
using Coppice.Server.Storage;

namespace Coppice.Server.Fleet;

/// <summary>Keeps the batches that devices send at the same time in one transaction: what that costs, they share.</summary>
/// <remarks>Nobody waits for others to come: whoever finds the database free takes along all that wait. A batch that cannot be kept spoils no other.</remarks>
sealed class ReportIntake(Database database, ReportStore reports) : IDisposable
{
    /// <summary>Most batches of one transaction.</summary>
    const int AtOnce = 200;

    readonly ConcurrentQueue<Waiting> queue = new();
    readonly SemaphoreSlim one = new(1);

    /// <inheritdoc cref="ReportStore.KeepAsync(string, ReportBatch, DateTimeOffset, CancellationToken)"/>
    public async Task<KeptBatch> KeepAsync(string device, ReportBatch batch, DateTimeOffset now)
    {
        var mine = new Waiting(device, batch, now);
        queue.Enqueue(mine);
        await one.WaitAsync(); // not cancelled: it may be among those that another keeps
        try
        {
            while (!mine.Done.Task.IsCompleted)
                await KeepSomeAsync();
        }
        finally
        {
            one.Release();
        }

        return await mine.Done.Task;
    }

    public void Dispose() => one.Dispose();

    async Task KeepSomeAsync()
    {
        var some = new List<Waiting>();
        var devices = new HashSet<string>(StringComparer.Ordinal);
        while (some.Count < AtOnce && queue.TryPeek(out var next) && devices.Add(next.Device)) // the second of a device reads what the first has written
        {
            queue.TryDequeue(out _);
            some.Add(next);
        }

        if (some.Count > 1)
        {
            try
            {
                var kept = await database.WriteAsync(db => ReportStore.KeepAllAsync(db, [.. some.Select(waiting => (waiting.Device, waiting.Batch, waiting.Now))], CancellationToken.None), CancellationToken.None);
                for (var i = 0; i < some.Count; i++)
                    some[i].Done.SetResult(kept[i]);
                return;
            }
            catch (Exception e) when (e is not DatabaseUnavailableException)
            {
                // One of them is out of the ordinary: each by itself then, and who is at fault is told so.
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

    sealed record Waiting(string Device, ReportBatch Batch, DateTimeOffset Now)
    {
        public TaskCompletionSource<KeptBatch> Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
