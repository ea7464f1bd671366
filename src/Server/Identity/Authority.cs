using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Coppice.Trust;
using PublicKey = System.Security.Cryptography.X509Certificates.PublicKey;

namespace Coppice.Server.Identity;

/// <summary>A key that certifies devices and this server's TLS, with the certificates that vouch for it.</summary>
sealed class Authority : IDisposable
{
    /// <summary>How long an authority made here lives.</summary>
    static readonly TimeSpan Life = TimeSpan.FromDays(3652);

    /// <summary>Most that a certificate is good before the moment of issue, so that a clock which is a little slow finds it good.</summary>
    static readonly TimeSpan Slack = TimeSpan.FromDays(1);

    const string ClientPurpose = "1.3.6.1.5.5.7.3.2";
    const string ServerPurpose = "1.3.6.1.5.5.7.3.1";

    readonly ECDsa key;
    readonly Lock oneAtATime = new(); // the platform's key object is not for several threads

    /// <param name="number">Counts the authorities of a server, from 1.</param>
    /// <param name="key">P-256; disposed of with this.</param>
    /// <param name="chain">Its own certificate, and those above it up to the root.</param>
    /// <param name="link">Its key certified by the authority before, so that who trusts that one trusts this one; null for the first.</param>
    public Authority(int number, ECDsa key, X509Certificate2Collection chain, X509Certificate2? link)
    {
        (Number, this.key, Chain, Link) = (number, key, chain, link);
        using var certified = Certificate.GetECDsaPublicKey();
        if (certified is null || !certified.ExportSubjectPublicKeyInfo().AsSpan().SequenceEqual(key.ExportSubjectPublicKeyInfo()))
            throw new InvalidDataException($"the certificate '{Certificate.Subject}' is of another key; import the one that was made from this request.");
    }

    public int Number { get; }

    public X509Certificate2Collection Chain { get; }

    public X509Certificate2? Link { get; }

    public X509Certificate2 Certificate => Chain[0];

    public X509Certificate2 Root => Chain[^1];

    /// <summary>What a join token pins: SHA-256 of the root's public key.</summary>
    public Sha256Digest Pin => PinOf(Root);

    public static Sha256Digest PinOf(X509Certificate2 certificate) => Sha256Digest.Of(certificate.PublicKey.ExportSubjectPublicKeyInfo());

    /// <summary>A new authority that vouches for itself.</summary>
    /// <param name="number">Its number.</param>
    /// <param name="before">The authority that it follows, which vouches for it too; null for the first.</param>
    /// <param name="now">The clock.</param>
    public static Authority Create(int number, Authority? before, DateTimeOffset now)
    {
        var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = Request(number, key);
        using var certificate = request.CreateSelfSigned(now - Slack, now + Life);
        return new(number, key, [X509CertificateLoader.LoadCertificate(certificate.RawData)], before?.Vouch(request, now));
    }

    /// <summary>What another authority is asked to certify, so that this server issues below it.</summary>
    public static CertificateRequest Request(int number, ECDsa key)
    {
        // The number tells authorities of one server apart, the random part those of two.
        var name = new X500DistinguishedNameBuilder();
        name.AddCommonName($"Coppice devices {number} {Convert.ToHexStringLower(SHA256.HashData(key.ExportSubjectPublicKeyInfo()).AsSpan(0, 4))}");
        var request = new CertificateRequest(name.Build(), key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: true, hasPathLengthConstraint: false, pathLengthConstraint: 0, critical: true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign | X509KeyUsageFlags.CrlSign, critical: true));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, critical: false));
        return request;
    }

    /// <summary>A certificate by which a device proves itself, and nothing else.</summary>
    public X509Certificate2 IssueDevice(string device, DevicePublicKey of, DateTimeOffset now, TimeSpan life)
    {
        var request = new CertificateRequest(DeviceRequest.NameOf(device), PublicKey.CreateFromSubjectPublicKeyInfo(of.Info, out _), HashAlgorithmName.SHA256);
        return Sign(request, ClientPurpose, now - SlackOf(life), now + life);
    }

    /// <summary>A certificate with its key for this server's TLS.</summary>
    /// <param name="names">Host names and addresses; at least one.</param>
    /// <param name="now">The clock.</param>
    /// <param name="life">How long it lives.</param>
    public X509Certificate2 IssueServer(IReadOnlyCollection<string> names, DateTimeOffset now, TimeSpan life)
    {
        using var own = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var subject = new X500DistinguishedNameBuilder();
        subject.AddCommonName("Coppice server");
        var request = new CertificateRequest(subject.Build(), own, HashAlgorithmName.SHA256);
        var alternatives = new SubjectAlternativeNameBuilder();
        foreach (var name in names)
        {
            if (IPAddress.TryParse(name, out var address))
                alternatives.AddIpAddress(address);
            else
                alternatives.AddDnsName(name);
        }

        request.CertificateExtensions.Add(alternatives.Build());
        using var certificate = Sign(request, ServerPurpose, now - SlackOf(life), now + life);
        return certificate.CopyWithPrivateKey(own);
    }

    /// <summary>The certificates of this authority that must not be taken any more, DER.</summary>
    public byte[] Revoke(IEnumerable<(string Serial, DateTimeOffset At)> revoked, long number, DateTimeOffset now, DateTimeOffset next)
    {
        var list = new CertificateRevocationListBuilder();
        foreach (var (serial, at) in revoked)
            list.AddEntry(Convert.FromHexString(serial), at);
        lock (oneAtATime)
        {
            return list.Build(
                Certificate.SubjectName, X509SignatureGenerator.CreateForECDsa(key), number, next, HashAlgorithmName.SHA256,
                X509AuthorityKeyIdentifierExtension.CreateFromCertificate(Certificate, includeKeyIdentifier: true, includeIssuerAndSerial: false), now);
        }
    }

    /// <summary>The private key, PKCS#8 PEM.</summary>
    public string ExportKey() => key.ExportPkcs8PrivateKeyPem() + "\n";

    static TimeSpan SlackOf(TimeSpan life) => life / 10 < Slack ? life / 10 : Slack;

    /// <summary>Certifies an authority that an authority elsewhere has certified, so that who trusts this one trusts it too.</summary>
    /// <param name="other">Its certificate: the name and the key are taken over.</param>
    /// <param name="now">The clock.</param>
    public X509Certificate2 VouchFor(X509Certificate2 other, DateTimeOffset now)
    {
        var request = new CertificateRequest(other.SubjectName, other.PublicKey, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: true, hasPathLengthConstraint: false, pathLengthConstraint: 0, critical: true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign | X509KeyUsageFlags.CrlSign, critical: true));
        if (other.Extensions.OfType<X509SubjectKeyIdentifierExtension>().FirstOrDefault() is { } identifier)
            request.CertificateExtensions.Add(identifier); // what it issues points at this one
        return Vouch(request, now);
    }

    X509Certificate2 Vouch(CertificateRequest request, DateTimeOffset now) => Sign(request, null, now - Slack, Certificate.NotAfter);

    X509Certificate2 Sign(CertificateRequest request, string? purpose, DateTimeOffset from, DateTimeOffset to)
    {
        if (purpose is not null)
        {
            request.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: false, hasPathLengthConstraint: false, pathLengthConstraint: 0, critical: true));
            request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.DigitalSignature, critical: true));
            request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new(purpose)], critical: false));
        }

        request.CertificateExtensions.Add(X509AuthorityKeyIdentifierExtension.CreateFromCertificate(Certificate, includeKeyIdentifier: true, includeIssuerAndSerial: false));
        var serial = RandomNumberGenerator.GetBytes(16);
        serial[0] = (byte)((serial[0] & 0x3F) | 0x40); // positive, and always of 16 bytes
        var last = new DateTimeOffset(Certificate.NotAfter);
        lock (oneAtATime)
            return request.Create(Certificate.SubjectName, X509SignatureGenerator.CreateForECDsa(key), from, to < last ? to : last, serial);
    }

    public void Dispose()
    {
        key.Dispose();
        Link?.Dispose();
        foreach (var certificate in Chain)
            certificate.Dispose();
    }
}
