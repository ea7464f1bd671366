using System.Collections.Immutable;
using System.Net;
using System.Net.NetworkInformation;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Coppice.Trust;
using Microsoft.AspNetCore.Server.Kestrel.Https;

namespace Coppice.Server.Identity;

/// <summary>What this server shows in TLS: a certificate of its own authority, made anew before it expires, or the one it was given.</summary>
sealed class ServerCertificate : IDisposable
{
    /// <summary>Short, because a server makes the next one by itself.</summary>
    static readonly TimeSpan Life = TimeSpan.FromDays(90);

    /// <summary>How often a certificate that was given is looked at, for a tool that renews it in place.</summary>
    static readonly TimeSpan LookAgain = TimeSpan.FromMinutes(1);

    readonly Authorities authorities;
    readonly ControlPlaneOptions options;
    readonly ImmutableArray<string> names;
    readonly bool speaksTls;
    readonly Lock gate = new();
    (SslStreamCertificateContext Context, X509Certificate2 Certificate, DateTimeOffset Until, int Authorities, DateTime Written)? shown;

    public ServerCertificate(Authorities authorities, ControlPlaneOptions options)
    {
        (this.authorities, this.options) = (authorities, options);
        var urls = options.Listen.Split(';', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries).Where(url => url.StartsWith("https:", StringComparison.OrdinalIgnoreCase)).ToArray();
        speaksTls = urls.Length > 0;
        names = Names(urls, options.TlsNames);
    }

    bool IsOwn => speaksTls && options.CertificateFile is null;

    /// <summary>The roots by which devices know this server, PEM; null where public ones vouch for it, or it speaks no TLS.</summary>
    public string? Roots => IsOwn ? authorities.Bundle : null;

    /// <summary>What a join token pins; null as above.</summary>
    public Sha256Digest? Pin => IsOwn ? authorities.Current.Pin : null;

    /// <summary>Shows the certificate, and asks callers for theirs. Whether that proves anything is judged at each request.</summary>
    public void Configure(HttpsConnectionAdapterOptions https)
    {
        https.ServerCertificate = Show().Certificate;
        https.ClientCertificateMode = ClientCertificateMode.AllowCertificate;
        https.ClientCertificateValidation = (_, _, _) => true;
        https.CheckCertificateRevocation = false;
        https.HandshakeTimeout = TimeSpan.FromSeconds(10);
        https.OnAuthenticate = (_, tls) => tls.ServerCertificateContext = Show().Context;
    }

    public void Dispose()
    {
        lock (gate)
            shown?.Certificate.Dispose();
    }

    (SslStreamCertificateContext Context, X509Certificate2 Certificate) Show()
    {
        lock (gate)
        {
            var now = options.Time.GetUtcNow();
            if (shown is not { } known || now >= known.Until || known.Authorities != authorities.All.Length)
                shown = options.CertificateFile is null ? Issue(now) : Load(now, shown); // one that is replaced may still be in a handshake: the collector disposes of it
            return (shown.Value.Context, shown.Value.Certificate);
        }
    }

    (SslStreamCertificateContext, X509Certificate2, DateTimeOffset, int, DateTime) Issue(DateTimeOffset now)
    {
        var all = authorities.All;
        var issuing = all[^1];
        var certificate = issuing.IssueServer(names, now, Life);
        // Who knows only an older authority finds the way from the new one to it. Who knows a root above this one was given what stands between.
        var above = new X509Certificate2Collection();
        foreach (var authority in all.Reverse())
            above.Add(authority.Link ?? authority.Root);
        return (Context(certificate, above), certificate, now + (Life * (2 / 3.0)), all.Length, default);
    }

    (SslStreamCertificateContext, X509Certificate2, DateTimeOffset, int, DateTime) Load(DateTimeOffset now, (SslStreamCertificateContext Context, X509Certificate2 Certificate, DateTimeOffset, int, DateTime Written)? known)
    {
        var file = options.CertificateFile!;
        var written = File.GetLastWriteTimeUtc(file);
        if (known is { } same && same.Written == written)
            return (same.Context, same.Certificate, now + LookAgain, authorities.All.Length, written);
        try
        {
            var certificate = X509Certificate2.CreateFromPemFile(file, options.CertificateKeyFile ?? file);
            var above = new X509Certificate2Collection();
            above.ImportFromPemFile(file);
            above.RemoveAt(0);
            return (Context(certificate, above), certificate, now + LookAgain, authorities.All.Length, written);
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException or IOException && known is not null) // half written: the one before is shown until it can be read
        {
            var before = known.Value;
            return (before.Context, before.Certificate, now + LookAgain, authorities.All.Length, before.Written);
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException)
        {
            throw new InvalidDataException($"{file} is no certificate with its key in PEM ({e.Message}); give --certificate, and --certificate-key where the key is in a file of its own.", e);
        }
    }

    SslStreamCertificateContext Context(X509Certificate2 certificate, X509Certificate2Collection above)
    {
        // Callers are told whose certificates count, so that a browser does not offer others. Windows takes such a list from its own store only.
        // The link in place of the authority's own certificate: the platform also builds from this list what it sends, and stops at a root.
        var asked = OperatingSystem.IsWindows() ? null
            : SslCertificateTrust.CreateForX509Collection([.. authorities.All.Select(authority => authority.Link ?? authority.Certificate)], sendTrustInHandshake: true);
        return SslStreamCertificateContext.Create(certificate, above, offline: true, asked);
    }

    static ImmutableArray<string> Names(IEnumerable<string> urls, ImmutableArray<string> given)
    {
        var names = new SortedSet<string>(StringComparer.OrdinalIgnoreCase) { "localhost", "127.0.0.1", "::1" };
        names.UnionWith(given);
        foreach (var url in urls)
        {
            var host = BindingAddress.Parse(url).Host.Trim('[', ']');
            if (host is "*" or "+" || (IPAddress.TryParse(host, out var address) && (address.Equals(IPAddress.Any) || address.Equals(IPAddress.IPv6Any))))
            {
                names.Add(Dns.GetHostName());
                foreach (var own in NetworkInterface.GetAllNetworkInterfaces().SelectMany(card => card.GetIPProperties().UnicastAddresses).Select(unicast => unicast.Address))
                {
                    if (own.AddressFamily == AddressFamily.InterNetwork || !own.IsIPv6LinkLocal)
                        names.Add(own.ToString());
                }
            }
            else
                names.Add(host);
        }

        return [.. names];
    }
}
