using System.Net;
using System.Net.Http.Headers;
using Coppice.Trust;

namespace Coppice.Agent.Link;

/// <summary>Blobs, and patches between them, behind HTTP: any static server or CDN. Goes on at any byte, also after a restart.</summary>
/// <param name="http">Without automatic decompression and redirects: a blob is asked for at its own address only.</param>
/// <param name="repository">The folder that holds <c>blobs/</c>, ending in '/'.</param>
public sealed class HttpBlobs(HttpClient http, Uri repository) : IBlobSource, IPatchSource
{
    /// <inheritdoc/>
    public Task<BlobBody> OpenAsync(Sha256Digest digest, long length, long offset, string? tag, CancellationToken cancel) =>
        OpenAsync(new Uri(repository, RepositoryLayout.BlobFile(digest)), length, offset, tag, cancel);

    /// <inheritdoc/>
    public async Task<long?> PatchLengthAsync(Sha256Digest from, Sha256Digest to, CancellationToken cancel)
    {
        using var request = new HttpRequestMessage(HttpMethod.Head, PatchAddress(from, to));
        request.Headers.AcceptEncoding.Add(new("identity"));
        using var response = await HttpTrouble.SendAsync(http, request, cancel);
        return response.StatusCode == HttpStatusCode.OK && response.Content.Headers.ContentEncoding.Count == 0 ? response.Content.Headers.ContentLength : null;
    }

    /// <inheritdoc/>
    public Task<BlobBody> OpenPatchAsync(Sha256Digest from, Sha256Digest to, long length, long offset, CancellationToken cancel) =>
        OpenAsync(PatchAddress(from, to), length, offset, null, cancel);

    Uri PatchAddress(Sha256Digest from, Sha256Digest to) => new(repository, RepositoryLayout.PatchFile(from, to));

    async Task<BlobBody> OpenAsync(Uri address, long length, long offset, string? tag, CancellationToken cancel)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, address);
        request.Headers.AcceptEncoding.Add(new("identity"));
        if (offset > 0)
        {
            request.Headers.Range = new(offset, null);
            // A weak tag may not stand in If-Range (RFC 9110, 13.1.5); without one the digest tells in the end.
            if (EntityTagHeaderValue.TryParse(tag, out var known) && !known.IsWeak)
                request.Headers.IfRange = new(known);
        }

        var response = await HttpTrouble.SendAsync(http, request, cancel);
        try
        {
            var from = Check(response, address, length, offset);
            return new(await response.Content.ReadAsStreamAsync(cancel), from, response.Headers.ETag?.ToString(), response);
        }
        catch
        {
            response.Dispose();
            throw;
        }
    }

    /// <summary>The offset at which the answer begins.</summary>
    static long Check(HttpResponseMessage response, Uri address, long length, long offset)
    {
        var content = response.Content.Headers;
        if (content.ContentEncoding.Count > 0)
            throw new LinkException($"{address} answered {string.Join(", ", content.ContentEncoding)}-encoded bytes; files of a repository are served as they are.");
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
