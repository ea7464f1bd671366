using System.Collections.Concurrent;
using System.Net;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text;
using Coppice.Agent.Link;
using Coppice.Agent.Storage;
using Coppice.Mirror.Tree;
using Coppice.Protocol;
using Coppice.Trust;

namespace Coppice.Mirror.Upstream;

/// <summary>Blobs, patches and documents that upstream has and devices asked for. However many ask, each is fetched once; who asks early reads along while it comes.</summary>
/// <param name="tree">Where they are kept.</param>
/// <param name="http">Asks upstream.</param>
/// <param name="repository">Upstream's repository, ending in '/'.</param>
/// <param name="state">Told whether upstream answers.</param>
/// <param name="budget">Most bytes of blobs and patches.</param>
/// <param name="stall">How long upstream may stand still.</param>
/// <param name="time">Measures it.</param>
public sealed class FileCache(SiteTree tree, HttpClient http, Uri repository, UpstreamState state, long budget, TimeSpan stall, TimeProvider time)
{
    const int BufferBytes = 1 << 18;

    readonly ConcurrentDictionary<string, Arrival> arriving = new(StringComparer.Ordinal);
    readonly ConcurrentDictionary<string, (long Asked, long Length)> held = new(StringComparer.Ordinal);
    readonly Lock evicting = new();
    long clock;
    long fetched;

    /// <summary>Bytes of blobs and patches that are held.</summary>
    public long Held => held.Values.Sum(file => file.Length);

    /// <summary>Files that were fetched from upstream since the start.</summary>
    public long Fetched => Interlocked.Read(ref fetched);

    /// <summary>Takes stock of what an earlier run, or a bundle, left.</summary>
    public void TakeStock()
    {
        foreach (var folder in tree.Disk.Folders("blobs/sha256"))
        {
            foreach (var name in tree.Disk.Files($"blobs/sha256/{folder}"))
                Touch($"blobs/sha256/{folder}/{name}");
        }

        foreach (var folder in tree.Disk.Folders("patches"))
        {
            foreach (var name in tree.Disk.Files($"patches/{folder}"))
                Touch($"patches/{folder}/{name}");
        }

        Evict();
    }

    /// <summary>Says that a file was asked for, so that it stays.</summary>
    public void Touch(string path)
    {
        if (tree.LengthOf(path) is { } length)
            Touch(path, length);
    }

    /// <summary>Says that a file of a length was asked for, so that it stays.</summary>
    public void Touch(string path, long length)
    {
        if (IsEvictable(path))
            held[path] = (Interlocked.Increment(ref clock), length);
    }

    /// <summary>A file that is not here: begins to fetch it, or joins who has begun.</summary>
    /// <returns>Null when upstream has no such file.</returns>
    /// <exception cref="LinkException">Upstream is not reached.</exception>
    public async Task<Arrival?> ArriveAsync(string path, CancellationToken cancel)
    {
        var mine = new Arrival();
        var arrival = arriving.GetOrAdd(path, mine);
        if (arrival == mine)
            _ = Task.Run(() => FetchAsync(path, mine), CancellationToken.None);
        return await arrival.Begun.WaitAsync(cancel) ? arrival : null;
    }

    /// <summary>Fetches a file if it is not here, and waits until it is.</summary>
    public async Task EnsureAsync(string path, CancellationToken cancel)
    {
        if (tree.LengthOf(path) is null && await ArriveAsync(path, cancel) is { } arrival)
            await arrival.Done.WaitAsync(cancel);
    }

    /// <summary>A small file that may be replaced at upstream, as it is there now; kept for when upstream is away.</summary>
    /// <returns>Its bytes; null when there is none.</returns>
    /// <exception cref="LinkException">Upstream is away, and none is kept; or it is longer than <paramref name="most"/>.</exception>
    public async Task<byte[]?> FreshAsync(string path, int most, CancellationToken cancel)
    {
        using var late = new CancellationTokenSource(stall, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(late.Token, cancel);
        try
        {
            using var response = await AskAsync(path, 0, either.Token);
            if (response is null)
            {
                tree.Disk.Delete(path); // it was taken back
                return null;
            }

            await using var body = await response.Content.ReadAsStreamAsync(either.Token);
            var buffer = new byte[most + 1];
            var read = await body.ReadAtLeastAsync(buffer, buffer.Length, throwOnEndOfStream: false, either.Token);
            if (read > most)
                throw new LinkException($"upstream's {path} has more than {most} bytes.");
            tree.PutSmall(path, buffer.AsSpan(0, read));
            return buffer[..read];
        }
        catch (Exception e) when (e is LinkException or HttpRequestException or IOException || (e is OperationCanceledException && !cancel.IsCancellationRequested))
        {
            return tree.Disk.ReadSmall(path, most) is { } kept ? kept : throw (e as LinkException ?? new LinkException($"upstream does not answer: {e.Message}", e));
        }
    }

    async Task FetchAsync(string path, Arrival arrival)
    {
        try
        {
            await FetchIntoAsync(path, arrival);
        }
        catch (Exception e) when (e is LinkException or HttpRequestException or IOException or UnauthorizedAccessException or OperationCanceledException)
        {
            arrival.Fail(e as LinkException ?? new LinkException($"{path} could not be fetched from upstream: {e.Message}", e));
        }
        finally
        {
            arriving.TryRemove(new(path, arrival));
        }
    }

    async Task FetchIntoAsync(string path, Arrival arrival)
    {
        tree.Disk.MakeFolder(SiteTree.Partial);
        var part = $"{SiteTree.Partial}/{Sha256Digest.Of(Encoding.UTF8.GetBytes(path))}";
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var buffer = new byte[BufferBytes];
        var here = tree.Disk.HashPart(part, hash, buffer, CancellationToken.None);
        using var patience = new CancellationTokenSource(stall, time);
        using var response = await AskAsync(path, here, patience.Token);
        if (response is null)
        {
            arrival.Absent();
            return;
        }

        if (response.StatusCode != HttpStatusCode.PartialContent && here > 0)
        {
            tree.Disk.Delete(part);
            _ = hash.GetHashAndReset();
            here = 0;
        }

        var length = here + (response.Content.Headers.ContentLength ?? throw new LinkException($"upstream does not say how long {path} is."));
        Evict(length);
        using var file = tree.Disk.Append(part);
        arrival.Begin(tree.Disk.FullPath(part)!, length, here);
        await using var body = await response.Content.ReadAsStreamAsync(patience.Token);
        for (int read; (read = await body.ReadAsync(buffer, patience.Token)) > 0;)
        {
            patience.CancelAfter(stall);
            file.Write(buffer.AsSpan(0, read));
            hash.AppendData(buffer, 0, read);
            arrival.Come(here += read);
        }

        file.Sync();
        if (here != length || (DigestOf(path) is { } digest && new Sha256Digest(hash.GetHashAndReset()) != digest))
        {
            tree.Disk.Delete(part);
            throw new LinkException($"upstream's {path} is not what its name says; it is not kept.");
        }

        tree.Disk.MakeFolder(DiskExtensions.FolderOf(path));
        tree.Disk.Rename(part, path);
        tree.Disk.SyncFolder(DiskExtensions.FolderOf(path));
        Touch(path);
        Evict(); // others may have come to their end meanwhile
        Interlocked.Increment(ref fetched);
        arrival.End();
    }

    async Task<HttpResponseMessage?> AskAsync(string path, long from, CancellationToken cancel)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, new Uri(repository, path));
        request.Headers.AcceptEncoding.Add(new("identity"));
        request.Headers.Add(DirectRequest.Header, DirectRequest.Value); // once for the whole site: not worth another place to reach
        if (from > 0)
            request.Headers.Range = new RangeHeaderValue(from, null);
        HttpResponseMessage response;
        try
        {
            response = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancel);
        }
        catch (Exception e) when (e is HttpRequestException or System.Net.Sockets.SocketException or OperationCanceledException)
        {
            state.Failed(e.Message);
            throw new LinkException($"upstream {repository} is not reached: {e.Message}", e);
        }

        state.Answered();
        if (response.StatusCode is HttpStatusCode.OK || (response.StatusCode is HttpStatusCode.PartialContent && response.Content.Headers.ContentRange?.From == from))
            return response;
        response.Dispose();
        return response.StatusCode switch
        {
            HttpStatusCode.NotFound or HttpStatusCode.Gone or HttpStatusCode.Forbidden => null,
            HttpStatusCode.RequestedRangeNotSatisfiable => await AskAsync(path, 0, cancel), // the beginning that is here is all of it, or of something else
            var status => throw new LinkException($"upstream answered {(int)status} for {path}."),
        };
    }

    /// <summary>The digest that a name holds; null for a patch, whose result the device checks.</summary>
    static Sha256Digest? DigestOf(string path)
    {
        var name = path.AsSpan(path.LastIndexOf('/') + 1);
        var holds = path.StartsWith("blobs/", StringComparison.Ordinal) ? name : path.StartsWith("targets/", StringComparison.Ordinal) ? name[..Math.Min(name.Length, Sha256Digest.HexLength)] : default;
        return Sha256Digest.TryParse(holds, out var digest) ? digest : null;
    }

    static bool IsEvictable(string path) => path.StartsWith("blobs/", StringComparison.Ordinal) || path.StartsWith("patches/", StringComparison.Ordinal);

    /// <summary>Makes room: what was asked for longest ago goes. Who reads it reads on.</summary>
    void Evict(long coming = 0)
    {
        lock (evicting)
        {
            var total = Held + coming;
            foreach (var (path, file) in held.OrderBy(file => file.Value.Asked))
            {
                if (total <= budget)
                    return;
                if (!held.TryRemove(path, out _))
                    continue;
                tree.Disk.Delete(path);
                total -= file.Length;
            }
        }
    }
}
