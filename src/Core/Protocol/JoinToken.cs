using System.Diagnostics.CodeAnalysis;
using Coppice.Trust;

namespace Coppice.Protocol;

/// <summary>What an operator hands to a device so that it may join: <c>cpj_SECRET_ROOT</c>, or <c>cpj_SECRET_ROOT_AUTHORITY</c>.</summary>
/// <param name="Secret">43 characters of base64url: 32 random bytes. Sent as <see cref="EnrolRequest.Token"/>.</param>
/// <param name="Root">SHA-256 of the repository's first root metadata, <c>1.root.json</c>: the device trusts no other repository.</param>
/// <param name="Authority">SHA-256 of the public key of the authority that vouches for the server's TLS; null where public ones do.</param>
public sealed record JoinToken(string Secret, Sha256Digest Root, Sha256Digest? Authority = null)
{
    /// <summary>Characters of the secret.</summary>
    public const int SecretLength = 43;

    const string Prefix = "cpj_";
    const int ShortLength = 4 + SecretLength + 1 + Sha256Digest.HexLength;
    const int LongLength = ShortLength + 1 + Sha256Digest.HexLength;

    /// <summary>Reads a token.</summary>
    public static bool TryParse([NotNullWhen(true)] string? text, [NotNullWhen(true)] out JoinToken? token)
    {
        token = null;
        // By position: the secret itself may hold underscores.
        if (text is null || text.Length is not (ShortLength or LongLength)
            || !text.StartsWith(Prefix, StringComparison.Ordinal) || text[Prefix.Length + SecretLength] != '_'
            || !Sha256Digest.TryParse(text.AsSpan(Prefix.Length + SecretLength + 1, Sha256Digest.HexLength), out var root))
            return false;
        Sha256Digest? authority = null;
        if (text.Length == LongLength)
        {
            if (text[ShortLength] != '_' || !Sha256Digest.TryParse(text.AsSpan(ShortLength + 1), out var pin))
                return false;
            authority = pin;
        }

        var secret = text.Substring(Prefix.Length, SecretLength);
        if (!secret.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_'))
            return false;
        token = new(secret, root, authority);
        return true;
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Prefix}{Secret}_{Root}{(Authority is { } pin ? $"_{pin}" : "")}";
}
