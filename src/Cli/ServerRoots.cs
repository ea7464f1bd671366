using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Coppice.Trust;

namespace Coppice.Cli;

/// <summary>The roots by which a server's certificate is believed, where no public authority vouches for it: <c>--roots</c> or <see cref="Variable"/>.</summary>
public static class ServerRoots
{
    /// <summary>Environment variable that names a PEM file, such as a server's <c>v1/authority/roots.pem</c>.</summary>
    public const string Variable = "COPPICE_ROOTS";

    /// <summary>How connections to a server are made: with the roots of the file alone, or public ones when there is none.</summary>
    /// <param name="file">As given on the command line; null for <see cref="Variable"/>.</param>
    /// <exception cref="UsageException">The file cannot be read, or holds no root.</exception>
    public static SocketsHttpHandler Handler(string? file = null)
    {
        var handler = new SocketsHttpHandler();
        if ((file ?? Environment.GetEnvironmentVariable(Variable)) is { Length: > 0 } path)
            handler.SslOptions.CertificateChainPolicy = Policy(path);
        return handler;
    }

    static X509ChainPolicy Policy(string path)
    {
        var found = new X509Certificate2Collection();
        try
        {
            found.ImportFromPemFile(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or CryptographicException)
        {
            throw new UsageException($"--roots: {path} cannot be read ({e.Message}); give certificates in PEM, as a server's v1/authority/roots.pem has them.");
        }

        var policy = RootTrust.PolicyOf(found);
        return policy.CustomTrustStore.Count > 0 ? policy : throw new UsageException($"--roots: {path} holds no root; give the server's v1/authority/roots.pem.");
    }
}
