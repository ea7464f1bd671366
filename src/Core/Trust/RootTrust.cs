using System.Security.Cryptography.X509Certificates;

namespace Coppice.Trust;

/// <summary>Belief in a server by roots that are given, and by no others.</summary>
public static class RootTrust
{
    /// <summary>What a chain is built by: those of the certificates that are roots vouch, the others may stand between. Nothing is fetched; revocation is not asked for.</summary>
    /// <param name="certificates">Roots, and what stands below them.</param>
    public static X509ChainPolicy PolicyOf(X509Certificate2Collection certificates)
    {
        ArgumentNullException.ThrowIfNull(certificates);
        var policy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck, DisableCertificateDownloads = true };
        foreach (var one in certificates)
            (IsRoot(one) ? policy.CustomTrustStore : policy.ExtraStore).Add(one);
        return policy;
    }

    /// <summary>Whether a certificate names itself as its issuer.</summary>
    public static bool IsRoot(X509Certificate2 certificate)
    {
        ArgumentNullException.ThrowIfNull(certificate);
        return certificate.SubjectName.RawData.AsSpan().SequenceEqual(certificate.IssuerName.RawData);
    }
}
