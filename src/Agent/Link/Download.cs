using Coppice.Agent.Storage;

namespace Coppice.Agent.Link;

/// <summary>Takes a body into a file of the disk: at the shared rate, with bounded patience, and never a byte beyond what is wanted.</summary>
/// <param name="disk">The data folder.</param>
/// <param name="rate">Shared by all downloads.</param>
/// <param name="stall">How long a body may give nothing.</param>
/// <param name="time">Measures the stall.</param>
sealed class Download(IDisk disk, RateLimit rate, TimeSpan stall, TimeProvider time)
{
    /// <summary>A power cut costs at most these bytes.</summary>
    public const long SyncEvery = 8L << 20;

    /// <summary>Goes on with a file until it is whole, synced.</summary>
    /// <remarks>What a source sends after the last byte that is wanted is not read: whether those before are right, their digest says.</remarks>
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
    /// <exception cref="LinkException">The body was not to be had, stood still or broke off.</exception>
    public async Task TakeAsync(
        string name, string path, long here, long length, Func<CancellationToken, Task<FileBody>> open, Action<FileBody, bool> begun, Action<ReadOnlyMemory<byte>> taken,
        byte[] buffer, Action<long> arrived, CancellationToken cancel)
    {
        using var patience = new Patience(stall, time, cancel);
        try
        {
            await using var body = await open(patience.Token);
            var anew = body.Offset != here; // it changed, or the server gives no ranges
            if (anew)
            {
                here = 0;
                disk.Delete(path);
            }

            begun(body, anew);
            using var written = disk.Append(path);
            for (var unsynced = 0L; here < length;)
            {
                var most = (int)Math.Min(rate.Chunk(buffer.Length), length - here);
                var read = await ReadAsync(body.Body, buffer.AsMemory(0, most), patience, arrived, cancel);
                if (read == 0)
                    break;
                taken(buffer.AsMemory(0, read));
                written.Write(buffer.AsSpan(0, read));
                here += read;
                unsynced += read;
                if (unsynced >= SyncEvery)
                {
                    written.Sync();
                    unsynced = 0;
                }
            }

            written.Sync();
        }
        catch (OperationCanceledException e) when (patience.RanOut)
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

    /// <summary>Reads some bytes of a body, with patience and at the shared rate; 0 at its end.</summary>
    public async ValueTask<int> ReadAsync(Stream body, Memory<byte> into, Patience patience, Action<long> arrived, CancellationToken cancel)
    {
        patience.Begin();
        var read = await body.ReadAsync(into[..Math.Min(into.Length, rate.Chunk(into.Length))], patience.Token);
        patience.Rest(); // waiting for the rate limit is not the server's stall
        if (read > 0)
        {
            arrived(read);
            await rate.TakeAsync(read, cancel);
        }

        return read;
    }

    /// <summary>Patience for a source that is asked beside a download of a whole file.</summary>
    public Patience Patience(CancellationToken cancel) => new(stall, time, cancel);

    /// <summary>Reads a small file of known length.</summary>
    /// <exception cref="LinkException">It was not to be had.</exception>
    public async Task<byte[]> ReadWholeAsync(string name, IRepositoryFiles files, RepositoryFile file, Action<long> arrived, CancellationToken cancel)
    {
        var bytes = new byte[file.Length];
        var here = 0;
        using var patience = Patience(cancel);
        try
        {
            await using var body = await files.OpenAsync(file, 0, null, patience.Token);
            for (int read; here < bytes.Length && (read = await ReadAsync(body.Body, bytes.AsMemory(here), patience, arrived, cancel)) > 0;)
                here += read;
        }
        catch (OperationCanceledException e) when (patience.RanOut)
        {
            throw new LinkException($"the answer for {name} stood still for {stall.TotalSeconds:0.#} s.", e);
        }
        catch (Exception e) when (e is HttpRequestException or HttpIOException)
        {
            throw new LinkException($"the answer for {name} broke off: {e.Message}.", e);
        }

        return here == bytes.Length ? bytes : throw new LinkException($"the answer for {name} ended after {here} of {bytes.Length} bytes.");
    }

    /// <summary>Asks something of a source, with the same patience.</summary>
    public async Task<T> AskAsync<T>(string name, Func<CancellationToken, Task<T>> ask, CancellationToken cancel)
    {
        using var patience = Patience(cancel);
        try
        {
            return await ask(patience.Token);
        }
        catch (OperationCanceledException e) when (patience.RanOut)
        {
            throw new LinkException($"nothing was answered for {name} within {stall.TotalSeconds:0.#} s.", e);
        }
    }
}
