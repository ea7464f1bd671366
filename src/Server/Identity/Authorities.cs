using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Coppice.Server.Storage;
using Coppice.Trust;

namespace Coppice.Server.Identity;

/// <summary>A certificate of a device that this server's authorities vouch for.</summary>
/// <param name="Device">Whose.</param>
/// <param name="Key">The key it certifies.</param>
/// <param name="Serial">Hexadecimal, upper case.</param>
/// <param name="Expires">From then on it is refused.</param>
sealed record CertifiedDevice(string Device, DevicePublicKey Key, string Serial, DateTimeOffset Expires);

/// <summary>The authorities of this server, oldest first: the last one issues, all of them are believed.</summary>
/// <remarks>
/// Each has its files in the folder: <c>N.key</c>, <c>N.pem</c> and, for one that follows another, <c>N.link.pem</c>. The <c>.pem</c> is
/// written last, so that a rotation that was cut short has not happened.
/// </remarks>
sealed class Authorities : IDisposable
{
    /// <summary>Most bytes of a certificate that is looked at.</summary>
    public const int MaxCertificate = 8 << 10;

    readonly string folder;
    readonly Lock gate = new();
    ImmutableArray<Authority> all;

    Authorities(string folder, ImmutableArray<Authority> all) => (this.folder, this.all) = (folder, all);

    public Authority Current => All[^1];

    public ImmutableArray<Authority> All
    {
        get
        {
            lock (gate)
                return all;
        }
    }

    /// <summary>The roots that vouch for this server, and what stands between them and its authorities, PEM, newest first.</summary>
    public string Bundle => string.Concat(All.Reverse().SelectMany(authority => authority.Chain.Reverse()).Select(certificate => certificate.ExportCertificatePem() + "\n").Distinct());

    /// <summary>Opens the folder; makes the first authority when there is none.</summary>
    /// <exception cref="InvalidDataException">A key or a certificate is missing or damaged.</exception>
    public static Authorities Open(string folder, DateTimeOffset now)
    {
        DataFolder.MakePrivate(folder);
        var found = Numbers(folder).Select(number => Read(folder, number)).ToImmutableArray();
        var opened = new Authorities(folder, found);
        if (found.IsEmpty)
            opened.Rotate(now);
        return opened;
    }

    /// <summary>Takes over authorities that other servers made: their files have come.</summary>
    public void LookAgain()
    {
        lock (gate)
            all = all.AddRange(Numbers(folder).Where(number => number > all[^1].Number).Select(number => Read(folder, number)));
    }

    /// <summary>Makes the authority that issues from now on. What the ones before have issued stays good.</summary>
    public Authority Rotate(DateTimeOffset now)
    {
        lock (gate)
        {
            var before = all.IsEmpty ? null : all[^1];
            var made = Authority.Create((before?.Number ?? 0) + 1, before, now);
            DataFolder.WritePrivate(File("key", made.Number), made.ExportKey());
            Keep(made);
            return made;
        }
    }

    /// <summary>Makes a key and asks for a certificate by which this server issues below an authority elsewhere; again the same while none was imported.</summary>
    /// <returns>PKCS#10, PEM.</returns>
    public string Ask()
    {
        lock (gate)
        {
            var number = all[^1].Number + 1;
            using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
            if (System.IO.File.Exists(File("key", number)))
                key.ImportFromPem(System.IO.File.ReadAllText(File("key", number)));
            else
                DataFolder.WritePrivate(File("key", number), key.ExportPkcs8PrivateKeyPem() + "\n");
            return Authority.Request(number, key).CreateSigningRequestPem() + "\n";
        }
    }

    /// <summary>Takes what an authority elsewhere made of the request: from now on this server issues below it.</summary>
    /// <param name="pem">The certificate, and those above it up to the root, in this order.</param>
    /// <param name="now">The clock.</param>
    /// <exception cref="InvalidDataException">It does not fit; says why.</exception>
    public Authority Import(string pem, DateTimeOffset now)
    {
        lock (gate)
        {
            var number = all[^1].Number + 1;
            if (!System.IO.File.Exists(File("key", number)))
                throw new InvalidDataException("no request is open; make one with 'coppice ca request' first.");
            var chain = new X509Certificate2Collection();
            try
            {
                chain.ImportFromPem(pem);
            }
            catch (CryptographicException e)
            {
                throw new InvalidDataException($"the certificates cannot be read ({e.Message}); give PEM.", e);
            }

            if (chain.Count == 0)
                throw new InvalidDataException("there is no certificate in it; give PEM with the issued certificate first, and those above it up to the root.");
            Check(chain, now);
            var key = ECDsa.Create();
            key.ImportFromPem(System.IO.File.ReadAllText(File("key", number)));
            var taken = new Authority(number, key, chain, all[^1].VouchFor(chain[0], now));
            Keep(taken);
            return taken;
        }
    }

    /// <summary>Whether a certificate is one of a device that these authorities issued, and good now.</summary>
    /// <param name="certificate">As the caller showed it.</param>
    /// <param name="now">The clock.</param>
    /// <param name="proved">Null when it is not.</param>
    /// <param name="problem">Why not; empty when it is.</param>
    public bool TryVerify(X509Certificate2 certificate, DateTimeOffset now, [NotNullWhen(true)] out CertifiedDevice? proved, out string problem)
    {
        proved = null;
        if (certificate.RawDataMemory.Length > MaxCertificate)
        {
            problem = "the certificate is too large.";
            return false;
        }

        var known = All;
        using var chain = new X509Chain();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        foreach (var authority in known)
        {
            chain.ChainPolicy.CustomTrustStore.Add(authority.Root);
            chain.ChainPolicy.ExtraStore.AddRange(authority.Chain);
        }

        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck; // the database knows, at once
        chain.ChainPolicy.DisableCertificateDownloads = true;
        chain.ChainPolicy.VerificationTime = now.UtcDateTime;
        chain.ChainPolicy.ApplicationPolicy.Add(new("1.3.6.1.5.5.7.3.2"));
        try
        {
            var built = chain.Build(certificate);
            var issuer = chain.ChainElements.Count > 1 ? chain.ChainElements[1].Certificate.RawDataMemory : default;
            problem = !built ? Problem(chain, certificate, now)
                : !known.Any(authority => authority.Certificate.RawDataMemory.Span.SequenceEqual(issuer.Span)) ? "the certificate was not issued by this server's authority."
                : DeviceRequest.DeviceOf(certificate.SubjectName) is not { } device || !DeviceRequest.IsDevice(device) ? "the certificate is not a device's."
                : !DevicePublicKey.TryRead(certificate.PublicKey.ExportSubjectPublicKeyInfo(), out var key) ? "the certificate's key is not on P-256."
                : Good(proved = new(device, key, certificate.SerialNumber, new(certificate.NotAfter)));
        }
        catch (CryptographicException e) // bytes of strangers; the platform says what it could not read
        {
            problem = $"the certificate cannot be read ({e.Message})";
        }
        finally
        {
            foreach (var element in chain.ChainElements)
                element.Certificate.Dispose();
        }

        return proved is not null;
    }

    public void Dispose()
    {
        foreach (var authority in All)
            authority.Dispose();
    }

    static IEnumerable<int> Numbers(string folder) => Directory.GetFiles(folder, "*.pem").Select(file => Path.GetFileName(file)[..^4])
        .Where(name => int.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out _)).Select(name => int.Parse(name, CultureInfo.InvariantCulture)).Order();

    static string Good(CertifiedDevice _) => "";

    static string Problem(X509Chain chain, X509Certificate2 certificate, DateTimeOffset now) =>
        now >= certificate.NotAfter ? $"the certificate expired at {certificate.NotAfter.ToUniversalTime():u}; the device renews it by itself, signing with its key."
            : now < certificate.NotBefore ? $"the certificate is good from {certificate.NotBefore.ToUniversalTime():u} on; the server's clock is wrong, or was."
            : $"this server's authorities do not vouch for the certificate ({string.Join(", ", chain.ChainStatus.Select(status => status.Status))}).";

    static void Check(X509Certificate2Collection chain, DateTimeOffset now)
    {
        using var check = new X509Chain();
        check.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        check.ChainPolicy.CustomTrustStore.Add(chain[^1]);
        check.ChainPolicy.ExtraStore.AddRange(chain);
        check.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        check.ChainPolicy.DisableCertificateDownloads = true;
        check.ChainPolicy.VerificationTime = now.UtcDateTime;
        if (!check.Build(chain[0]))
        {
            throw new InvalidDataException(
                $"'{chain[0].Subject}' is not vouched for by '{chain[^1].Subject}', the last certificate given ({string.Join(", ", check.ChainStatus.Select(status => status.Status))}); give every certificate from the issued one up to the root.");
        }

        if (chain[0].Extensions.OfType<X509BasicConstraintsExtension>().FirstOrDefault() is not { CertificateAuthority: true })
            throw new InvalidDataException($"'{chain[0].Subject}' may not issue certificates; ask for one of an authority (basicConstraints CA:TRUE).");
    }

    static Authority Read(string folder, int number)
    {
        var key = ECDsa.Create();
        try
        {
            key.ImportFromPem(System.IO.File.ReadAllText(Path.Combine(folder, $"{number}.key")));
            var chain = new X509Certificate2Collection();
            chain.ImportFromPemFile(Path.Combine(folder, $"{number}.pem"));
            var link = Path.Combine(folder, $"{number}.link.pem");
            return new(number, key, chain, System.IO.File.Exists(link) ? X509CertificateLoader.LoadCertificateFromFile(link) : null);
        }
        catch (Exception e) when (e is IOException or CryptographicException or ArgumentException)
        {
            key.Dispose();
            throw new InvalidDataException($"The authority {number} in {folder} cannot be read ({e.Message}); restore {number}.key and {number}.pem from the backup.", e);
        }
    }

    void Keep(Authority made)
    {
        if (made.Link is { } link)
            DataFolder.WritePrivate(File("link.pem", made.Number), link.ExportCertificatePem() + "\n");
        var chain = new StringBuilder();
        foreach (var certificate in made.Chain)
            chain.Append(certificate.ExportCertificatePem()).Append('\n');
        DataFolder.WritePrivate(File("pem", made.Number), chain.ToString());
        all = all.Add(made);
    }

    string File(string kind, int number) => Path.Combine(folder, $"{number}.{kind}");
}
