namespace Coppice.Agent.Link;

/// <summary>Keeps the bytes that are taken below a rate, over all downloads of the agent.</summary>
/// <param name="bytesPerSecond">0 for no limit.</param>
/// <param name="time">Measures and waits.</param>
public sealed class RateLimit(long bytesPerSecond, TimeProvider time)
{
    readonly Lock gate = new();
    readonly long start = time.GetTimestamp();
    TimeSpan free; // when the bytes taken so far are paid for, since start

    /// <summary>A sensible number of bytes to read at once: a quarter of a second's.</summary>
    public int Chunk(int most) => bytesPerSecond == 0 ? most : (int)Math.Clamp(bytesPerSecond / 4, 512, most);

    /// <summary>Waits until some bytes may be taken.</summary>
    public async ValueTask TakeAsync(int bytes, CancellationToken cancel)
    {
        if (bytesPerSecond == 0)
            return;
        TimeSpan wait;
        lock (gate)
        {
            var now = time.GetElapsedTime(start);
            free = (free < now ? now : free) + TimeSpan.FromSeconds(bytes / (double)bytesPerSecond);
            wait = free - now;
        }

        await Task.Delay(wait, time, cancel);
    }
}
