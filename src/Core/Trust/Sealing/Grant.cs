using System.Security.Cryptography;

namespace Coppice.Trust.Sealing;

/// <summary>What a grant gives.</summary>
public enum GrantKind : byte
{
    /// <summary>The key of a file.</summary>
    Content = 1,

    /// <summary>The private key of a group: whoever has it opens what is granted to the group.</summary>
    Group = 2,
}

/// <summary>A key, sealed to one public key by HPKE. Written down in docs/formats/sealing.md.</summary>
public sealed class Grant
{
    /// <summary>Bytes of a grant.</summary>
    public const int ByteCount = 1 + Sha256Digest.ByteCount + Hpke.EncapsulatedBytes + SecretBytes + Hpke.TagBytes;

    const int SecretBytes = 32; // of both kinds
    const int KeyAt = 1;
    const int EncapsulatedAt = KeyAt + Sha256Digest.ByteCount;
    const int CipherAt = EncapsulatedAt + Hpke.EncapsulatedBytes;

    readonly byte[] _bytes;

    Grant(byte[] bytes)
    {
        _bytes = bytes;
        Key = new(bytes.AsSpan(KeyAt, Sha256Digest.ByteCount));
    }

    static ReadOnlySpan<byte> Info => "coppice/sealing/1 grant"u8;

    /// <summary>What it gives.</summary>
    public GrantKind Kind => (GrantKind)_bytes[0];

    /// <summary>Name of the key that it gives: <see cref="ContentKey.Id"/>, or the digest of a group's public key.</summary>
    public Sha256Digest Key { get; }

    /// <summary>The grant as it is written.</summary>
    public ReadOnlySpan<byte> Bytes => _bytes;

    /// <summary>Grants a file's key.</summary>
    public static Grant Of(ContentKey key, SealingPublicKey to)
    {
        using var ephemeral = SealingKey.Create();
        return Make(GrantKind.Content, key.Id, key.Secret, to, ephemeral);
    }

    /// <summary>Makes somebody a member of a group.</summary>
    public static Grant Of(SealingKey group, SealingPublicKey to)
    {
        Span<byte> scalar = stackalloc byte[SecretBytes];
        group.ExportScalar(scalar);
        using var ephemeral = SealingKey.Create();
        var grant = Make(GrantKind.Group, group.Public.Digest, scalar, to, ephemeral);
        CryptographicOperations.ZeroMemory(scalar);
        return grant;
    }

    /// <summary>A grant from its bytes.</summary>
    /// <exception cref="BrokenSealException">They are none.</exception>
    public static Grant Read(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length != ByteCount)
            throw new BrokenSealException($"A grant has {ByteCount} bytes, not {bytes.Length}.");
        if ((GrantKind)bytes[0] is not (GrantKind.Content or GrantKind.Group))
            throw new BrokenSealException($"A grant of kind {bytes[0]} is not known here; update coppice.");
        return new(bytes.ToArray());
    }

    /// <summary>Opens a grant of a file's key.</summary>
    /// <param name="mine">The private key that it was sealed to.</param>
    /// <exception cref="BrokenSealException">It was sealed to another key, was changed, or gives another key than it says.</exception>
    public ContentKey OpenContent(SealingKey mine)
    {
        Span<byte> secret = stackalloc byte[SecretBytes];
        Open(GrantKind.Content, mine, secret);
        var key = new ContentKey(secret);
        CryptographicOperations.ZeroMemory(secret);
        return key.Id == Key ? key : throw new BrokenSealException($"A grant says that it gives the key {Key.ToString()[..16]}…, and gives another.");
    }

    /// <summary>Opens a grant of a group's key.</summary>
    /// <param name="mine">The private key that it was sealed to.</param>
    /// <exception cref="BrokenSealException">It was sealed to another key, was changed, or gives another key than it says.</exception>
    public SealingKey OpenGroup(SealingKey mine)
    {
        Span<byte> scalar = stackalloc byte[SecretBytes];
        Open(GrantKind.Group, mine, scalar);
        try
        {
            var group = SealingKey.OfScalar(scalar);
            return group.Public.Digest == Key ? group : throw new BrokenSealException($"A grant says that it gives the group {Key.ToString()[..16]}…, and gives another.");
        }
        catch (CryptographicException e)
        {
            throw new BrokenSealException("A grant gives a group's key that is none.", e);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(scalar);
        }
    }

    static Grant Make(GrantKind kind, Sha256Digest key, ReadOnlySpan<byte> secret, SealingPublicKey to, SealingKey ephemeral)
    {
        var bytes = new byte[ByteCount];
        bytes[0] = (byte)kind;
        key.CopyTo(bytes.AsSpan(KeyAt));
        Span<byte> aad = stackalloc byte[EncapsulatedAt + Sha256Digest.ByteCount];
        Bind(bytes, to, aad);
        Hpke.Seal(to, ephemeral, Info, aad, secret, bytes.AsSpan(EncapsulatedAt, Hpke.EncapsulatedBytes), bytes.AsSpan(CipherAt));
        return new(bytes);
    }

    void Open(GrantKind kind, SealingKey mine, Span<byte> secret)
    {
        if (Kind != kind)
            throw new BrokenSealException($"A grant of kind {Kind} is used as one of kind {kind}.");
        Span<byte> aad = stackalloc byte[EncapsulatedAt + Sha256Digest.ByteCount];
        Bind(_bytes, mine.Public, aad);
        if (!Hpke.TryOpen(mine, _bytes.AsSpan(EncapsulatedAt, Hpke.EncapsulatedBytes), Info, aad, _bytes.AsSpan(CipherAt), secret))
            throw new BrokenSealException($"The grant of {Key.ToString()[..16]}… was changed, or is for another key than {mine.Public.Digest.ToString()[..16]}….");
    }

    /// <summary>Kind, name of what is given, name of who may open it.</summary>
    static void Bind(ReadOnlySpan<byte> grant, SealingPublicKey to, Span<byte> aad)
    {
        grant[..EncapsulatedAt].CopyTo(aad);
        to.Digest.CopyTo(aad[EncapsulatedAt..]);
    }
}
