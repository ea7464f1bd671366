using System.Buffers;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using Coppice.Trust;

namespace Coppice.Agent.Link.Tuf;

/// <summary>A repository behind HTTP: any static server or CDN. The client's handler decides about proxies, TLS and redirects.</summary>
public sealed class HttpSource : IMetadataSource
{
    readonly HttpClient _http;
    readonly Uri _metadata;
    readonly Uri _targets;

    /// <summary>A repository with the layout of docs/formats/repository.md.</summary>
    /// <param name="http">Not disposed of here. Leave automatic decompression off: lengths are those of the files.</param>
    /// <param name="repository">The folder that holds <c>metadata/</c> and <c>targets/</c>.</param>
    public HttpSource(HttpClient http, Uri repository)
        : this(http, new Uri(AsFolder(repository), "metadata/"), new Uri(AsFolder(repository), "targets/"))
    {
    }

    /// <summary>Any TUF repository.</summary>
    public HttpSource(HttpClient http, Uri metadata, Uri targets)
    {
        _http = http;
        _metadata = AsFolder(metadata);
        _targets = AsFolder(targets);
    }

    /// <inheritdoc/>
    public Task<FetchedFile> FetchMetadataAsync(string fileName, int mostBytes, string? knownTag, CancellationToken cancel) =>
        FetchAsync(fileName, new Uri(_metadata, Uri.EscapeDataString(fileName)), mostBytes, knownTag, cancel);

    /// <inheritdoc/>
    public Task<FetchedFile> FetchTargetAsync(string path, int mostBytes, CancellationToken cancel)
    {
        SourcePath.RequireInside(path);
        var escaped = string.Join('/', path.Split('/').Select(Uri.EscapeDataString));
        return FetchAsync(path, new Uri(_targets, escaped), mostBytes, null, cancel);
    }

    async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancel)
    {
        try
        {
            return await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancel);
        }
        catch (SocketException e) // bare where the other side ends as it is reached
        {
            throw new HttpRequestException(e.Message, e);
        }
    }

    async Task<FetchedFile> FetchAsync(string name, Uri address, int mostBytes, string? knownTag, CancellationToken cancel)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, address);
        if (knownTag is not null && EntityTagHeaderValue.TryParse(knownTag, out var tag))
            request.Headers.IfNoneMatch.Add(tag);
        using var response = await SendAsync(request, cancel);

        if (response.StatusCode == HttpStatusCode.NotModified && knownTag is not null)
            return new FetchedFile(FetchOutcome.Unchanged, default, knownTag);
        if (response.StatusCode is HttpStatusCode.NotFound or HttpStatusCode.Gone or HttpStatusCode.Forbidden)
            return FetchedFile.Absent;
        response.EnsureSuccessStatusCode();

        if (response.Content.Headers.ContentLength > mostBytes)
            throw SourcePath.TooLong(name, mostBytes);
        await using var body = await response.Content.ReadAsStreamAsync(cancel);
        var bytes = await SourcePath.ReadAsync(body, name, mostBytes, cancel);
        return new FetchedFile(FetchOutcome.Found, bytes, response.Headers.ETag?.ToString());
    }

    // A relative address replaces what follows the last slash.
    static Uri AsFolder(Uri address) =>
        address.AbsolutePath.EndsWith('/') ? address : new UriBuilder(address) { Path = address.AbsolutePath + "/" }.Uri;
}

/// <summary>What both kinds of source hold to.</summary>
static class SourcePath
{
    const int ChunkBytes = 16 * 1024;

    /// <summary>A target path stays below the targets folder on every system and in every URL.</summary>
    public static void RequireInside(string path)
    {
        foreach (var part in path.Split('/'))
        {
            if (part is "" or "." or ".." || part.AsSpan().ContainsAny('\\', ':', '\0'))
                throw new UntrustedMetadataException(
                    path, Distrust.Malformed, "the target path has an empty, dotted or foreign part", "name targets as 'folder/file.json'");
        }
    }

    public static UntrustedMetadataException TooLong(string name, int mostBytes) =>
        new(name, Distrust.TooLong, $"the file has more than {mostBytes} bytes", "it must be shorter, or the limit higher");

    /// <summary>Reads to the end, or to the first byte too many.</summary>
    public static async Task<ReadOnlyMemory<byte>> ReadAsync(Stream body, string name, int mostBytes, CancellationToken cancel)
    {
        var buffer = new ArrayBufferWriter<byte>(Math.Min(ChunkBytes, mostBytes + 1));
        while (true)
        {
            var read = await body.ReadAsync(buffer.GetMemory(ChunkBytes), cancel);
            if (read == 0)
                return buffer.WrittenMemory;
            buffer.Advance(read);
            if (buffer.WrittenCount > mostBytes)
                throw TooLong(name, mostBytes);
        }
    }
}
