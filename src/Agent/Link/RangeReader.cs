namespace Coppice.Agent.Link;

/// <summary>Reads ranges of a file in their order, a few of them with each request.</summary>
/// <param name="files">Where the file is.</param>
/// <param name="file">The file.</param>
/// <param name="coming">The ranges that will be read, in order and apart from one another.</param>
/// <param name="longestPause">Ranges with more bytes between them are asked for with another request.</param>
/// <param name="download">Reads with patience and at the shared rate.</param>
/// <param name="patience">With the source.</param>
/// <param name="pull">Counts bytes.</param>
sealed class RangeReader(
    IRepositoryFiles files, RepositoryFile file, IReadOnlyList<ByteSpan> coming, long longestPause, Download download, Patience patience, FilePull pull) : IAsyncDisposable
{
    const int MostTogether = 256;

    IAsyncEnumerator<FileBody>? bodies;
    FileBody? body;
    long at; // of the next byte of the body
    int next; // of the ranges that were not asked for yet

    /// <summary>Whether a byte is in a range that will be read.</summary>
    public bool Brings(long offset)
    {
        var (low, high) = (0, coming.Count - 1);
        while (low <= high)
        {
            var middle = (low + high) / 2;
            if (coming[middle].End <= offset)
                low = middle + 1;
            else if (coming[middle].Offset > offset)
                high = middle - 1;
            else
                return true;
        }

        return false;
    }

    /// <summary>Reads bytes that lie after those read before.</summary>
    /// <exception cref="LinkException">The source gives something else, or not enough.</exception>
    public async ValueTask ReadAsync(long offset, Memory<byte> into, CancellationToken cancel)
    {
        if (!Brings(offset))
        {
            await ReadAloneAsync(offset, into, cancel);
            return;
        }

        while (body is null || offset >= body.Offset + (body.Length ?? long.MaxValue - body.Offset))
            await NextAsync(offset);
        if (offset < at)
            throw new LinkException($"ranges of {file.For.Name} came in another order than they were asked for.") { Lasting = true };
        var skipped = new byte[Math.Min(offset - at, 16 << 10)];
        while (at < offset)
            await FillAsync(body, skipped.AsMemory(0, (int)Math.Min(skipped.Length, offset - at)), cancel);
        await FillAsync(body, into, cancel);
    }

    async ValueTask NextAsync(long offset)
    {
        if (body is not null)
            await body.DisposeAsync();
        body = null;
        for (; ; )
        {
            if (bodies is null)
            {
                var together = new List<ByteSpan>();
                for (; next < coming.Count && together.Count < MostTogether && (together.Count == 0 || coming[next].Offset - together[^1].End <= longestPause); next++)
                    together.Add(coming[next]);
                if (together.Count == 0)
                    throw new LinkException($"ranges of {file.For.Name} did not come: byte {offset} is missing.") { Lasting = true };
                bodies = files.RangesAsync(file, together, patience.Token).GetAsyncEnumerator(patience.Token);
            }

            patience.Begin();
            var more = await bodies.MoveNextAsync();
            patience.Rest();
            if (more)
            {
                body = bodies.Current;
                at = body.Offset;
                return;
            }

            await bodies.DisposeAsync();
            bodies = null;
        }
    }

    /// <summary>A range that was to be copied and could not be.</summary>
    async ValueTask ReadAloneAsync(long offset, Memory<byte> into, CancellationToken cancel)
    {
        patience.Begin();
        await foreach (var alone in files.RangesAsync(file, [new(offset, into.Length)], patience.Token).WithCancellation(patience.Token))
        {
            await using (alone)
            {
                if (alone.Offset != offset)
                    break;
                await FillAsync(alone, into, cancel);
                patience.Rest();
                return;
            }
        }

        throw new LinkException($"bytes from {offset} of {file.For.Name} did not come.") { Lasting = true };
    }

    async ValueTask FillAsync(FileBody from, Memory<byte> into, CancellationToken cancel)
    {
        for (int read; into.Length > 0; into = into[read..])
        {
            read = await download.ReadAsync(from.Body, into, patience, pull.Arrived, cancel);
            if (read == 0)
                throw new LinkException($"the answer for ranges of {file.For.Name} ended at byte {at}; it goes on from there.");
            if (ReferenceEquals(from, body))
                at += read;
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (body is not null)
            await body.DisposeAsync();
        if (bodies is not null)
            await bodies.DisposeAsync();
    }
}
