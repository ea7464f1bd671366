using System.Security.Cryptography;
using System.Text;
using Coppice.Trust.Sealing;

namespace Coppice.Trust;

/// <summary>A P-256 private key that opens what was sealed to its public part. It signs nothing.</summary>
/// <remarks>Safe for several threads. As <see cref="SigningKey"/>, it draws its own randomness: a key made from a seed would be no secret.</remarks>
public sealed class SealingKey : IDisposable
{
    /// <summary>Bytes of the private number.</summary>
    public const int ScalarBytes = 32;

    // OWASP's figure for PBKDF2 with HMAC-SHA-256 (2023).
    internal const int PasswordIterations = 600_000;

    readonly ECDiffieHellman _key;
    readonly Lock _oneAtATime = new(); // the platform's key object is not for several threads

    SealingKey(ECDiffieHellman key)
    {
        _key = key;
        Public = SealingPublicKey.Of(key);
    }

    /// <summary>The order of P-256 (SP 800-186), big-endian.</summary>
    internal static ReadOnlySpan<byte> Order =>
    [
        0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
        0xBC, 0xE6, 0xFA, 0xAD, 0xA7, 0x17, 0x9E, 0x84, 0xF3, 0xB9, 0xCA, 0xC2, 0xFC, 0x63, 0x25, 0x51,
    ];

    /// <summary>The public part.</summary>
    public SealingPublicKey Public { get; }

    /// <summary>Makes a new key from the system's randomness.</summary>
    public static SealingKey Create() => new(ECDiffieHellman.Create(ECCurve.NamedCurves.nistP256));

    /// <summary>The key that a seed stands for, as HPKE derives it.</summary>
    /// <param name="seed">At least 32 bytes that nobody can guess.</param>
    public static SealingKey Derive(ReadOnlySpan<byte> seed)
    {
        Span<byte> scalar = stackalloc byte[ScalarBytes];
        Hpke.DeriveScalar(seed, scalar);
        return OfScalar(scalar);
    }

    /// <summary>A key from its private number.</summary>
    /// <param name="scalar">32 bytes, big-endian, from 1 to the curve's order less one.</param>
    /// <exception cref="CryptographicException">It is not such a number.</exception>
    public static SealingKey OfScalar(ReadOnlySpan<byte> scalar)
    {
        if (scalar.Length != ScalarBytes || !scalar.ContainsAnyExcept((byte)0) || scalar.SequenceCompareTo(Order) >= 0)
            throw new CryptographicException("The number is no private key of P-256.");
        return new(ECDiffieHellman.Create(new ECParameters { Curve = ECCurve.NamedCurves.nistP256, D = scalar.ToArray() }));
    }

    /// <summary>Reads a key from PEM: PKCS#8, plain or encrypted.</summary>
    /// <param name="pem">The text of the file, ASCII.</param>
    /// <param name="password">The password when the key is encrypted; left out otherwise.</param>
    /// <exception cref="CryptographicException">It is no P-256 private key in PEM, or the password is wrong.</exception>
    public static SealingKey Import(ReadOnlySpan<byte> pem, ReadOnlySpan<char> password = default)
    {
        var key = ECDiffieHellman.Create();
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
                throw new CryptographicException("The private key is not on P-256; make one with 'coppice seal key'.");
            return new(key);
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
    public byte[] Export() => Encoding.ASCII.GetBytes(_key.ExportPkcs8PrivateKeyPem() + "\n");

    /// <summary>The private key as PKCS#8 PEM, encrypted with AES-256 under the password.</summary>
    /// <param name="password">At least one character.</param>
    public byte[] Export(ReadOnlySpan<char> password)
    {
        if (password.IsEmpty)
            throw new ArgumentException("An encrypted key needs a password.", nameof(password));
        var parameters = new PbeParameters(PbeEncryptionAlgorithm.Aes256Cbc, HashAlgorithmName.SHA256, PasswordIterations);
        return Encoding.ASCII.GetBytes(_key.ExportEncryptedPkcs8PrivateKeyPem(password, parameters) + "\n");
    }

    /// <summary>Writes the private number.</summary>
    /// <param name="scalar">32 bytes, overwritten.</param>
    public void ExportScalar(Span<byte> scalar)
    {
        var number = _key.ExportParameters(true).D!;
        number.CopyTo(scalar);
        CryptographicOperations.ZeroMemory(number);
    }

    /// <summary>The secret that this key and another share.</summary>
    internal void Agree(SealingPublicKey other, Span<byte> secret)
    {
        byte[] agreed;
        lock (_oneAtATime)
            agreed = _key.DeriveRawSecretAgreement(other.Agreeing);
        agreed.CopyTo(secret);
        CryptographicOperations.ZeroMemory(agreed);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Public.Dispose();
        _key.Dispose();
    }
}
