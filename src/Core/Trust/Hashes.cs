using System.Security.Cryptography;
using System.Text.Json;

namespace Coppice.Trust;

/// <summary>Digests of a file as metadata gives them: SHA-256, SHA-512 or both. Other algorithms are not looked at.</summary>
public sealed class Hashes
{
    readonly byte[]? _sha512;

    internal Hashes(MetadataReader reader, JsonElement json)
    {
        foreach (var member in json.EnumerateObject())
        {
            var algorithm = reader.Name(member);
            var hex = reader.Text(member.Value);
            if (algorithm == "sha256")
                Sha256 = Sha256Digest.TryParse(hex, out var digest)
                    ? digest
                    : throw reader.Malformed($"sha256 is '{UntrustedMetadataException.Shown(hex)}'", "give 64 hexadecimal digits");
            else if (algorithm == "sha512")
                _sha512 = ReadSha512(hex)
                    ?? throw reader.Malformed($"sha512 is '{UntrustedMetadataException.Shown(hex)}'", "give 128 hexadecimal digits");
            Count++;
        }
        if (Count == 0)
            throw reader.Malformed("'hashes' is empty", "give sha256");
    }

    internal Hashes(Sha256Digest sha256)
    {
        Sha256 = sha256;
        Count = 1;
    }

    /// <summary>The SHA-256, if it is given.</summary>
    public Sha256Digest? Sha256 { get; }

    /// <summary>The SHA-512 as lower-case hexadecimal, if it is given.</summary>
    public string? Sha512 => _sha512 is null ? null : Convert.ToHexStringLower(_sha512);

    /// <summary>Algorithms given, known here or not.</summary>
    public int Count { get; }

    /// <summary>The digest that stands before a file's name under consistent snapshots; null when none is known here.</summary>
    public string? Prefix => Sha256?.ToString() ?? Sha512;

    /// <summary>Whether the bytes have every digest known here, and at least one is.</summary>
    public bool Match(ReadOnlySpan<byte> bytes)
    {
        if (Sha256 is null && _sha512 is null)
            return false;
        if (Sha256 is { } sha256 && sha256 != Sha256Digest.Of(bytes))
            return false;
        return _sha512 is null || SHA512.HashData(bytes).AsSpan().SequenceEqual(_sha512);
    }

    static byte[]? ReadSha512(string hex)
    {
        if (hex.Length != 128)
            return null;
        var bytes = new byte[64];
        return Convert.FromHexString(hex, bytes, out _, out _) == System.Buffers.OperationStatus.Done ? bytes : null;
    }
}
