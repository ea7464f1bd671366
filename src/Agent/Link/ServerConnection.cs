using System.Net;
using System.Net.Security;
using Coppice.Agent.Inventory;
using Coppice.Trust;

namespace Coppice.Agent.Link;

/// <summary>HTTP to the server as this device: believes the server by <see cref="ServerTrust"/>, and shows the device's certificate.</summary>
public sealed class ServerConnection : IDisposable
{
    readonly Uri server;
    readonly DeviceIdentity identity;
    readonly TimeProvider time;
    HttpClient? http;
    string? shown;

    /// <param name="server">The server's address, ending in '/'.</param>
    /// <param name="identity">Whose certificate is shown.</param>
    /// <param name="pin">What the join token says of the server's authority.</param>
    /// <param name="time">The clock.</param>
    public ServerConnection(Uri server, DeviceIdentity identity, Sha256Digest? pin, TimeProvider time)
    {
        ArgumentNullException.ThrowIfNull(identity);
        (this.server, this.identity, this.time) = (server, identity, time);
        Trust = new(server, identity.Roots, pin, time);
    }

    /// <summary>By what the server is known.</summary>
    public ServerTrust Trust { get; }

    /// <summary>Shows the certificate that the device has now; one that has expired is not shown, for the signature then speaks for the device.</summary>
    public HttpClient Http()
    {
        var certificate = server.Scheme == Uri.UriSchemeHttps && identity.Certificate is [var own, ..] known && time.GetUtcNow() < own.NotAfter ? known : null;
        var mark = certificate?[0].Thumbprint ?? "";
        if (http is not null && shown == mark)
            return http;
        http?.Dispose(); // its connections show another certificate, or none
        (http, shown) = (Open(Trust, tls =>
        {
            if (certificate is not null)
                tls.ClientCertificateContext = SslStreamCertificateContext.Create(identity.Key.With(certificate[0]), [.. certificate.Skip(1)], offline: true);
        }), mark);
        return http;
    }

    /// <summary>HTTP that follows nobody elsewhere, and names the agent.</summary>
    /// <param name="trust">By what the other side is known; null for public roots.</param>
    /// <param name="tls">Sets more of TLS up.</param>
    public static HttpClient Open(ServerTrust? trust, Action<SslClientAuthenticationOptions>? tls = null)
    {
        var handler = new SocketsHttpHandler
        {
            AllowAutoRedirect = false, // an answer from elsewhere is no answer
            AutomaticDecompression = DecompressionMethods.None,
            ConnectTimeout = TimeSpan.FromSeconds(15),
            MaxResponseDrainSize = 16 << 10, // an answer that is not wanted, as the whole file in place of ranges, is not read to its end
            PooledConnectionLifetime = TimeSpan.FromMinutes(5), // follows DNS
            UseCookies = false,
        };
        trust?.Configure(handler.SslOptions);
        tls?.Invoke(handler.SslOptions);
        var http = new HttpClient(trust is null ? handler : new ServerTrust.Handler(trust, handler)) { Timeout = TimeSpan.FromSeconds(60) };
        http.DefaultRequestHeaders.UserAgent.ParseAdd($"coppice-agent/{DeviceFacts.AgentVersion}");
        return http;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        http?.Dispose();
        Trust.Dispose();
    }
}
