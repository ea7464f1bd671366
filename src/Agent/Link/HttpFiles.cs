using System.Net;
using System.Net.Http.Headers;
using System.Runtime.CompilerServices;

namespace Coppice.Agent.Link;

/// <summary>A repository behind HTTP: any static server or CDN. Goes on at any byte, also after a restart.</summary>
/// <param name="http">Without automatic decompression and redirects.</param>
/// <param name="repository">The folder that holds <c>blobs/</c>, ending in '/'.</param>
/// <param name="redirects">Follows where the bytes of files are elsewhere; null to ask at their own addresses only.</param>
public sealed class HttpFiles(HttpClient http, Uri repository, BlobRedirects? redirects = null) : IRepositoryFiles
{
    /// <summary>Ranges in one request: servers bound its length, many at 8 KB.</summary>
    const int MostTogether = 64;

    volatile bool alone; // whether it was seen to give one range a request only

    /// <inheritdoc/>
    public async Task<FileBody> OpenAsync(RepositoryFile file, long offset, string? tag, CancellationToken cancel)
    {
        var address = new Uri(repository, file.Path);
        using var request = Get(address);
        if (offset > 0)
        {
            request.Headers.Range = new(offset, null);
            // A weak tag may not stand in If-Range (RFC 9110, 13.1.5); without one the digest tells in the end.
            if (EntityTagHeaderValue.TryParse(tag, out var known) && !known.IsWeak)
                request.Headers.IfRange = new(known);
        }

        var response = await SendAsync(request, cancel);
        try
        {
            var from = Check(response, address, file.Length, offset);
            return new(await response.Content.ReadAsStreamAsync(cancel), from, response.Headers.ETag?.ToString(), response);
        }
        catch
        {
            response.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public async IAsyncEnumerable<FileBody> RangesAsync(RepositoryFile file, IReadOnlyList<ByteSpan> ranges, [EnumeratorCancellation] CancellationToken cancel)
    {
        var address = new Uri(repository, file.Path);
        for (var next = 0; next < ranges.Count;)
        {
            var count = alone ? 1 : Math.Min(MostTogether, ranges.Count - next);
            using var response = await AskAsync(address, ranges.Skip(next).Take(count), cancel);
            var status = response.StatusCode;
            var type = response.Content.Headers.ContentType;
            if (status == HttpStatusCode.PartialContent && type?.MediaType == "multipart/byteranges")
            {
                var boundary = type.Parameters.FirstOrDefault(parameter => parameter.Name == "boundary")?.Value?.Trim('"');
                var parts = new MultipartBody(await response.Content.ReadAsStreamAsync(cancel), boundary, address);
                var before = next;
                await foreach (var part in parts.ReadAsync(file.Length, cancel))
                {
                    // Servers may put neighbours together; what they leave out or turn round is told by the reader.
                    while (next < ranges.Count && ranges[next].Offset < part.Offset + part.Length)
                        next++;
                    yield return new(part.Bytes, part.Offset, null) { Length = part.Length };
                }

                if (next == before)
                    throw new LinkException($"{address} answered without bytes {ranges[next].Offset} to {ranges[next].End - 1}.") { Lasting = true };
                continue;
            }

            if (count > 1 && (status == HttpStatusCode.OK || status == HttpStatusCode.RequestedRangeNotSatisfiable || (int)status == 431 || status == HttpStatusCode.BadRequest || status == HttpStatusCode.PartialContent))
            {
                alone = true; // it gives the whole file, refuses, or gives a part of what was asked for: one after the other from now on
                continue;
            }

            if (status == HttpStatusCode.OK)
                throw new LinkException($"{address} gives no ranges, only the whole file.") { Lasting = true };
            var range = ranges[next];
            Check(response, address, file.Length, range.Offset);
            if (response.Content.Headers.ContentRange?.To is { } to && to < range.End - 1)
                throw new LinkException($"{address} answered bytes {range.Offset} to {to}; {range.Length} were asked for.");
            next++;
            yield return new(await response.Content.ReadAsStreamAsync(cancel), range.Offset, null) { Length = range.Length };
        }
    }

    /// <inheritdoc/>
    public async Task<byte[]?> ReadAsync(string path, int most, CancellationToken cancel)
    {
        var address = new Uri(repository, path);
        using var request = Get(address);
        using var response = await HttpTrouble.SendAsync(http, request, cancel);
        if (response.StatusCode is HttpStatusCode.NotFound or HttpStatusCode.Gone)
            return null;
        if (response.StatusCode != HttpStatusCode.OK)
            throw HttpTrouble.Of(response, address);
        RefuseCoding(response, address);
        return await HttpTrouble.ReadAsync(response, address, most, cancel);
    }

    async Task<HttpResponseMessage> AskAsync(Uri address, IEnumerable<ByteSpan> ranges, CancellationToken cancel)
    {
        using var request = Get(address);
        request.Headers.Range = new();
        foreach (var range in ranges)
            request.Headers.Range.Ranges.Add(new(range.Offset, range.End - 1));
        var response = await SendAsync(request, cancel);
        try
        {
            RefuseCoding(response, address);
            return response;
        }
        catch
        {
            response.Dispose();
            throw;
        }
    }

    Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancel) =>
        redirects is null ? HttpTrouble.SendAsync(http, request, cancel) : redirects.SendAsync(http, request, cancel);

    static HttpRequestMessage Get(Uri address)
    {
        var request = new HttpRequestMessage(HttpMethod.Get, address);
        request.Headers.AcceptEncoding.Add(new("identity"));
        return request;
    }

    static void RefuseCoding(HttpResponseMessage response, Uri address)
    {
        if (response.Content.Headers.ContentEncoding is { Count: > 0 } codings)
            throw new LinkException($"{address} answered {string.Join(", ", codings)}-encoded bytes; files of a repository are served as they are.");
    }

    /// <summary>The offset at which the answer begins.</summary>
    static long Check(HttpResponseMessage response, Uri address, long length, long offset)
    {
        RefuseCoding(response, address);
        var content = response.Content.Headers;
        switch (response.StatusCode)
        {
            case HttpStatusCode.OK:
                if (content.ContentLength is { } whole && whole != length)
                    throw new LinkException($"{address} answered {whole} bytes of {content.ContentType?.ToString() ?? "unnamed type"}; {length} are wanted. Something between here and the server may answer in its place.");
                return 0;
            case HttpStatusCode.PartialContent:
                var range = content.ContentRange;
                if (range?.From != offset || (range.Length is { } all && all != length))
                    throw new LinkException($"{address} answered the range {range?.ToString() ?? "(none)"}; bytes from {offset} of {length} were asked for.");
                return offset;
            case HttpStatusCode.RequestedRangeNotSatisfiable:
                throw new LinkException($"{address} has no bytes from {offset} on; {length} are wanted.");
            default:
                throw HttpTrouble.Of(response, address);
        }
    }
}
