using System.Diagnostics.CodeAnalysis;
using Coppice.Trust;

namespace Coppice.Agent.Link;

/// <summary>What an operator gives a device to join with: a secret for the server, and the digest of the root that the device is to trust.</summary>
/// <param name="Secret">Proves to the server that the device may enrol.</param>
/// <param name="Root">SHA-256 of a version of the repository's root metadata.</param>
public sealed record JoinToken(string Secret, Sha256Digest Root)
{
    const string Prefix = "cpj_";

    /// <summary>Reads <c>cpj_SECRET_ROOT</c>.</summary>
    public static bool TryParse([NotNullWhen(true)] string? text, [NotNullWhen(true)] out JoinToken? token)
    {
        token = null;
        if (text is null || !text.StartsWith(Prefix, StringComparison.Ordinal) || text.LastIndexOf('_') is var at && at <= Prefix.Length)
            return false;
        if (Sha256Digest.TryParse(text.AsSpan(at + 1), out var root))
            token = new(text[Prefix.Length..at], root);
        return token is not null;
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Prefix}…_{Root}"; // the secret is not for logs
}
