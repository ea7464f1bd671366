using System.Buffers.Binary;
using System.Numerics;
using System.Security.Cryptography;

namespace Coppice.Trust;

/// <summary>Verifies Ed25519 signatures (RFC 8032, section 5.1.7). The BCL has no Ed25519; Coppice never signs with it.</summary>
/// <remarks>
/// Strict, so that no two parties disagree about a signature: S is below L, the key is the canonical encoding of a point
/// that is not of small order, and R is compared byte by byte with [S]B - [k]A (the equation without the cofactor, as in
/// Go and OpenSSL). Works on public values only and is not constant in time. docs/decisions/0002-ed25519.md says why it is here.
/// </remarks>
public static class Ed25519
{
    /// <summary>Bytes of a public key.</summary>
    public const int KeyLength = 32;

    /// <summary>Bytes of a signature.</summary>
    public const int SignatureLength = 64;

    // The order of the generator, 2^252 + 27742317777372353535851937790883648493.
    static readonly BigInteger Order = (BigInteger.One << 252) + BigInteger.Parse("27742317777372353535851937790883648493");

    const int GeneratorWindow = 8; // odd multiples of B up to 127, made once: 64 × 160 bytes
    const int KeyWindow = 5;       // odd multiples of the key up to 15, made for each signature

    static readonly Ed25519Addend[] GeneratorMultiples = OddMultiples(Ed25519Point.Generator, GeneratorWindow);

    /// <summary>Whether <paramref name="signature"/> over <paramref name="data"/> is that of the key; false for whatever is malformed.</summary>
    /// <param name="publicKey">32 bytes.</param>
    /// <param name="data">What was signed, of any length.</param>
    /// <param name="signature">64 bytes: R, then S little-endian.</param>
    public static bool Verify(ReadOnlySpan<byte> publicKey, ReadOnlySpan<byte> data, ReadOnlySpan<byte> signature)
    {
        if (publicKey.Length != KeyLength || signature.Length != SignatureLength)
            return false;
        var scalar = new BigInteger(signature[32..], isUnsigned: true);
        if (scalar >= Order)
            return false;
        if (!Ed25519Point.TryDecode(publicKey, out var key) || key.HasSmallOrder)
            return false;

        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA512);
        hash.AppendData(signature[..32]);
        hash.AppendData(publicKey);
        hash.AppendData(data);
        Span<byte> digest = stackalloc byte[64];
        hash.GetHashAndReset(digest);
        var challenge = new BigInteger(digest, isUnsigned: true) % Order;

        Span<byte> encoded = stackalloc byte[32];
        Combine(scalar, challenge, key.Negated()).Encode(encoded);
        return encoded.SequenceEqual(signature[..32]);
    }

    // [s]B + [k]P, both scalars in one run of doublings (Straus) over their signed sliding windows.
    static Ed25519Point Combine(BigInteger s, BigInteger k, in Ed25519Point point)
    {
        Span<sbyte> generatorDigits = stackalloc sbyte[256];
        Span<sbyte> pointDigits = stackalloc sbyte[256];
        SignedWindows(s, GeneratorWindow, generatorDigits);
        SignedWindows(k, KeyWindow, pointDigits);
        var multiples = OddMultiples(point, KeyWindow);

        var sum = Ed25519Point.Neutral;
        for (var i = 255; i >= 0; i--)
        {
            var (onGenerator, onPoint) = (generatorDigits[i], pointDigits[i]);
            sum = sum.Doubled(product: onGenerator != 0 || onPoint != 0);
            sum = AddMultiple(sum, onGenerator, GeneratorMultiples);
            sum = AddMultiple(sum, onPoint, multiples);
        }
        return sum;
    }

    static Ed25519Point AddMultiple(in Ed25519Point sum, int digit, Ed25519Addend[] multiples) =>
        digit > 0 ? sum.Plus(multiples[digit >> 1])
        : digit < 0 ? sum.Minus(multiples[-digit >> 1])
        : sum;

    /// <summary>The width-w non-adjacent form: each digit is zero or odd and below 2^(w-1) in size.</summary>
    static void SignedWindows(BigInteger scalar, int width, Span<sbyte> digits)
    {
        Span<byte> bytes = stackalloc byte[40];
        bytes.Clear();
        scalar.TryWriteBytes(bytes, out _, isUnsigned: true);
        digits.Clear();

        var carry = 0;
        for (var bit = 0; bit < digits.Length;)
        {
            // The next `width` bits, starting at `bit`.
            var word = BinaryPrimitives.ReadUInt32LittleEndian(bytes[(bit >> 3)..]) >> (bit & 7);
            if (((word + (uint)carry) & 1) == 0)
            {
                bit++;
                continue;
            }
            var digit = (int)(word & ((1u << width) - 1)) + carry;
            carry = digit >> (width - 1);
            digits[bit] = (sbyte)(digit - (carry << width));
            bit += width;
        }
    }

    static Ed25519Addend[] OddMultiples(in Ed25519Point point, int window)
    {
        var multiples = new Ed25519Addend[1 << (window - 2)];
        var twice = point.Doubled().ToAddend();
        var multiple = point;
        for (var i = 0; i < multiples.Length; i++)
        {
            multiples[i] = multiple.ToAddend();
            multiple = multiple.Plus(twice);
        }
        return multiples;
    }
}
