using Coppice.Agent.Link;

namespace Coppice.Mirror.Upstream;

/// <summary>A file on its way from upstream, which any number of readers follow.</summary>
public sealed class Arrival
{
    readonly TaskCompletionSource<bool> begun = new(TaskCreationOptions.RunContinuationsAsynchronously);
    readonly TaskCompletionSource done = new(TaskCreationOptions.RunContinuationsAsynchronously);
    volatile TaskCompletionSource moved = new(TaskCreationOptions.RunContinuationsAsynchronously);
    string file = "";
    long come;

    /// <summary>Bytes of the whole file, once it has begun.</summary>
    public long Length { get; private set; }

    /// <summary>Ends when upstream has begun to answer: true, or false when it has no such file.</summary>
    public Task<bool> Begun => begun.Task;

    /// <summary>Ends when the file is here, whole and checked.</summary>
    public Task Done => done.Task;

    internal void Begin(string path, long length, long here)
    {
        (file, Length) = (path, length);
        Volatile.Write(ref come, here);
        begun.TrySetResult(true);
    }

    internal void Absent()
    {
        begun.TrySetResult(false);
        done.TrySetResult();
    }

    internal void Come(long here)
    {
        Volatile.Write(ref come, here);
        Interlocked.Exchange(ref moved, new(TaskCreationOptions.RunContinuationsAsynchronously)).TrySetResult();
    }

    internal void End()
    {
        done.TrySetResult();
        Interlocked.Exchange(ref moved, new(TaskCreationOptions.RunContinuationsAsynchronously)).TrySetResult();
    }

    internal void Fail(LinkException why)
    {
        begun.TrySetException(why);
        if (done.TrySetException(why))
            _ = done.Task.Exception; // seen: nobody may be waiting
        _ = begun.Task.Exception;
        Interlocked.Exchange(ref moved, new(TaskCreationOptions.RunContinuationsAsynchronously)).TrySetResult();
    }

    /// <summary>Opens what has come so far; stays readable when the file gets its name.</summary>
    public FileStream Open() => new(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, 1, useAsync: true);

    /// <summary>Waits until more than <paramref name="at"/> bytes have come.</summary>
    /// <returns>How many have.</returns>
    /// <exception cref="LinkException">No more will come.</exception>
    public async Task<long> MoreThanAsync(long at, CancellationToken cancel)
    {
        while (true)
        {
            var next = moved.Task;
            if (Volatile.Read(ref come) is var here && (here > at || here == Length))
                return here;
            if (done.Task.IsFaulted)
                await done.Task;
            await next.WaitAsync(cancel);
        }
    }
}
