using System.Collections.Concurrent;
using System.Net;
using Coppice.Protocol;

namespace Coppice.Agent.Link;

/// <summary>Follows where a server sends on for the bytes of a file: a CDN, or storage with a signed address.</summary>
/// <remarks>
/// For files whose digest is known only, so that it does not matter who gives the bytes. Nothing that tells who the device is goes along: no certificate, no
/// signature, no token. Where the other place does not do its work, the server is asked for the bytes themselves, for a while.
/// </remarks>
/// <param name="elsewhere">Without automatic redirects, decompression and client certificate; disposed of with this.</param>
/// <param name="time">The clock.</param>
public sealed class BlobRedirects(HttpClient elsewhere, TimeProvider time) : IDisposable
{
    const int MostHops = 3;
    const int MostKept = 1_000;

    /// <summary>How long a place that failed is not asked again.</summary>
    static readonly TimeSpan Rest = TimeSpan.FromMinutes(5);

    readonly ConcurrentDictionary<Uri, (Uri To, DateTimeOffset Until)> kept = new();
    long restUntil; // ticks of UTC

    /// <summary>Sends a request, and where it is sent on, that one.</summary>
    /// <param name="http">The server's own client.</param>
    /// <param name="request">A GET.</param>
    /// <param name="cancel">Stops waiting for headers.</param>
    /// <returns>The answer of whoever has the bytes; that of the server when it has none, whatever it says.</returns>
    /// <exception cref="LinkException">Neither was reached.</exception>
    public async Task<HttpResponseMessage> SendAsync(HttpClient http, HttpRequestMessage request, CancellationToken cancel)
    {
        ArgumentNullException.ThrowIfNull(request);
        var address = request.RequestUri!;
        var now = time.GetUtcNow();
        if (now.UtcTicks < Interlocked.Read(ref restUntil))
            return await DirectAsync(http, request, cancel);
        if (kept.TryGetValue(address, out var known) && now < known.Until)
        {
            if (await TryAsync(request, known.To, cancel) is { } answer)
                return answer;
            kept.TryRemove(address, out _); // a signed address that ended early, perhaps; the server gives another
        }

        var response = await HttpTrouble.SendAsync(http, request, cancel);
        if (!IsRedirect(response))
            return response;
        var life = response.Headers.CacheControl is { MaxAge: { } age, NoStore: false } ? age : TimeSpan.Zero;
        var to = Next(response, address, address);
        response.Dispose();
        if (await TryAsync(request, to, cancel) is not { } found)
        {
            Interlocked.Exchange(ref restUntil, (now + Rest).UtcTicks);
            return await DirectAsync(http, request, cancel);
        }

        if (life > TimeSpan.Zero)
        {
            if (kept.Count >= MostKept)
                kept.Clear();
            kept[address] = (to, now + life);
        }

        return found;
    }

    /// <summary>Asks another place; null when it is not there, refuses, or has no such file.</summary>
    async Task<HttpResponseMessage?> TryAsync(HttpRequestMessage request, Uri to, CancellationToken cancel)
    {
        for (var hops = 0; hops < MostHops; hops++)
        {
            HttpResponseMessage response;
            try
            {
                using var sent = Copy(request, to);
                response = await HttpTrouble.SendAsync(elsewhere, sent, cancel);
            }
            catch (LinkException)
            {
                return null; // the server can still give the bytes; when it cannot, it says why
            }

            if (!IsRedirect(response))
            {
                if (response.StatusCode is HttpStatusCode.OK or HttpStatusCode.PartialContent or HttpStatusCode.RequestedRangeNotSatisfiable)
                    return response;
                response.Dispose();
                return null;
            }

            to = Next(response, to, request.RequestUri!);
            response.Dispose();
        }

        return null;
    }

    static async Task<HttpResponseMessage> DirectAsync(HttpClient http, HttpRequestMessage request, CancellationToken cancel)
    {
        using var direct = Copy(request, request.RequestUri!);
        direct.Headers.Add(DirectRequest.Header, DirectRequest.Value);
        return await HttpTrouble.SendAsync(http, direct, cancel);
    }

    static bool IsRedirect(HttpResponseMessage response) =>
        response is { StatusCode: HttpStatusCode.MovedPermanently or HttpStatusCode.Found or HttpStatusCode.TemporaryRedirect or HttpStatusCode.PermanentRedirect, Headers.Location: not null };

    /// <summary>Where an answer sends on.</summary>
    /// <exception cref="LinkException">To a place that is not asked.</exception>
    static Uri Next(HttpResponseMessage response, Uri at, Uri asked)
    {
        var to = new Uri(at, response.Headers.Location!);
        var wrong = to.Scheme != Uri.UriSchemeHttps && to.Scheme != asked.Scheme ? "without TLS"
            : to.Scheme is not ("https" or "http") ? "which is no HTTP"
            : to.UserInfo.Length > 0 ? "with a name or password in the address"
            : IsOfThisMachine(to) && !IsOfThisMachine(asked) ? "on this machine or its own link"
            : null;
        return wrong is null ? to
            : throw new LinkException($"{asked} sends on to {to.Scheme}://{to.Authority}, {wrong}, which is not followed; correct the server's --blob-urls.");
    }

    /// <summary>Whether a host is named by an address that only this machine or its neighbours reach: a server must not have devices call there.</summary>
    static bool IsOfThisMachine(Uri address) => address.IsLoopback
        || (IPAddress.TryParse(address.DnsSafeHost, out var ip) && (IPAddress.IsLoopback(ip) || ip.IsIPv6LinkLocal || ip.Equals(IPAddress.Any) || ip.Equals(IPAddress.IPv6Any)
            || (ip.IsIPv4MappedToIPv6 ? ip.MapToIPv4() : ip).GetAddressBytes() is [169, 254, _, _]));

    /// <summary>The same question elsewhere: which bytes, and nothing else of what was sent.</summary>
    static HttpRequestMessage Copy(HttpRequestMessage request, Uri to)
    {
        var copy = new HttpRequestMessage(request.Method, to);
        (copy.Headers.Range, copy.Headers.IfRange) = (request.Headers.Range, request.Headers.IfRange);
        foreach (var coding in request.Headers.AcceptEncoding)
            copy.Headers.AcceptEncoding.Add(coding);
        return copy;
    }

    /// <inheritdoc/>
    public void Dispose() => elsewhere.Dispose();
}
