using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;

namespace Coppice.Trust;

/// <summary>The private key by which a device proves who it is: ECDSA on P-256 with SHA-256. Made on the device; it never leaves it.</summary>
/// <remarks>Like <see cref="SigningKey"/>, it draws randomness by itself: a key made from a seed would be no secret.</remarks>
public sealed class DeviceKey : IDisposable
{
    /// <summary>Bytes of a signature: r and s.</summary>
    public const int SignatureBytes = 64;

    readonly ECDsa _key;
    readonly Lock _oneAtATime = new(); // the platform's key object is not for several threads

    DeviceKey(ECDsa key)
    {
        _key = key;
        Public = DevicePublicKey.Of(key);
    }

    /// <summary>The public part.</summary>
    public DevicePublicKey Public { get; }

    /// <summary>Makes a new key from the system's randomness.</summary>
    public static DeviceKey Create() => new(ECDsa.Create(ECCurve.NamedCurves.nistP256));

    /// <summary>Reads a key from PKCS#8 PEM.</summary>
    /// <exception cref="CryptographicException">It is no P-256 private key in PEM.</exception>
    public static DeviceKey Import(ReadOnlySpan<byte> pem)
    {
        var key = ECDsa.Create();
        try
        {
            var text = Encoding.ASCII.GetString(pem);
            if (!text.Contains("BEGIN PRIVATE KEY", StringComparison.Ordinal))
                throw new CryptographicException("It holds no 'BEGIN PRIVATE KEY'.");
            key.ImportFromPem(text);
            return new(key); // asks for the curve
        }
        catch (ArgumentException notPem)
        {
            key.Dispose();
            throw new CryptographicException($"It holds no readable private key: {notPem.Message}", notPem);
        }
        catch
        {
            key.Dispose();
            throw;
        }
    }

    /// <summary>The private key as PKCS#8 PEM, in the clear: for the device's own disk.</summary>
    public byte[] Export() => Encoding.ASCII.GetBytes(_key.ExportPkcs8PrivateKeyPem() + "\n");

    /// <summary>Signs data: r and s, 32 bytes each, different each time.</summary>
    public byte[] Sign(ReadOnlySpan<byte> data)
    {
        lock (_oneAtATime)
            return _key.SignData(data, HashAlgorithmName.SHA256, DSASignatureFormat.IeeeP1363FixedFieldConcatenation);
    }

    /// <summary>A PKCS#10 request for a certificate of a device, signed by this key: it proves that who asks has the key.</summary>
    /// <returns>DER.</returns>
    public byte[] RequestCertificate(string device)
    {
        lock (_oneAtATime)
            return new CertificateRequest(DeviceRequest.NameOf(device), _key, HashAlgorithmName.SHA256).CreateSigningRequest();
    }

    /// <summary>The certificate together with this key, as TLS wants it.</summary>
    public X509Certificate2 With(X509Certificate2 certificate)
    {
        ArgumentNullException.ThrowIfNull(certificate);
        lock (_oneAtATime)
            return certificate.CopyWithPrivateKey(_key);
    }

    /// <inheritdoc/>
    public void Dispose() => _key.Dispose();
}
