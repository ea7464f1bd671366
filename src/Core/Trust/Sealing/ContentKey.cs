using System.Security.Cryptography;

namespace Coppice.Trust.Sealing;

/// <summary>The secret by which one file, or one patch, is sealed and opened. Written down in docs/formats/sealing.md.</summary>
public sealed class ContentKey : IDisposable
{
    /// <summary>Bytes of a key.</summary>
    public const int ByteCount = 32;

    readonly byte[] _secret;

    /// <param name="secret">32 bytes, copied.</param>
    public ContentKey(ReadOnlySpan<byte> secret)
    {
        if (secret.Length != ByteCount)
            throw new ArgumentException($"A content key has {ByteCount} bytes, not {secret.Length}.", nameof(secret));
        _secret = secret.ToArray();
        Span<byte> named = stackalloc byte[IdLabel.Length + ByteCount];
        IdLabel.CopyTo(named);
        secret.CopyTo(named[IdLabel.Length..]);
        Id = Sha256Digest.Of(named);
        CryptographicOperations.ZeroMemory(named);
    }

    static ReadOnlySpan<byte> IdLabel => "coppice/sealing/1 id\0"u8;

    static ReadOnlySpan<byte> FileLabel => "coppice/sealing/1 file\0"u8;

    static ReadOnlySpan<byte> PatchLabel => "coppice/sealing/1 patch\0"u8;

    /// <summary>The key's name, which tells nothing of the key: a manifest says it, so that a wrong key is noticed before it is used.</summary>
    public Sha256Digest Id { get; }

    /// <summary>The secret itself.</summary>
    internal ReadOnlySpan<byte> Secret => _secret;

    /// <summary>The key of a patch: only who may read the new file, and every old one that is sealed, can make it.</summary>
    /// <param name="from">Digests of the old files' plaintexts, in their order, with the key of each that is sealed; none for a patch that makes the file alone.</param>
    /// <param name="to">Digest of the new file's plaintext; this is its key.</param>
    public ContentKey OfPatch(ReadOnlySpan<(Sha256Digest Digest, ContentKey? Key)> from, Sha256Digest to)
    {
        var secrets = new byte[Math.Max(1, from.Length) * ByteCount]; // zeros for what is not sealed
        var info = new byte[PatchLabel.Length + ((from.Length + 1) * Sha256Digest.ByteCount)];
        PatchLabel.CopyTo(info);
        var digests = info.AsSpan(PatchLabel.Length);
        for (var i = 0; i < from.Length; i++)
        {
            from[i].Key?._secret.CopyTo(secrets.AsSpan(i * ByteCount));
            from[i].Digest.CopyTo(digests);
            digests = digests[Sha256Digest.ByteCount..];
        }

        to.CopyTo(digests);
        Span<byte> together = stackalloc byte[ByteCount];
        Span<byte> secret = stackalloc byte[ByteCount];
        HKDF.Extract(HashAlgorithmName.SHA256, _secret, secrets, together);
        HKDF.Expand(HashAlgorithmName.SHA256, together, secret, info);
        var key = new ContentKey(secret);
        CryptographicOperations.ZeroMemory(secrets);
        CryptographicOperations.ZeroMemory(together);
        CryptographicOperations.ZeroMemory(secret);
        return key;
    }

    /// <summary>The cipher of a file with this very header.</summary>
    internal AesGcm Cipher(ReadOnlySpan<byte> header)
    {
        Span<byte> info = stackalloc byte[FileLabel.Length + SealHeader.ByteCount];
        FileLabel.CopyTo(info);
        header.CopyTo(info[FileLabel.Length..]);
        Span<byte> key = stackalloc byte[ByteCount];
        HKDF.Expand(HashAlgorithmName.SHA256, _secret, key, info);
        var gcm = new AesGcm(key, SealHeader.TagBytes);
        CryptographicOperations.ZeroMemory(key);
        return gcm;
    }

    /// <summary>Forgets the secret.</summary>
    public void Dispose() => CryptographicOperations.ZeroMemory(_secret);
}
