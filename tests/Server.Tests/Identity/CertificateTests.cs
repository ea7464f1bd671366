using System.Net;
using System.Net.Http.Json;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Coppice.Protocol;
using Coppice.Trust;
using static Coppice.Protocol.ReportKind;
using static Coppice.Server.Tests.TestDevice;

namespace Coppice.Server.Tests.Identity;

/// <summary>Devices that prove themselves by the certificate of their connection.</summary>
public sealed class CertificateTests : IAsyncLifetime
{
    RunningServer server = null!;

    public async Task InitializeAsync() => server = await Identities.TlsServerAsync();

    public async Task DisposeAsync() => await server.DisposeAsync();

    [Fact]
    public async Task A_device_is_certified_under_its_id_for_its_key_and_for_nothing_but_to_prove_itself()
    {
        var (device, certificate) = await server.JoinAsync("till-1");

        Assert.Equal("CN=till-1", certificate.Subject);
        Assert.Equal(device.Key.Public.Info.ToArray(), certificate.PublicKey.ExportSubjectPublicKeyInfo());
        Assert.Equal(server.Time.GetUtcNow() + TimeSpan.FromDays(90), new DateTimeOffset(certificate.NotAfter));
        Assert.False(certificate.Extensions.OfType<X509BasicConstraintsExtension>().Single().CertificateAuthority);
        Assert.Equal("1.3.6.1.5.5.7.3.2", Assert.Single(certificate.Extensions.OfType<X509EnhancedKeyUsageExtension>().Single().EnhancedKeyUsages.Cast<Oid>()).Value);
        Assert.Equal(new DateTimeOffset(certificate.NotAfter), (await server.Client.GetDeviceAsync("till-1")).CertificateExpires);
    }

    [Fact]
    public async Task The_certificate_of_the_connection_speaks_for_the_device_and_nothing_else_does()
    {
        var (_, certificate) = await server.JoinAsync("till-1");
        using var shown = server.Showing(certificate);
        using var none = server.Showing(null);

        using var answer = await shown.ReportAsync(Report(1, Started), Report(2, Settled));
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        Assert.Equal(2, (await server.Client.ListReportsAsync("till-1")).Reports.Length);
        Assert.Equal("/problems/unauthorised", (await none.ReportAsync().ProblemAsync(401)).Type);
    }

    [Fact]
    public async Task The_servers_own_certificate_leads_to_the_root_that_the_join_token_pins()
    {
        Assert.True(JoinToken.TryParse(server.Plane.First!.JoinToken.Token, out var token));
        var roots = new X509Certificate2Collection();
        roots.ImportFromPem(await server.Anyone.GetStringAsync("v1/authority/roots.pem"));

        Assert.Equal(token.Authority, Sha256Digest.Of(Assert.Single(roots).PublicKey.ExportSubjectPublicKeyInfo()));
        X509Certificate2? shown = null;
        using var http = new HttpClient(new SocketsHttpHandler { SslOptions = { RemoteCertificateValidationCallback = (_, certificate, _, _) => (shown = X509CertificateLoader.LoadCertificate(((X509Certificate2)certificate!).RawData)) is not null } }) { BaseAddress = server.Plane.DeviceUrl };
        await http.GetStringAsync("healthz");
        using var chain = new X509Chain { ChainPolicy = { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck, VerificationTime = server.Time.GetUtcNow().UtcDateTime } };
        chain.ChainPolicy.CustomTrustStore.AddRange(roots);
        chain.ChainPolicy.ApplicationPolicy.Add(new("1.3.6.1.5.5.7.3.1"));
        Assert.True(chain.Build(shown!), string.Join(' ', chain.ChainStatus.Select(status => status.Status)));
        Assert.True(shown!.MatchesHostname("127.0.0.1"));
    }

    [Fact]
    public async Task A_certificate_is_refused_when_its_time_is_over_and_renewed_by_the_key_alone()
    {
        var (device, certificate) = await server.JoinAsync("till-1");
        using var shown = server.Showing(certificate);
        (await shown.ReportAsync()).EnsureSuccessStatusCode().Dispose();

        server.Time.Advance(TimeSpan.FromDays(91));
        Assert.Contains("expired", (await shown.ReportAsync().ProblemAsync(401)).Detail, StringComparison.Ordinal); // on the connection that was open, too
        var renewed = await RenewAsync(device);
        Assert.Equal(server.Time.GetUtcNow() + TimeSpan.FromDays(90), new DateTimeOffset(device.Certificate(renewed.Certificate).NotAfter));
        using var again = server.Showing(device.Certificate(renewed.Certificate));
        (await again.ReportAsync()).EnsureSuccessStatusCode().Dispose();
    }

    [Fact]
    public async Task Renewal_gives_the_next_certificate_once_a_third_is_over_and_before_that_the_same_again()
    {
        var (device, first) = await server.JoinAsync("till-1");

        Assert.Equal(first.SerialNumber, device.Certificate((await RenewAsync(device)).Certificate).SerialNumber);
        server.Time.Advance(TimeSpan.FromDays(60));
        var second = device.Certificate((await RenewAsync(device)).Certificate);
        Assert.NotEqual(first.SerialNumber, second.SerialNumber);
        Assert.Equal(second.SerialNumber, device.Certificate((await RenewAsync(device)).Certificate).SerialNumber); // an answer that was lost costs none
        using var other = DeviceKey.Create();
        var body = System.Text.Json.JsonSerializer.SerializeToUtf8Bytes(new RenewRequest(Convert.ToBase64String(other.RequestCertificate("till-1"))), DeviceMessagesContext.Default.RenewRequest);
        Assert.Contains("another key", (await device.SendAsync("v1/renew", body).ProblemAsync(400)).Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_certificate_of_another_server_or_of_a_name_that_somebody_made_up_proves_nothing()
    {
        await server.JoinAsync("till-1");
        await using var other = await Identities.TlsServerAsync();
        var (_, foreign) = await other.JoinAsync("till-1");
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var self = new CertificateRequest("CN=till-1", key, HashAlgorithmName.SHA256).CreateSelfSigned(server.Time.GetUtcNow(), server.Time.GetUtcNow().AddDays(1));

        foreach (var certificate in (X509Certificate2[])[foreign, self])
        {
            using var http = server.Showing(certificate);
            Assert.Equal("/problems/certificate", (await http.ReportAsync().ProblemAsync(401)).Type);
        }
    }

    [Fact]
    public async Task Where_certificates_are_demanded_a_signature_opens_enrolment_and_renewal_only()
    {
        await using var strict = await Identities.TlsServerAsync(options => options with { RequireCertificates = true });
        var (device, certificate) = await strict.JoinAsync("till-1");

        Assert.Equal("/problems/certificate", (await device.PostAsync(new([])).ProblemAsync(401)).Type);
        var body = System.Text.Json.JsonSerializer.SerializeToUtf8Bytes(new RenewRequest(device.Request(null).Request), DeviceMessagesContext.Default.RenewRequest);
        using var renewed = await device.SendAsync("v1/renew", body);
        Assert.Equal(HttpStatusCode.OK, renewed.StatusCode);
        using var shown = strict.Showing(certificate);
        (await shown.ReportAsync()).EnsureSuccessStatusCode().Dispose();
    }

    [Fact]
    public async Task After_a_rotation_old_certificates_are_good_new_ones_come_from_the_new_authority_and_old_roots_still_lead_to_the_server()
    {
        var (device, old) = await server.JoinAsync("till-1");
        var before = await RootsAsync();

        var authorities = (await server.Client.RotateAuthorityAsync()).Authorities;

        Assert.Equal([1, 2], authorities.Select(authority => authority.Number));
        using var shown = server.Showing(old);
        (await shown.ReportAsync()).EnsureSuccessStatusCode().Dispose();
        var renewed = device.Certificate((await RenewAsync(device)).Certificate);
        Assert.Equal(authorities[1].Subject, renewed.Issuer);
        using var again = server.Showing(renewed);
        (await again.ReportAsync()).EnsureSuccessStatusCode().Dispose();
        await LeadsToTheServerAsync(before);
        await server.Client.RotateAuthorityAsync();
        await LeadsToTheServerAsync(before); // over two rotations, for a device that slept through both
        await LeadsToTheServerAsync(await RootsAsync());
        Assert.Equal(2, (await server.EventsAsync(EventKind.AuthorityChanged)).Length);
        Assert.Equal(3, Pems(await server.Anyone.GetStringAsync("v1/authority/revoked.pem")));
    }

    [Fact]
    public async Task A_server_issues_below_an_authority_elsewhere_when_its_request_comes_back_certified()
    {
        var (device, old) = await server.JoinAsync("till-1");
        var before = await RootsAsync();
        using var rootKey = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var rootRequest = new CertificateRequest("CN=Plant root", rootKey, HashAlgorithmName.SHA256);
        rootRequest.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        rootRequest.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(rootRequest.PublicKey, false));
        using var root = rootRequest.CreateSelfSigned(server.Time.GetUtcNow().AddDays(-1), server.Time.GetUtcNow().AddDays(3000));
        var asked = await server.Client.RequestAuthorityAsync();
        var request = CertificateRequest.LoadSigningRequestPem(asked.Pem, HashAlgorithmName.SHA256, CertificateRequestLoadOptions.UnsafeLoadCertificateExtensions);
        Assert.Equal(request.PublicKey.ExportSubjectPublicKeyInfo(), CertificateRequest.LoadSigningRequestPem((await server.Client.RequestAuthorityAsync()).Pem, HashAlgorithmName.SHA256).PublicKey.ExportSubjectPublicKeyInfo()); // the same again
        using var issued = request.Create(root, server.Time.GetUtcNow().AddDays(-1), server.Time.GetUtcNow().AddDays(1000), [1, 2, 3]);

        Assert.Contains("not vouched for", (await Assert.ThrowsAsync<Client.ControlException>(() => server.Client.ImportAuthorityAsync(issued.ExportCertificatePem()))).Detail, StringComparison.Ordinal);
        Assert.Contains("another key", (await Assert.ThrowsAsync<Client.ControlException>(() => server.Client.ImportAuthorityAsync(root.ExportCertificatePem()))).Detail, StringComparison.Ordinal);
        var authorities = (await server.Client.ImportAuthorityAsync(issued.ExportCertificatePem() + "\n" + root.ExportCertificatePem())).Authorities;

        Assert.Equal("CN=Plant root", authorities[^1].Root);
        await LeadsToTheServerAsync(before); // for a device that does not know that root yet
        await LeadsToTheServerAsync([.. (await RootsAsync()).Where(one => one.Subject != before[0].Subject)]); // for one that knows only that
        var renewed = device.Certificate((await RenewAsync(device)).Certificate);
        Assert.Equal(issued.Subject, renewed.Issuer);
        foreach (var certificate in (X509Certificate2[])[old, renewed])
        {
            using var http = server.Showing(certificate);
            (await http.ReportAsync()).EnsureSuccessStatusCode().Dispose();
        }

        // What that root certified for others is no device here.
        using var strangerKey = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var stranger = new CertificateRequest("CN=till-1", strangerKey, HashAlgorithmName.SHA256).Create(root, server.Time.GetUtcNow(), server.Time.GetUtcNow().AddDays(10), [9]);
        using var shown = server.Showing(stranger.CopyWithPrivateKey(strangerKey));
        Assert.Contains("not issued by this server's authority", (await shown.ReportAsync().ProblemAsync(401)).Detail, StringComparison.Ordinal);
    }

    async Task<X509Certificate2Collection> RootsAsync()
    {
        var roots = new X509Certificate2Collection();
        roots.ImportFromPem(await server.Anyone.GetStringAsync("v1/authority/roots.pem"));
        return roots;
    }

    /// <summary>What the server shows in TLS leads to one of these roots, by what it shows beside it and by what stands between.</summary>
    async Task LeadsToTheServerAsync(X509Certificate2Collection known)
    {
        var status = "nothing was shown";
        using var http = new HttpClient(new SocketsHttpHandler
        {
            SslOptions =
            {
                RemoteCertificateValidationCallback = (_, certificate, chain, _) =>
                {
                    using var walk = new X509Chain { ChainPolicy = { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck, VerificationTime = server.Time.GetUtcNow().UtcDateTime } };
                    foreach (var one in known)
                        (one.Subject == one.Issuer ? walk.ChainPolicy.CustomTrustStore : walk.ChainPolicy.ExtraStore).Add(one);
                    walk.ChainPolicy.ExtraStore.AddRange(chain!.ChainPolicy.ExtraStore);
                    var built = walk.Build((X509Certificate2)certificate!);
                    status = string.Join(' ', walk.ChainStatus.Select(one => one.Status));
                    return built;
                },
            },
        })
        { BaseAddress = server.Plane.DeviceUrl };
        Assert.True(await http.GetStringAsync("healthz").ContinueWith(answer => answer.IsCompletedSuccessfully, TaskScheduler.Default), status);
    }

    static int Pems(string text) => text.Split("-----BEGIN X509 CRL-----").Length - 1;

    static async Task<RenewAnswer> RenewAsync(TestDevice device)
    {
        using var answer = await device.SendAsync("v1/renew", System.Text.Json.JsonSerializer.SerializeToUtf8Bytes(new RenewRequest(device.Request(null).Request), DeviceMessagesContext.Default.RenewRequest));
        Assert.True(answer.IsSuccessStatusCode, await answer.Content.ReadAsStringAsync());
        return (await answer.Content.ReadFromJsonAsync(DeviceMessagesContext.Default.RenewAnswer))!;
    }
}
