using Coppice.Agent.Storage;

namespace Coppice.Agent.Link;

/// <summary>Takes a body into a file of the disk: at the shared rate, with bounded patience, and never a byte beyond what was said.</summary>
/// <param name="disk">The data folder.</param>
/// <param name="rate">Shared by all downloads.</param>
/// <param name="stall">How long a body may give nothing.</param>
/// <param name="time">Measures the stall.</param>
sealed class Download(IDisk disk, RateLimit rate, TimeSpan stall, TimeProvider time)
{
    /// <summary>A power cut costs at most these bytes.</summary>
    const long SyncEvery = 8L << 20;

    /// <summary>Goes on with a file until it is whole, synced.</summary>
    /// <param name="name">What it is, for a person.</param>
    /// <param name="path">The file; its folder is there.</param>
    /// <param name="here">Bytes of it that are here.</param>
    /// <param name="length">All of its bytes.</param>
    /// <param name="open">Opens the body at <paramref name="here"/>, or at 0.</param>
    /// <param name="begun">Told the body before it is read, with whether the file begins anew.</param>
    /// <param name="taken">Given every run of bytes that was kept.</param>
    /// <param name="buffer">To read through.</param>
    /// <param name="arrived">Told of every run of bytes that came over the network.</param>
    /// <param name="cancel">Ends the call; what has come is kept.</param>
    /// <exception cref="LinkException">The body was not to be had, stood still, broke off, or goes on beyond its length.</exception>
    public async Task TakeAsync(
        string name, string path, long here, long length, Func<CancellationToken, Task<BlobBody>> open, Action<BlobBody, bool> begun, Action<ReadOnlyMemory<byte>> taken,
        byte[] buffer, Action<int> arrived, CancellationToken cancel)
    {
        using var patience = new CancellationTokenSource(stall, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(patience.Token, cancel);
        try
        {
            await using var body = await open(either.Token);
            var anew = body.Offset != here; // it changed, or the server gives no ranges
            if (anew)
            {
                here = 0;
                disk.Delete(path);
            }

            begun(body, anew);
            using var written = disk.Append(path);
            for (var unsynced = 0L; ;)
            {
                patience.CancelAfter(stall);
                // One byte more than is wanted tells a body that does not end from one that does.
                var most = (int)Math.Min(rate.Chunk(buffer.Length), length - here + 1);
                var read = await body.Body.ReadAsync(buffer.AsMemory(0, most), either.Token);
                if (read == 0)
                    break;
                arrived(read);
                if (here + read > length)
                    throw new LinkException($"the answer for {name} goes on after {length} bytes, which is all that is wanted.");
                taken(buffer.AsMemory(0, read));
                written.Write(buffer.AsSpan(0, read));
                here += read;
                unsynced += read;
                if (unsynced >= SyncEvery)
                {
                    written.Sync();
                    unsynced = 0;
                }

                patience.CancelAfter(Timeout.InfiniteTimeSpan); // waiting for the rate limit is not the server's stall
                await rate.TakeAsync(read, cancel);
            }

            written.Sync();
        }
        catch (OperationCanceledException e) when (patience.IsCancellationRequested && !cancel.IsCancellationRequested)
        {
            throw new LinkException($"the answer for {name} stood still for {stall.TotalSeconds:0.#} s after {here} of {length} bytes; it goes on from there.", e);
        }
        catch (Exception e) when (e is HttpRequestException or HttpIOException)
        {
            throw new LinkException($"the answer for {name} broke off after {here} of {length} bytes: {e.Message}; it goes on from there.", e);
        }

        if (here < length)
            throw new LinkException($"the answer for {name} ended after {here} of {length} bytes; it goes on from there.");
    }

    /// <summary>Asks something of a source, with the same patience.</summary>
    public async Task<T> AskAsync<T>(string name, Func<CancellationToken, Task<T>> ask, CancellationToken cancel)
    {
        using var patience = new CancellationTokenSource(stall, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(patience.Token, cancel);
        try
        {
            return await ask(either.Token);
        }
        catch (OperationCanceledException e) when (patience.IsCancellationRequested && !cancel.IsCancellationRequested)
        {
            throw new LinkException($"nothing was answered for {name} within {stall.TotalSeconds:0.#} s.", e);
        }
    }
}
