using System.Security.Cryptography;
using System.Text;

namespace Coppice.Trust;

/// <summary>A private key that signs metadata: ECDSA on P-256 with SHA-256, which TUF calls <c>ecdsa-sha2-nistp256</c>.</summary>
/// <remarks>The one place in Core that draws randomness by itself: a key made from a seed would be no secret.</remarks>
public sealed class SigningKey : IDisposable
{
    // OWASP's figure for PBKDF2 with HMAC-SHA-256 (2023).
    const int PasswordIterations = 600_000;

    readonly ECDsa _key;
    readonly Lock _oneAtATime = new(); // the platform's key object is not for several threads

    SigningKey(ECDsa key, string? name = null)
    {
        _key = key;
        Public = PublicKeyText.Of(key, name);
        KeyId = Public.ComputeKeyId();
    }

    /// <summary>The public part.</summary>
    public PublicKey Public { get; }

    /// <summary>The key id that TUF and securesystemslib compute for the public part.</summary>
    public string KeyId { get; }

    /// <summary>Makes a new key from the system's randomness.</summary>
    /// <param name="name">What people call it.</param>
    public static SigningKey Create(string? name = null) => new(ECDsa.Create(ECCurve.NamedCurves.nistP256), name);

    /// <summary>A key that lives elsewhere, as in a token: it signs, and need not tell its private part.</summary>
    /// <param name="key">On P-256; disposed of with the result.</param>
    /// <param name="name">What people call it.</param>
    public static SigningKey Of(ECDsa key, string? name = null) => new(key, name);

    /// <summary>Whether PEM text holds a key that needs a password to be read.</summary>
    public static bool IsEncrypted(ReadOnlySpan<byte> pem) => pem.IndexOf("BEGIN ENCRYPTED PRIVATE KEY"u8) >= 0;

    /// <summary>Reads a key from PEM: PKCS#8, plain or encrypted.</summary>
    /// <param name="pem">The text of the file, ASCII.</param>
    /// <param name="password">The password when the key is encrypted; left out otherwise.</param>
    /// <exception cref="CryptographicException">It is no P-256 private key in PEM, or the password is wrong.</exception>
    public static SigningKey Import(ReadOnlySpan<byte> pem, ReadOnlySpan<char> password = default)
    {
        var key = ECDsa.Create();
        try
        {
            var text = Encoding.UTF8.GetString(pem);
            if (text.Contains("BEGIN ENCRYPTED PRIVATE KEY", StringComparison.Ordinal))
                key.ImportFromEncryptedPem(text, password);
            else if (text.Contains("PRIVATE KEY", StringComparison.Ordinal))
                key.ImportFromPem(text);
            else
                throw new CryptographicException("The file holds no private key; give a PEM file with 'BEGIN PRIVATE KEY'.");
            if (key.ExportParameters(false).Curve.Oid.Value != ECCurve.NamedCurves.nistP256.Oid.Value)
                throw new CryptographicException("The private key is not on P-256; make one with 'coppice key'.");
            return new SigningKey(key, PublicKeyText.NameIn(text));
        }
        catch (ArgumentException notPem)
        {
            key.Dispose();
            throw new CryptographicException($"The file holds no readable private key: {notPem.Message}", notPem);
        }
        catch
        {
            key.Dispose();
            throw;
        }
    }

    /// <summary>The private key as PKCS#8 PEM, in the clear.</summary>
    public byte[] Export() => Encoding.ASCII.GetBytes(Heading + _key.ExportPkcs8PrivateKeyPem() + "\n");

    /// <summary>The private key as PKCS#8 PEM, encrypted with AES-256 under the password.</summary>
    /// <param name="password">At least one character.</param>
    public byte[] Export(ReadOnlySpan<char> password)
    {
        if (password.IsEmpty)
            throw new ArgumentException("An encrypted key needs a password.", nameof(password));
        var parameters = new PbeParameters(PbeEncryptionAlgorithm.Aes256Cbc, HashAlgorithmName.SHA256, PasswordIterations);
        return Encoding.ASCII.GetBytes(Heading + _key.ExportEncryptedPkcs8PrivateKeyPem(password, parameters) + "\n");
    }

    /// <summary>Signs data: an ECDSA signature in DER, different each time.</summary>
    public byte[] Sign(ReadOnlySpan<byte> data)
    {
        lock (_oneAtATime)
            return _key.SignData(data, HashAlgorithmName.SHA256, DSASignatureFormat.Rfc3279DerSequence);
    }

    // Text before the PEM, which readers of PEM pass over: whose key it is can be seen without its password.
    string Heading => PublicKeyText.Heading(Public);

    /// <inheritdoc/>
    public void Dispose() => _key.Dispose();
}
