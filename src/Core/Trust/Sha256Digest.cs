using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;

namespace Coppice.Trust;

/// <summary>The SHA-256 of some bytes: how a blob, a manifest and a metadata file are named.</summary>
/// <remarks>32 bytes held in place, so that a digest costs no allocation and is a key of any dictionary.
/// <c>default</c> is 32 zero bytes, which no known input has as its digest.</remarks>
public readonly struct Sha256Digest : IEquatable<Sha256Digest>, IComparable<Sha256Digest>, ISpanFormattable
{
    /// <summary>Bytes in a digest.</summary>
    public const int ByteCount = 32;

    /// <summary>Hexadecimal digits in a digest's text.</summary>
    public const int HexLength = 2 * ByteCount;

    // Big-endian words: their order is the order of the bytes and of the hex text.
    readonly ulong _a, _b, _c, _d;

    /// <summary>A digest from its bytes.</summary>
    /// <param name="bytes">32 bytes.</param>
    /// <exception cref="ArgumentException">There are not 32 bytes.</exception>
    public Sha256Digest(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length != ByteCount)
            throw new ArgumentException($"A SHA-256 digest has {ByteCount} bytes, not {bytes.Length}.", nameof(bytes));
        _a = BinaryPrimitives.ReadUInt64BigEndian(bytes);
        _b = BinaryPrimitives.ReadUInt64BigEndian(bytes[8..]);
        _c = BinaryPrimitives.ReadUInt64BigEndian(bytes[16..]);
        _d = BinaryPrimitives.ReadUInt64BigEndian(bytes[24..]);
    }

    /// <summary>Whether this is <c>default</c>, so that nobody has set it.</summary>
    public bool IsDefault => (_a | _b | _c | _d) == 0;

    /// <summary>Hashes <paramref name="data"/>.</summary>
    public static Sha256Digest Of(ReadOnlySpan<byte> data)
    {
        Span<byte> bytes = stackalloc byte[ByteCount];
        SHA256.HashData(data, bytes);
        return new Sha256Digest(bytes);
    }

    /// <summary>Reads 64 hexadecimal digits, in either case.</summary>
    public static bool TryParse(ReadOnlySpan<char> hex, out Sha256Digest digest)
    {
        digest = default;
        if (hex.Length != HexLength)
            return false;
        Span<byte> bytes = stackalloc byte[ByteCount];
        if (Convert.FromHexString(hex, bytes, out _, out _) != System.Buffers.OperationStatus.Done)
            return false;
        digest = new Sha256Digest(bytes);
        return true;
    }

    /// <summary>Reads 64 hexadecimal digits, in either case.</summary>
    /// <exception cref="FormatException">The text is not 64 hexadecimal digits.</exception>
    public static Sha256Digest Parse(ReadOnlySpan<char> hex) => TryParse(hex, out var digest)
        ? digest
        : throw new FormatException(
            $"'{(hex.Length <= 80 ? hex : hex[..80])}' is not a SHA-256 digest; give {HexLength} hexadecimal digits.");

    /// <summary>Writes the 32 bytes.</summary>
    /// <param name="destination">At least 32 bytes; the first 32 are overwritten.</param>
    public void CopyTo(Span<byte> destination)
    {
        BinaryPrimitives.WriteUInt64BigEndian(destination, _a);
        BinaryPrimitives.WriteUInt64BigEndian(destination[8..], _b);
        BinaryPrimitives.WriteUInt64BigEndian(destination[16..], _c);
        BinaryPrimitives.WriteUInt64BigEndian(destination[24..], _d);
    }

    /// <summary>The 32 bytes, copied.</summary>
    public byte[] ToArray()
    {
        var bytes = new byte[ByteCount];
        CopyTo(bytes);
        return bytes;
    }

    /// <summary>64 lower-case hexadecimal digits.</summary>
    public override string ToString() => string.Create(HexLength, this, static (text, digest) => digest.TryFormat(text, out _));

    /// <summary>Writes 64 lower-case hexadecimal digits.</summary>
    public bool TryFormat(Span<char> destination, out int charsWritten)
    {
        Span<byte> bytes = stackalloc byte[ByteCount];
        CopyTo(bytes);
        return Convert.TryToHexStringLower(bytes, destination, out charsWritten);
    }

    bool ISpanFormattable.TryFormat(
        Span<char> destination, out int charsWritten, ReadOnlySpan<char> format, IFormatProvider? provider) =>
        TryFormat(destination, out charsWritten);

    string IFormattable.ToString(string? format, IFormatProvider? formatProvider) => ToString();

    /// <inheritdoc/>
    public bool Equals(Sha256Digest other) => _a == other._a && _b == other._b && _c == other._c && _d == other._d;

    /// <inheritdoc/>
    public override bool Equals([NotNullWhen(true)] object? obj) => obj is Sha256Digest other && Equals(other);

    /// <inheritdoc/>
    /// <remarks>The first bytes: a digest is already spread evenly.</remarks>
    public override int GetHashCode() => (int)_a;

    /// <summary>Orders digests as their texts are ordered.</summary>
    public int CompareTo(Sha256Digest other) =>
        _a != other._a ? _a.CompareTo(other._a)
        : _b != other._b ? _b.CompareTo(other._b)
        : _c != other._c ? _c.CompareTo(other._c)
        : _d.CompareTo(other._d);

    /// <inheritdoc cref="Equals(Sha256Digest)"/>
    public static bool operator ==(Sha256Digest left, Sha256Digest right) => left.Equals(right);

    /// <inheritdoc cref="Equals(Sha256Digest)"/>
    public static bool operator !=(Sha256Digest left, Sha256Digest right) => !left.Equals(right);

    /// <inheritdoc cref="CompareTo"/>
    public static bool operator <(Sha256Digest left, Sha256Digest right) => left.CompareTo(right) < 0;

    /// <inheritdoc cref="CompareTo"/>
    public static bool operator <=(Sha256Digest left, Sha256Digest right) => left.CompareTo(right) <= 0;

    /// <inheritdoc cref="CompareTo"/>
    public static bool operator >(Sha256Digest left, Sha256Digest right) => left.CompareTo(right) > 0;

    /// <inheritdoc cref="CompareTo"/>
    public static bool operator >=(Sha256Digest left, Sha256Digest right) => left.CompareTo(right) >= 0;
}
