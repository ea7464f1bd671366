using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;

namespace Coppice.Trust;

/// <summary>A public key of a device, on P-256: of the pair it signs with, or of the pair that others seal to.</summary>
/// <remarks>One that exists is a point of the curve, and has one form only: a key cannot come twice in two writings.</remarks>
#pragma warning disable CA1001 // a value that is passed around has nobody to dispose of it; what it holds is a handle that the collector frees
public sealed class DevicePublicKey : IEquatable<DevicePublicKey>
{
    /// <summary>Bytes of the SubjectPublicKeyInfo.</summary>
    public const int Bytes = 91;

    readonly byte[] _info;
    readonly Lock _oneAtATime = new(); // the platform's key object is not for several threads
    ECDsa? _key; // to read it costs more than to verify by it; the collector frees it

    DevicePublicKey(byte[] info)
    {
        _info = info;
        Digest = Sha256Digest.Of(info);
    }

    /// <summary>SubjectPublicKeyInfo, DER.</summary>
    public ReadOnlySpan<byte> Info => _info;

    /// <summary>SHA-256 of <see cref="Info"/>: what people compare, and what a list of devices may name.</summary>
    public Sha256Digest Digest { get; }

    /// <summary>Reads a SubjectPublicKeyInfo in base64, as <see cref="ToString"/> writes it.</summary>
    public static bool TryParse([NotNullWhen(true)] string? base64, [NotNullWhen(true)] out DevicePublicKey? key)
    {
        key = null;
        Span<byte> info = stackalloc byte[Bytes];
        return base64?.Length == (Bytes + 2) / 3 * 4 && Convert.TryFromBase64String(base64, info, out var length) && TryRead(info[..length], out key);
    }

    /// <summary>Reads a SubjectPublicKeyInfo: P-256, the curve by its name, the point uncompressed.</summary>
    public static bool TryRead(ReadOnlySpan<byte> info, [NotNullWhen(true)] out DevicePublicKey? key)
    {
        key = null;
        if (info.Length != Bytes || !info.StartsWith(Head))
            return false;
        try
        {
            key = new(info.ToArray()) { _key = Import(info) };
        }
        catch (CryptographicException) // no point of the curve
        {
        }

        return key is not null;
    }

    /// <summary>What stands before the coordinates of every such key: there is one way to write it in DER.</summary>
    static ReadOnlySpan<byte> Head => [0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04];

    static ECDsa Import(ReadOnlySpan<byte> info) => ECDsa.Create(new ECParameters { Curve = ECCurve.NamedCurves.nistP256, Q = { X = info[^64..^32].ToArray(), Y = info[^32..].ToArray() } });

    /// <exception cref="CryptographicException">The key is on another curve.</exception>
    internal static DevicePublicKey Of(ECAlgorithm key) =>
        key.ExportParameters(includePrivateParameters: false).Curve.Oid.Value == ECCurve.NamedCurves.nistP256.Oid.Value
            ? new(key.ExportSubjectPublicKeyInfo())
            : throw new CryptographicException("The key is not on P-256.");

    /// <summary>Whether a signature, r and s of 32 bytes each, over the data is this key's.</summary>
    public bool Verify(ReadOnlySpan<byte> data, ReadOnlySpan<byte> signature)
    {
        if (signature.Length != DeviceKey.SignatureBytes)
            return false;
        lock (_oneAtATime)
        {
            _key ??= Import(_info);
            return _key.VerifyData(data, signature, HashAlgorithmName.SHA256, DSASignatureFormat.IeeeP1363FixedFieldConcatenation);
        }
    }

    /// <inheritdoc/>
    public bool Equals(DevicePublicKey? other) => other is not null && Info.SequenceEqual(other.Info);

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as DevicePublicKey);

    /// <inheritdoc/>
    public override int GetHashCode() => Digest.GetHashCode();

    /// <summary>SubjectPublicKeyInfo in base64.</summary>
    public override string ToString() => Convert.ToBase64String(_info);
}
