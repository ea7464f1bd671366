using System.Security.Cryptography;
using System.Text;

namespace Coppice.Trust;

/// <summary>The private key to which content keys are sealed for a device: ECDH on P-256. Made on the device; it never leaves it.</summary>
/// <remarks>Apart from <see cref="DeviceKey"/>: a key that signs and one that agrees on secrets are not used for each other's work.</remarks>
public sealed class SealingKey : IDisposable
{
    SealingKey(ECDiffieHellman key)
    {
        Agreement = key;
        Public = DevicePublicKey.Of(key);
    }

    /// <summary>The public part.</summary>
    public DevicePublicKey Public { get; }

    /// <summary>Agrees on secrets. One thread at a time.</summary>
    public ECDiffieHellman Agreement { get; }

    /// <summary>Makes a new key from the system's randomness.</summary>
    public static SealingKey Create() => new(ECDiffieHellman.Create(ECCurve.NamedCurves.nistP256));

    /// <summary>Reads a key from PKCS#8 PEM.</summary>
    /// <exception cref="CryptographicException">It is no P-256 private key in PEM.</exception>
    public static SealingKey Import(ReadOnlySpan<byte> pem)
    {
        var key = ECDiffieHellman.Create();
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
    public byte[] Export() => Encoding.ASCII.GetBytes(Agreement.ExportPkcs8PrivateKeyPem() + "\n");

    /// <inheritdoc/>
    public void Dispose() => Agreement.Dispose();
}
