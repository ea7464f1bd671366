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
        if (info.Length != Bytes)
            return false;
        var read = ECDsa.Create();
        try
        {
            read.ImportSubjectPublicKeyInfo(info, out var consumed);
            var found = Of(read);
            if (consumed == info.Length && found.Info.SequenceEqual(info))
            {
                found._key = read;
                key = found;
            }
        }
        catch (CryptographicException) // not DER, another curve, or no point of it
        {
        }

        if (key is null)
            read.Dispose();
        return key is not null;
    }

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
            if (_key is null)
            {
                _key = ECDsa.Create();
                _key.ImportSubjectPublicKeyInfo(_info, out _);
            }

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
