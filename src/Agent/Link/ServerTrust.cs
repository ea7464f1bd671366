using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Coppice.Trust;

namespace Coppice.Agent.Link;

/// <summary>By what the device knows its server in TLS: roots from the data folder, or the one whose digest the join token carries, or public ones.</summary>
/// <remarks>
/// With a digest and no roots yet, the server is asked for its roots over a connection that proves nothing: one of them has the digest, or
/// somebody stands between. The certificate must bear the name by which the server is called: a root above the server's own authority
/// may vouch for other servers, too.
/// </remarks>
public sealed class ServerTrust : IDisposable
{
    const int MaxRoots = 64 << 10;
    const string ServerPurpose = "1.3.6.1.5.5.7.3.1";

    readonly Uri server;
    readonly Sha256Digest? pin;
    readonly TimeProvider time;
    readonly SemaphoreSlim asking = new(1, 1);
    volatile X509Certificate2Collection? roots;

    /// <param name="server">The server's address, ending in '/'.</param>
    /// <param name="roots">Roots that are known already, and what stands below them; null when there are none.</param>
    /// <param name="pin">SHA-256 of the public key of a root; null where public roots vouch for the server.</param>
    /// <param name="time">The clock.</param>
    public ServerTrust(Uri server, X509Certificate2Collection? roots, Sha256Digest? pin, TimeProvider time) =>
        (this.server, this.roots, this.pin, this.time) = (server, roots, pin, time);

    /// <summary>Whether it goes by roots of its own, and not by public ones.</summary>
    public bool IsPinned => server.Scheme == Uri.UriSchemeHttps && (pin is not null || roots is not null);

    /// <summary>Why the last certificate was not believed; null when it was.</summary>
    public string? Problem { get; private set; }

    /// <summary>Goes by these roots from now on.</summary>
    public void Take(X509Certificate2Collection? next) => roots = next ?? roots;

    /// <summary>Sets TLS up.</summary>
    public void Configure(SslClientAuthenticationOptions tls)
    {
        ArgumentNullException.ThrowIfNull(tls);
        if (IsPinned)
            tls.RemoteCertificateValidationCallback = (_, certificate, chain, _) => IsServer(certificate as X509Certificate2, chain);
    }

    /// <summary>Comes to know the server's root, when only its digest is known.</summary>
    /// <exception cref="LinkException">The server has another, or is not there.</exception>
    public async Task PrepareAsync(CancellationToken cancel)
    {
        if (roots is not null || !IsPinned)
            return;
        await asking.WaitAsync(cancel);
        try
        {
            roots ??= await AskAsync(cancel);
        }
        finally
        {
            asking.Release();
        }
    }

    /// <inheritdoc/>
    public void Dispose() => asking.Dispose();

    async Task<X509Certificate2Collection> AskAsync(CancellationToken cancel)
    {
        // Whoever answers: what is taken from the answer is checked against the digest, and nothing is told.
#pragma warning disable CA5359 // that is the point: the digest proves it
        using var handler = new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false, SslOptions = { RemoteCertificateValidationCallback = (_, _, _, _) => true } };
#pragma warning restore CA5359
        using var http = new HttpClient(handler) { Timeout = TimeSpan.FromSeconds(30) };
        var address = new Uri(server, "v1/authority/roots.pem");
        using var request = new HttpRequestMessage(HttpMethod.Get, address);
        using var response = await HttpTrouble.SendAsync(http, request, cancel);
        if (!response.IsSuccessStatusCode)
            throw HttpTrouble.Of(response, address);
        var bytes = await HttpTrouble.ReadAsync(response, address, MaxRoots, cancel);
        var found = new X509Certificate2Collection();
        try
        {
            found.ImportFromPem(Encoding.ASCII.GetString(bytes));
        }
        catch (CryptographicException e)
        {
            throw new LinkException($"{address} answered what is no certificate: {HttpTrouble.Shown(bytes)}", e);
        }

        var meant = found.FirstOrDefault(root => Sha256Digest.Of(root.PublicKey.ExportSubjectPublicKeyInfo()) == pin)
            ?? throw new LinkException($"{server} has another authority than the one that the join token names: somebody stands between, or the token is of another server. Nothing was sent.");
        return [meant, .. found.Where(certificate => !RootTrust.IsRoot(certificate))]; // what stands between is believed only as far as the root vouches for it
    }

    bool IsServer(X509Certificate2? certificate, X509Chain? shown)
    {
        if (certificate is null || roots is not { } known)
        {
            Problem = "it shows none.";
            return false;
        }

        using var chain = new X509Chain();
        chain.ChainPolicy = RootTrust.PolicyOf(known);
        if (shown is not null)
            chain.ChainPolicy.ExtraStore.AddRange(shown.ChainPolicy.ExtraStore);
        chain.ChainPolicy.VerificationTime = time.GetUtcNow().UtcDateTime;
        chain.ChainPolicy.ApplicationPolicy.Add(new(ServerPurpose));
        try
        {
            Problem = !chain.Build(certificate)
                ? $"'{certificate.Subject}', good from {certificate.NotBefore.ToUniversalTime():u} to {certificate.NotAfter.ToUniversalTime():u}: {string.Join(", ", chain.ChainStatus.Select(status => status.Status))}; it is {time.GetUtcNow():u} here."
                : !certificate.MatchesHostname(server.IdnHost, allowWildcards: true, allowCommonName: false)
                    ? $"it is for {Names(certificate)} and not for {server.IdnHost}; call the server by one of its names, or start it with --tls-name {server.IdnHost}."
                    : null;
            return Problem is null;
        }
        catch (CryptographicException e) // bytes of strangers
        {
            Problem = e.Message;
            return false;
        }
    }

    static string Names(X509Certificate2 certificate)
    {
        var names = certificate.Extensions.OfType<X509SubjectAlternativeNameExtension>()
            .SelectMany(extension => extension.EnumerateDnsNames().Concat(extension.EnumerateIPAddresses().Select(address => address.ToString()))).Take(20).ToArray();
        return names.Length > 0 ? string.Join(", ", names) : "no name";
    }

    /// <summary>In front of every request to the server: comes to know the root first, and says why TLS failed.</summary>
    /// <param name="trust">By what the server is known.</param>
    /// <param name="inner">Sends; disposed of with this.</param>
    public sealed class Handler(ServerTrust trust, HttpMessageHandler inner) : DelegatingHandler(inner)
    {
        /// <inheritdoc/>
        protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            await trust.PrepareAsync(cancellationToken);
            try
            {
                return await base.SendAsync(request, cancellationToken);
            }
            catch (HttpRequestException e) when (e.InnerException is AuthenticationException && trust.Problem is { } problem)
            {
                throw new LinkException($"{request?.RequestUri} shows a certificate that is not believed: {problem}", e);
            }
        }
    }
}
