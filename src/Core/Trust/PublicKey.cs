using System.Security.Cryptography;
using System.Text.Json;

namespace Coppice.Trust;

/// <summary>A public key as metadata names it. It may be of a kind or form that nobody here knows; then it verifies nothing.</summary>
/// <remarks>
/// Understood: <c>ed25519</c>; <c>ecdsa-sha2-nistp256</c> with the key type <c>ecdsa</c> or <c>ecdsa-sha2-nistp256</c>, as
/// PEM or, as early sigstore roots have it, as the hexadecimal uncompressed point; <c>rsassa-pss-sha256</c> from 2,048 to 8,192 bits.
/// </remarks>
public sealed class PublicKey
{
    const int LeastRsaBits = 2048;
    const int MostRsaBits = 8192; // bounds the work of one signature

    // Read when first needed: metadata that nobody has verified yet may list thousands of keys, of which a role names a few.
    readonly Lazy<Material?> _material;

    /// <summary>A key as metadata writes it.</summary>
    /// <param name="keyType">The <c>keytype</c>.</param>
    /// <param name="scheme">The <c>scheme</c>.</param>
    /// <param name="value">The <c>public</c> of its <c>keyval</c>.</param>
    public PublicKey(string keyType, string scheme, string value)
    {
        KeyType = keyType;
        Scheme = scheme;
        Value = value;
        _material = new Lazy<Material?>(() => ReadMaterial(keyType, scheme, value));
    }

    /// <summary><c>ed25519</c>, <c>ecdsa</c>, <c>rsa</c>, or a word not known here.</summary>
    public string KeyType { get; }

    /// <summary>How signatures are made.</summary>
    public string Scheme { get; }

    /// <summary>The public part: PEM text or hexadecimal.</summary>
    public string Value { get; }

    /// <summary>What people call the key, <c>root alice</c>; null when nobody said. A hint for people, no part of the key: see <see cref="ComputeKeyId"/>.</summary>
    public string? Name { get; init; }

    /// <summary>Whether signatures of this key can be verified at all.</summary>
    public bool IsUsable => _material.Value is not null;

    /// <summary>The digest of the key itself: the same key listed under two key ids, in two forms, has one identity.</summary>
    /// <remarks>Default when the key is not usable.</remarks>
    public Sha256Digest Identity => _material.Value is { } material ? Sha256Digest.Of(material.Bytes) : default;

    /// <summary>The key id that securesystemslib computes: SHA-256 of the canonical JSON of key type, scheme and value.</summary>
    public string ComputeKeyId() => Sha256Digest.Of(CanonicalJson.Encode(ToJson())).ToString();

    /// <summary>Whether the signature over the data is this key's; false for whatever is malformed.</summary>
    public bool Verify(ReadOnlySpan<byte> data, ReadOnlySpan<byte> signature)
    {
        if (_material.Value is not { } material)
            return false;
        try
        {
            switch (material.Key)
            {
                case ECDsa key:
                    Span<byte> fixedForm = stackalloc byte[64];
                    if (!EcdsaSignature.TryReadDer(signature, fixedForm))
                        return false;
                    lock (key)
                        return key.VerifyData(data, fixedForm, HashAlgorithmName.SHA256, DSASignatureFormat.IeeeP1363FixedFieldConcatenation);
                case RSA key:
                    lock (key)
                        return key.VerifyData(data, signature, HashAlgorithmName.SHA256, RSASignaturePadding.Pss);
                default:
                    return Ed25519.Verify(material.Bytes, data, signature);
            }
        }
        catch (CryptographicException)
        {
            return false; // a signature whose encoding the platform refuses outright
        }
    }

    /// <summary>The key as metadata writes it, without fields of others.</summary>
    public JsonElement ToJson()
    {
        var buffer = new System.Buffers.ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer))
        {
            writer.WriteStartObject();
            writer.WriteString("keytype", KeyType);
            writer.WriteStartObject("keyval");
            writer.WriteString("public", Value);
            writer.WriteEndObject();
            writer.WriteString("scheme", Scheme);
            writer.WriteEndObject();
        }
        return JsonElement.Parse(buffer.WrittenSpan);
    }

    static Material? ReadMaterial(string keyType, string scheme, string value)
    {
        try
        {
            return (keyType, scheme) switch
            {
                ("ed25519", "ed25519") => ReadEd25519(value),
                ("ecdsa" or "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256") => ReadP256(value),
                ("rsa", "rsassa-pss-sha256") => ReadRsa(value),
                _ => null,
            };
        }
        // A delegator may list keys that this client cannot read; they count for nothing, the others still do.
        catch (Exception unreadable) when (unreadable is CryptographicException or ArgumentException or FormatException or NotSupportedException)
        {
            return null;
        }
    }

    static Material? ReadEd25519(string value) =>
        value.Length == 2 * Ed25519.KeyLength ? new(Convert.FromHexString(value), null) : null;

    static Material? ReadP256(string value)
    {
        var key = ECDsa.Create();
        if (value.StartsWith("04", StringComparison.Ordinal) && value.Length == 130)
        {
            var point = Convert.FromHexString(value);
            key.ImportParameters(new ECParameters
            {
                Curve = ECCurve.NamedCurves.nistP256,
                Q = new ECPoint { X = point[1..33], Y = point[33..] },
            });
        }
        else
        {
            key.ImportFromPem(PublicPem(value));
        }
        return key.ExportParameters(includePrivateParameters: false).Curve.Oid.Value == ECCurve.NamedCurves.nistP256.Oid.Value
            ? new(key.ExportSubjectPublicKeyInfo(), key)
            : null;
    }

    static Material? ReadRsa(string value)
    {
        var key = RSA.Create();
        key.ImportFromPem(PublicPem(value));
        return key.KeySize is >= LeastRsaBits and <= MostRsaBits ? new(key.ExportSubjectPublicKeyInfo(), key) : null;
    }

    // ImportFromPem would also take a private key, which has no place in metadata.
    static string PublicPem(string value) => value.Contains("PRIVATE", StringComparison.Ordinal)
        ? throw new FormatException("a private key where a public one belongs")
        : value;

    /// <summary>What verifies.</summary>
    /// <param name="Bytes">DER SubjectPublicKeyInfo, or the 32 bytes of ed25519.</param>
    /// <param name="Key">The platform's key, kept because reading one costs as much as two signatures; it lives as long as the metadata,
    /// and its finalizer frees it. Null for ed25519.</param>
    sealed record Material(byte[] Bytes, AsymmetricAlgorithm? Key);
}
