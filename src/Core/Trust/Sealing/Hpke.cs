using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Coppice.Trust.Sealing;

/// <summary>Ciphers of HPKE, by their numbers in its registry.</summary>
public enum HpkeAead : ushort
{
    /// <summary>AES-128-GCM.</summary>
    Aes128Gcm = 1,

    /// <summary>AES-256-GCM, which grants use.</summary>
    Aes256Gcm = 2,
}

/// <summary>Hybrid public key encryption (RFC 9180) in its base mode, one message at a time: DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-GCM.</summary>
public static class Hpke
{
    /// <summary>Bytes of an encapsulated key: an uncompressed point of P-256.</summary>
    public const int EncapsulatedBytes = 65;

    /// <summary>Bytes that a ciphertext has beyond its plaintext.</summary>
    public const int TagBytes = 16;

    const int HashBytes = 32;
    const int NonceBytes = 12;
    const ushort KemId = 0x0010;
    const ushort KdfId = 0x0001;

    static ReadOnlySpan<byte> Version => "HPKE-v1"u8;
    static ReadOnlySpan<byte> KemSuite => [(byte)'K', (byte)'E', (byte)'M', KemId >> 8, KemId & 0xFF];

    /// <summary>Encrypts one message to a public key.</summary>
    /// <param name="to">Who can open it.</param>
    /// <param name="ephemeral">A key used for this message only.</param>
    /// <param name="info">What the message is for; the opener must say the same.</param>
    /// <param name="aad">What else the opener must know.</param>
    /// <param name="plain">n bytes.</param>
    /// <param name="encapsulated"><see cref="EncapsulatedBytes"/>, overwritten.</param>
    /// <param name="cipher">n + <see cref="TagBytes"/> bytes, overwritten.</param>
    /// <param name="aead">The cipher.</param>
    public static void Seal(
        SealingPublicKey to, SealingKey ephemeral, ReadOnlySpan<byte> info, ReadOnlySpan<byte> aad, ReadOnlySpan<byte> plain,
        Span<byte> encapsulated, Span<byte> cipher, HpkeAead aead = HpkeAead.Aes256Gcm)
    {
        CheckLengths(encapsulated.Length, plain.Length, cipher.Length);
        ephemeral.Public.Point.CopyTo(encapsulated);
        Span<byte> agreed = stackalloc byte[SealingKey.ScalarBytes];
        ephemeral.Agree(to, agreed);
        Span<byte> nonce = stackalloc byte[NonceBytes];
        using var gcm = Schedule(agreed, encapsulated, to.Point, info, aead, nonce);
        CryptographicOperations.ZeroMemory(agreed);
        gcm.Encrypt(nonce, plain, cipher[..plain.Length], cipher[plain.Length..], aad);
    }

    /// <summary>Decrypts one message.</summary>
    /// <param name="key">Whose message it is.</param>
    /// <param name="encapsulated">As <see cref="Seal"/> gave it.</param>
    /// <param name="info">As it was sealed with.</param>
    /// <param name="aad">As it was sealed with.</param>
    /// <param name="cipher">n + <see cref="TagBytes"/> bytes.</param>
    /// <param name="plain">n bytes, overwritten; zeros when it does not open.</param>
    /// <param name="aead">The cipher.</param>
    /// <returns>False when the message was changed, is for another key, or was sealed with other words.</returns>
    public static bool TryOpen(
        SealingKey key, ReadOnlySpan<byte> encapsulated, ReadOnlySpan<byte> info, ReadOnlySpan<byte> aad, ReadOnlySpan<byte> cipher, Span<byte> plain,
        HpkeAead aead = HpkeAead.Aes256Gcm)
    {
        CheckLengths(encapsulated.Length, plain.Length, cipher.Length);
        plain.Clear();
        if (!SealingPublicKey.TryReadPoint(encapsulated, out var sender))
            return false;
        Span<byte> agreed = stackalloc byte[SealingKey.ScalarBytes];
        key.Agree(sender, agreed);
        Span<byte> nonce = stackalloc byte[NonceBytes];
        using var gcm = Schedule(agreed, encapsulated, key.Public.Point, info, aead, nonce);
        CryptographicOperations.ZeroMemory(agreed);
        try
        {
            gcm.Decrypt(nonce, cipher[..plain.Length], cipher[plain.Length..], plain, aad);
            return true;
        }
        catch (AuthenticationTagMismatchException)
        {
            return false;
        }
    }

    /// <summary>The private key that a seed stands for (DeriveKeyPair, section 7.1.3).</summary>
    /// <param name="seed">At least 32 bytes that nobody can guess.</param>
    /// <param name="scalar">32 bytes, overwritten.</param>
    internal static void DeriveScalar(ReadOnlySpan<byte> seed, Span<byte> scalar)
    {
        Span<byte> secret = stackalloc byte[HashBytes];
        LabeledExtract(KemSuite, default, "dkp_prk"u8, seed, secret);
        for (var counter = 0; counter < 256; counter++)
        {
            LabeledExpand(KemSuite, secret, "candidate"u8, [(byte)counter], scalar);
            if (scalar.ContainsAnyExcept((byte)0) && scalar.SequenceCompareTo(SealingKey.Order) < 0)
                return;
        }

        throw new CryptographicException("The seed gives no key; take another."); // 256 times 1 in 2^32
    }

    /// <summary>The key and nonce of the one message (sections 4.1 and 5.1).</summary>
    static AesGcm Schedule(ReadOnlySpan<byte> agreed, ReadOnlySpan<byte> encapsulated, ReadOnlySpan<byte> recipient, ReadOnlySpan<byte> info, HpkeAead aead, Span<byte> nonce)
    {
        Span<byte> shared = stackalloc byte[HashBytes];
        Span<byte> secret = stackalloc byte[HashBytes];
        Span<byte> kemContext = stackalloc byte[2 * EncapsulatedBytes];
        encapsulated.CopyTo(kemContext);
        recipient.CopyTo(kemContext[EncapsulatedBytes..]);
        LabeledExtract(KemSuite, default, "eae_prk"u8, agreed, secret);
        LabeledExpand(KemSuite, secret, "shared_secret"u8, kemContext, shared);

        Span<byte> suite = stackalloc byte[10];
        "HPKE"u8.CopyTo(suite);
        BinaryPrimitives.WriteUInt16BigEndian(suite[4..], KemId);
        BinaryPrimitives.WriteUInt16BigEndian(suite[6..], KdfId);
        BinaryPrimitives.WriteUInt16BigEndian(suite[8..], (ushort)aead);
        Span<byte> context = stackalloc byte[1 + (2 * HashBytes)];
        context[0] = 0; // mode_base
        LabeledExtract(suite, default, "psk_id_hash"u8, default, context.Slice(1, HashBytes));
        LabeledExtract(suite, default, "info_hash"u8, info, context[(1 + HashBytes)..]);
        LabeledExtract(suite, shared, "secret"u8, default, secret);
        Span<byte> key = stackalloc byte[aead == HpkeAead.Aes128Gcm ? 16 : 32];
        LabeledExpand(suite, secret, "key"u8, context, key);
        LabeledExpand(suite, secret, "base_nonce"u8, context, nonce);
        var gcm = new AesGcm(key, TagBytes);
        CryptographicOperations.ZeroMemory(key);
        CryptographicOperations.ZeroMemory(shared);
        CryptographicOperations.ZeroMemory(secret);
        return gcm;
    }

    static void LabeledExtract(ReadOnlySpan<byte> suite, ReadOnlySpan<byte> salt, ReadOnlySpan<byte> label, ReadOnlySpan<byte> material, Span<byte> into)
    {
        using var hash = IncrementalHash.CreateHMAC(HashAlgorithmName.SHA256, salt);
        hash.AppendData(Version);
        hash.AppendData(suite);
        hash.AppendData(label);
        hash.AppendData(material);
        hash.GetHashAndReset(into);
    }

    static void LabeledExpand(ReadOnlySpan<byte> suite, ReadOnlySpan<byte> secret, ReadOnlySpan<byte> label, ReadOnlySpan<byte> info, Span<byte> into)
    {
        Span<byte> labeled = stackalloc byte[2 + Version.Length + suite.Length + label.Length + info.Length];
        BinaryPrimitives.WriteUInt16BigEndian(labeled, (ushort)into.Length);
        var at = 2;
        foreach (var part in (ReadOnlySpan<int>)[0, 1, 2, 3])
        {
            var bytes = part switch { 0 => Version, 1 => suite, 2 => label, _ => info };
            bytes.CopyTo(labeled[at..]);
            at += bytes.Length;
        }

        HKDF.Expand(HashAlgorithmName.SHA256, secret, into, labeled);
    }

    static void CheckLengths(int encapsulated, int plain, int cipher)
    {
        if (encapsulated != EncapsulatedBytes)
            throw new ArgumentException($"An encapsulated key has {EncapsulatedBytes} bytes, not {encapsulated}.", nameof(encapsulated));
        if (cipher != plain + TagBytes)
            throw new ArgumentException($"{plain} bytes of plaintext have {plain + TagBytes} bytes of ciphertext, not {cipher}.", nameof(cipher));
    }
}
