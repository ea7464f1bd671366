using System.Security.Cryptography;

namespace Coppice.Protocol.Signatures;

/// <summary>The digest of a message's body, as RFC 9530 has it in <c>Content-Digest</c>: <c>sha-256=:…:</c>.</summary>
public static class ContentDigest
{
    /// <summary>The header's name.</summary>
    public const string Header = "Content-Digest";

    const string Sha256 = "sha-256";

    /// <summary>The header's value for a body.</summary>
    public static string Of(ReadOnlySpan<byte> body) => Of(SHA256.HashData(body));

    /// <summary>The header's value for a body's SHA-256.</summary>
    public static string Of(byte[] sha256) => $"{Sha256}=:{Convert.ToBase64String(sha256)}:";

    /// <summary>Whether a header names the SHA-256 of a body, and which. Other algorithms beside it are passed over.</summary>
    public static bool TryRead(string? header, out byte[] sha256)
    {
        sha256 = [];
        if (!StructuredFields.TryReadBytes(header, out var members))
            return false;
        foreach (var (name, bytes) in members)
        {
            if (name == Sha256 && bytes.Length == SHA256.HashSizeInBytes)
                sha256 = bytes;
        }

        return sha256.Length > 0;
    }
}
