using System.Net.Sockets;
using System.Text;

namespace Coppice.Agent.Link;

/// <summary>Turns what goes wrong with a request into a reason that a person can act on.</summary>
static class HttpTrouble
{
    const int ShownBytes = 240;

    /// <summary>Sends a request and returns when the headers are there.</summary>
    /// <exception cref="LinkException">The server was not reached, or not in time.</exception>
    public static async Task<HttpResponseMessage> SendAsync(HttpClient http, HttpRequestMessage request, CancellationToken cancel)
    {
        try
        {
            return await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancel);
        }
        catch (Exception e) when (e is HttpRequestException or SocketException) // bare where the other side ends as it is reached
        {
            throw new LinkException($"{request.RequestUri} was not reached: {(e.InnerException ?? e).Message}", e);
        }
        catch (OperationCanceledException e) when (!cancel.IsCancellationRequested)
        {
            throw new LinkException($"{request.RequestUri} did not answer within {http.Timeout.TotalSeconds:0} s.", e);
        }
    }

    /// <summary>What an answer other than success says.</summary>
    public static LinkException Of(HttpResponseMessage response, Uri address)
    {
        var status = (int)response.StatusCode;
        var what = status switch
        {
            401 or 403 => "it does not know this device, or does not let it; enrol it again with a join token",
            404 or 410 => "there is no such file; publish again, or correct the address",
            >= 300 and < 400 => $"it sends on to {response.Headers.Location}, which is not followed; give that address",
            429 => "it asks for fewer requests",
            >= 500 => "the server has trouble of its own",
            _ => "that answer was not expected",
        };
        return new($"{address} answered {status}: {what}.") { After = response.Headers.RetryAfter?.Delta, Unknown = status == 401, Lasting = status is 404 or 410 };
    }

    /// <summary>Reads an answer of bounded length.</summary>
    /// <exception cref="LinkException">It is longer, or breaks off.</exception>
    public static async Task<byte[]> ReadAsync(HttpResponseMessage response, Uri address, int most, CancellationToken cancel)
    {
        try
        {
            using var body = await response.Content.ReadAsStreamAsync(cancel);
            using var bytes = new MemoryStream();
            var buffer = new byte[4096];
            for (int read; (read = await body.ReadAsync(buffer, cancel)) > 0;)
            {
                bytes.Write(buffer, 0, read);
                if (bytes.Length > most)
                    throw new LinkException($"{address} answered more than {most} bytes.");
            }

            return bytes.ToArray();
        }
        catch (Exception e) when (e is HttpRequestException or IOException)
        {
            throw new LinkException($"{address}: the answer broke off: {e.Message}", e);
        }
    }

    /// <summary>The beginning of an answer, to be shown.</summary>
    public static string Shown(byte[] bytes) =>
        new([.. Encoding.UTF8.GetString(bytes, 0, Math.Min(bytes.Length, ShownBytes)).Select(c => char.IsControl(c) ? ' ' : c)]);
}
