namespace Coppice.Trust;

/// <summary>Reads ECDSA signatures strictly: the platforms' own readers differ in which broken encodings they let through.</summary>
static class EcdsaSignature
{
    const int Field = 32;

    /// <summary>Reads the one DER encoding of a P-256 signature: a sequence of two positive integers, shortest form, nothing after it.</summary>
    /// <param name="der">The signature.</param>
    /// <param name="fixedForm">64 bytes, overwritten: r, then s, big-endian.</param>
    public static bool TryReadDer(ReadOnlySpan<byte> der, Span<byte> fixedForm)
    {
        // Two integers of at most 33 bytes fit a length of one byte.
        if (der.Length < 2 || der[0] != 0x30 || der[1] >= 0x80 || der[1] != der.Length - 2)
            return false;
        der = der[2..];
        return TryReadInteger(ref der, fixedForm[..Field]) && TryReadInteger(ref der, fixedForm[Field..]) && der.IsEmpty;
    }

    static bool TryReadInteger(ref ReadOnlySpan<byte> der, Span<byte> number)
    {
        if (der.Length < 3 || der[0] != 0x02 || der[1] is 0 or > Field + 1 || der.Length < 2 + der[1])
            return false;
        var bytes = der.Slice(2, der[1]);
        der = der[(2 + bytes.Length)..];
        if ((bytes[0] & 0x80) != 0)
            return false; // negative
        if (bytes[0] == 0)
        {
            if (bytes.Length > 1 && (bytes[1] & 0x80) == 0)
                return false; // a zero too many
            bytes = bytes[1..];
        }
        if (bytes.Length > Field)
            return false;
        number.Clear();
        bytes.CopyTo(number[(Field - bytes.Length)..]);
        return true;
    }
}
