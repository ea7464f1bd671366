using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Coppice.Agent.Link;
using Coppice.Trust;

namespace Coppice.Agent.Tests.Link;

/// <summary>Whom a device takes for its server.</summary>
public sealed class ServerTrustTests
{
    static readonly DateTimeOffset Now = new ManualTime().GetUtcNow();

    sealed class Authority : IDisposable
    {
        readonly ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);

        public Authority()
        {
            var request = new CertificateRequest("CN=Coppice devices 1", key, HashAlgorithmName.SHA256);
            request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
            request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, false));
            Root = request.CreateSelfSigned(Now.AddDays(-1), Now.AddDays(3000));
        }

        public X509Certificate2 Root { get; }

        public Sha256Digest Pin => Sha256Digest.Of(Root.PublicKey.ExportSubjectPublicKeyInfo());

        /// <summary>A certificate with its key, for a server or for a device.</summary>
        public X509Certificate2 Issue(string purpose, DateTimeOffset from, DateTimeOffset to, string? name = "localhost")
        {
            using var own = ECDsa.Create(ECCurve.NamedCurves.nistP256);
            var request = new CertificateRequest("CN=Coppice server", own, HashAlgorithmName.SHA256);
            request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new(purpose)], false));
            if (name is not null)
            {
                var names = new SubjectAlternativeNameBuilder();
                names.AddDnsName(name);
                request.CertificateExtensions.Add(names.Build());
            }

            using var made = request.Create(Root, from, to, RandomNumberGenerator.GetBytes(8));
            return made.CopyWithPrivateKey(own);
        }

        public void Dispose()
        {
            Root.Dispose();
            key.Dispose();
        }
    }

    /// <summary>Answers every request over TLS with the same body, and keeps what it was asked.</summary>
    sealed class TlsServer : IAsyncDisposable
    {
        readonly TcpListener listener = new(IPAddress.Loopback, 0);
        readonly CancellationTokenSource closing = new();
        readonly Task work;

        public TlsServer(X509Certificate2 certificate, string body)
        {
            listener.Start();
            work = Task.Run(async () =>
            {
                while (!closing.IsCancellationRequested)
                {
                    try
                    {
                        using var client = await listener.AcceptTcpClientAsync(closing.Token);
                        await using var tls = new SslStream(client.GetStream());
                        await tls.AuthenticateAsServerAsync(new SslServerAuthenticationOptions { ServerCertificate = certificate }, closing.Token);
                        var head = new StringBuilder();
                        var one = new byte[1];
                        while (!head.ToString().EndsWith("\r\n\r\n", StringComparison.Ordinal) && await tls.ReadAsync(one, closing.Token) == 1)
                            head.Append((char)one[0]);
                        if (head.Length == 0)
                            continue; // the device turned away
                        Asked.Add(head.ToString().Split("\r\n")[0]);
                        await tls.WriteAsync(Encoding.ASCII.GetBytes($"HTTP/1.1 200 OK\r\nContent-Length: {body.Length}\r\nConnection: close\r\n\r\n{body}"), closing.Token);
                        await tls.ShutdownAsync();
                    }
                    catch (Exception e) when (e is IOException or SocketException or OperationCanceledException or System.Security.Authentication.AuthenticationException) // the device turned away, or we close
                    {
                    }
                }
            });
        }

        public Uri Address => new($"https://localhost:{((IPEndPoint)listener.LocalEndpoint).Port}/");

        public List<string> Asked { get; } = [];

        public async ValueTask DisposeAsync()
        {
            await closing.CancelAsync();
            await work;
            listener.Dispose();
            closing.Dispose();
        }
    }

    const string ForServers = "1.3.6.1.5.5.7.3.1";
    const string ForDevices = "1.3.6.1.5.5.7.3.2";

    static async Task<string> GetAsync(TlsServer server, X509Certificate2Collection? roots, Sha256Digest? pin)
    {
        using var trust = new ServerTrust(server.Address, roots, pin, new ManualTime());
        using var http = ServerConnection.Open(trust);
        return await http.GetStringAsync(server.Address);
    }

    [Fact]
    public async Task The_server_whose_root_has_the_digest_of_the_join_token_is_believed()
    {
        using var authority = new Authority();
        using var certificate = authority.Issue(ForServers, Now.AddDays(-1), Now.AddDays(90));
        await using var server = new TlsServer(certificate, authority.Root.ExportCertificatePem());

        await GetAsync(server, null, authority.Pin);

        Assert.Equal(["GET /v1/authority/roots.pem HTTP/1.1", "GET / HTTP/1.1"], server.Asked);
    }

    [Fact]
    public async Task Somebody_who_stands_between_with_an_authority_of_their_own_is_told_nothing()
    {
        using var authority = new Authority();
        using var thief = new Authority();
        using var certificate = thief.Issue(ForServers, Now.AddDays(-1), Now.AddDays(90));
        await using var withOwn = new TlsServer(certificate, thief.Root.ExportCertificatePem());
        await using var withRight = new TlsServer(certificate, authority.Root.ExportCertificatePem()); // the root is no secret

        Assert.Contains("somebody stands between", (await Assert.ThrowsAsync<LinkException>(() => GetAsync(withOwn, null, authority.Pin))).Message, StringComparison.Ordinal);
        Assert.Contains("not believed", (await Assert.ThrowsAsync<LinkException>(() => GetAsync(withRight, null, authority.Pin))).Message, StringComparison.Ordinal);
        Assert.Contains("not believed", (await Assert.ThrowsAsync<LinkException>(() => GetAsync(withOwn, [authority.Root], null))).Message, StringComparison.Ordinal);
        Assert.All(withOwn.Asked.Concat(withRight.Asked), asked => Assert.Equal("GET /v1/authority/roots.pem HTTP/1.1", asked));
    }

    [Theory]
    [InlineData(ForDevices, -20, 2000)] // a device's certificate is no server's
    [InlineData(ForServers, -20, -10)]
    [InlineData(ForServers, 10, 2000)]
    public async Task A_certificate_for_something_else_or_of_another_time_is_not_believed_and_the_reason_is_told(string purpose, int from, int to)
    {
        using var authority = new Authority();
        using var certificate = authority.Issue(purpose, Now.AddHours(from), Now.AddHours(to));
        await using var server = new TlsServer(certificate, "hello");

        var refused = await Assert.ThrowsAsync<LinkException>(() => GetAsync(server, [authority.Root], null));

        Assert.Contains("good from", refused.Message, StringComparison.Ordinal);
        Assert.Empty(server.Asked);
    }

    [Theory]
    [InlineData("intranet.example")]
    [InlineData(null)]
    public async Task Another_server_that_the_same_root_vouches_for_is_not_believed_and_the_names_are_told(string? name)
    {
        using var authority = new Authority();
        using var certificate = authority.Issue(ForServers, Now.AddDays(-1), Now.AddDays(90), name);
        await using var server = new TlsServer(certificate, "hello");

        var refused = await Assert.ThrowsAsync<LinkException>(() => GetAsync(server, [authority.Root], null));

        Assert.Contains($"it is for {name ?? "no name"} and not for localhost", refused.Message, StringComparison.Ordinal);
        Assert.Empty(server.Asked);
    }
}
