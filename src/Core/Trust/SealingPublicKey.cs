using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using Coppice.Trust.Sealing;

namespace Coppice.Trust;

/// <summary>Whom content keys are sealed to: the P-256 public key of a device, a group or a server.</summary>
public sealed class SealingPublicKey : IEquatable<SealingPublicKey>, IDisposable
{
    /// <summary>Most characters of a key in PEM that are looked at.</summary>
    public const int MaxText = 4096;

    // SubjectPublicKeyInfo of an uncompressed point on P-256 (RFC 5480) up to the point.
    static ReadOnlySpan<byte> Prefix =>
        [0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00];

    readonly byte[] info;
    readonly ECDiffieHellman key;

    SealingPublicKey(ECDiffieHellman key, ReadOnlySpan<byte> point)
    {
        this.key = key;
        info = [.. Prefix, .. point];
        Digest = Sha256Digest.Of(info);
        Agreeing = key.PublicKey;
    }

    /// <summary>SHA-256 of <see cref="Info"/>: the key's name.</summary>
    public Sha256Digest Digest { get; }

    /// <summary>The key as SubjectPublicKeyInfo, 91 bytes of DER.</summary>
    public ReadOnlySpan<byte> Info => info;

    /// <summary>The uncompressed point, 65 bytes.</summary>
    public ReadOnlySpan<byte> Point => info.AsSpan(Prefix.Length);

    internal ECDiffieHellmanPublicKey Agreeing { get; }

    internal static SealingPublicKey Of(ECDiffieHellman privateKey)
    {
        Span<byte> point = stackalloc byte[Hpke.EncapsulatedBytes];
        Write(privateKey.ExportParameters(false), point);
        return TryReadPoint(point, out var key) ? key : throw new CryptographicException("The key has no public part.");
    }

    /// <summary>Reads an uncompressed point; false when it is none of P-256.</summary>
    public static bool TryReadPoint(ReadOnlySpan<byte> point, [NotNullWhen(true)] out SealingPublicKey? key)
    {
        key = null;
        if (point.Length != Hpke.EncapsulatedBytes || point[0] != 4)
            return false;
        try
        {
            var parameters = new ECParameters { Curve = ECCurve.NamedCurves.nistP256, Q = new() { X = point[1..33].ToArray(), Y = point[33..].ToArray() } };
            key = new(ECDiffieHellman.Create(parameters), point); // refuses what is not on the curve
            return true;
        }
        catch (CryptographicException)
        {
            return false;
        }
    }

    /// <summary>Reads SubjectPublicKeyInfo in DER, as this class writes it; false for anything else.</summary>
    public static bool TryRead(ReadOnlySpan<byte> info, [NotNullWhen(true)] out SealingPublicKey? key)
    {
        key = null;
        return info.StartsWith(Prefix) && TryReadPoint(info[Prefix.Length..], out key);
    }

    /// <summary>Reads PEM (<c>BEGIN PUBLIC KEY</c>), or SubjectPublicKeyInfo in base64; false for anything else.</summary>
    public static bool TryParse(string? text, [NotNullWhen(true)] out SealingPublicKey? key)
    {
        key = null;
        if (text is null || text.Length > MaxText)
            return false;
        var body = text.AsSpan().Trim();
        if (PemEncoding.TryFind(text, out var pem))
        {
            if (!text.AsSpan()[pem.Label].SequenceEqual("PUBLIC KEY"))
                return false;
            body = text.AsSpan()[pem.Base64Data];
        }

        Span<byte> bytes = stackalloc byte[256];
        return body.Length <= 300 && Convert.TryFromBase64Chars(body, bytes, out var read) && TryRead(bytes[..read], out key);
    }

    /// <summary>The key in PEM.</summary>
    public string ToPem() => PemEncoding.WriteString("PUBLIC KEY", info) + "\n";

    /// <summary>SubjectPublicKeyInfo in base64.</summary>
    public override string ToString() => Convert.ToBase64String(info);

    /// <inheritdoc/>
    public bool Equals([NotNullWhen(true)] SealingPublicKey? other) => other is not null && Digest == other.Digest;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as SealingPublicKey);

    /// <inheritdoc/>
    public override int GetHashCode() => Digest.GetHashCode();

    /// <inheritdoc/>
    public void Dispose()
    {
        Agreeing.Dispose();
        key.Dispose();
    }

    static void Write(ECParameters parameters, Span<byte> point)
    {
        point[0] = 4;
        parameters.Q.X.CopyTo(point[1..]);
        parameters.Q.Y.CopyTo(point[33..]);
    }
}
