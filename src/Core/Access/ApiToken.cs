using System.Buffers;
using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using System.Text;

namespace Coppice.Access;

/// <summary>An operator's token as text: <c>cpa_</c>, 10 characters that name it, 43 that are its secret, 6 that check the rest; all of 0-9, A-Z, a-z.</summary>
/// <param name="Id">Names the token in lists and in the audit log; not secret.</param>
/// <param name="Secret">256 random bits. The server keeps its SHA-256.</param>
/// <remarks>
/// The prefix and the form let a scanner find a token in a place where it does not belong: <c>\bcpa_[0-9A-Za-z]{59}\b</c>.
/// The check, the first four bytes of the SHA-256 of what stands before it, tells a mistyped token from an unknown one without asking anybody.
/// </remarks>
public sealed record ApiToken(string Id, string Secret)
{
    /// <summary>What every token begins with.</summary>
    public const string Prefix = "cpa_";

    /// <summary>Random bytes that <see cref="Create"/> takes.</summary>
    public const int RandomBytes = 7 + 32;

    /// <summary>Characters of an id.</summary>
    public const int IdLength = 10;

    /// <summary>Characters of a whole token.</summary>
    public const int Length = 4 + IdLength + SecretLength + CheckLength;

    const int SecretLength = 43; // 62^43 > 2^256
    const int CheckLength = 6; // 62^6 > 2^32
    const string Digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    static readonly SearchValues<char> AllDigits = SearchValues.Create(Digits);

    /// <summary>Makes a token.</summary>
    /// <param name="random"><see cref="RandomBytes"/> bytes from a source that nobody can guess.</param>
    public static ApiToken Create(ReadOnlySpan<byte> random) => random.Length == RandomBytes
        ? new(Base62(random[..7], IdLength), Base62(random[7..], SecretLength))
        : throw new ArgumentException($"{random.Length} bytes do not make a token; give {RandomBytes}.", nameof(random));

    /// <summary>Reads a token; false for whatever is not one whole, unchanged token.</summary>
    public static bool TryParse([NotNullWhen(true)] string? text, [NotNullWhen(true)] out ApiToken? token)
    {
        token = null;
        if (text is not { Length: Length } || !text.StartsWith(Prefix, StringComparison.Ordinal) || text.AsSpan(Prefix.Length).ContainsAnyExcept(AllDigits))
            return false;
        if (!text.AsSpan(Length - CheckLength).SequenceEqual(Check(text.AsSpan(0, Length - CheckLength))))
            return false;
        token = new(text.Substring(Prefix.Length, IdLength), text.Substring(Prefix.Length + IdLength, SecretLength));
        return true;
    }

    /// <summary>The token's text: a secret.</summary>
    public override string ToString()
    {
        var body = Prefix + Id + Secret;
        return body + Check(body);
    }

    static string Check(ReadOnlySpan<char> body)
    {
        Span<byte> bytes = stackalloc byte[Length];
        var length = Encoding.ASCII.GetBytes(body, bytes);
        return Base62(SHA256.HashData(bytes[..length]).AsSpan(0, 4), CheckLength);
    }

    static string Base62(ReadOnlySpan<byte> bigEndian, int digits)
    {
        Span<char> text = stackalloc char[digits];
        var value = bigEndian.ToArray();
        for (var i = digits - 1; i >= 0; i--)
        {
            var rest = 0;
            for (var at = 0; at < value.Length; at++)
            {
                rest = (rest << 8) | value[at];
                (value[at], rest) = ((byte)(rest / 62), rest % 62);
            }

            text[i] = Digits[rest];
        }

        return text.ToString();
    }
}
