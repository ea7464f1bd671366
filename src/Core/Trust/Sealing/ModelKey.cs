using System.Buffers.Text;
using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using System.Text;

namespace Coppice.Trust.Sealing;

/// <summary>The publisher's secret of one model, from which the content key of every file is derived: equal files of the model have equal keys.</summary>
public sealed class ModelKey : IDisposable
{
    const int SaltBytes = 16;
    const int NonceBytes = 12;
    const string Plain = "coppice-model-key-1:";
    const string Locked = "coppice-model-key-1-locked:";

    readonly byte[] _secret;

    ModelKey(byte[] secret) => _secret = secret;

    static ReadOnlySpan<byte> ContentLabel => "coppice/sealing/1 content\0"u8;

    /// <summary>Makes a new key from the system's randomness.</summary>
    public static ModelKey Create() => new(RandomNumberGenerator.GetBytes(ContentKey.ByteCount));

    /// <summary>A key from its 32 bytes.</summary>
    public static ModelKey Of(ReadOnlySpan<byte> secret) => secret.Length == ContentKey.ByteCount
        ? new(secret.ToArray())
        : throw new ArgumentException($"A model's key has {ContentKey.ByteCount} bytes, not {secret.Length}.", nameof(secret));

    /// <summary>The key of a file.</summary>
    /// <param name="file">SHA-256 of its plaintext.</param>
    public ContentKey Content(Sha256Digest file)
    {
        Span<byte> info = stackalloc byte[ContentLabel.Length + Sha256Digest.ByteCount];
        ContentLabel.CopyTo(info);
        file.CopyTo(info[ContentLabel.Length..]);
        Span<byte> secret = stackalloc byte[ContentKey.ByteCount];
        HKDF.Expand(HashAlgorithmName.SHA256, _secret, secret, info);
        var key = new ContentKey(secret);
        CryptographicOperations.ZeroMemory(secret);
        return key;
    }

    /// <summary>Reads the text of a key file.</summary>
    /// <param name="text">As <see cref="Export"/> wrote it.</param>
    /// <param name="password">The password when it is locked.</param>
    /// <exception cref="CryptographicException">It is no such text, or the password is wrong.</exception>
    public static ModelKey Import(string text, string? password)
    {
        text = text.Trim();
        if (text.StartsWith(Plain, StringComparison.Ordinal) && TryDecode(text[Plain.Length..], ContentKey.ByteCount, out var secret))
            return new(secret);
        if (!text.StartsWith(Locked, StringComparison.Ordinal) || !TryDecode(text[Locked.Length..], SaltBytes + NonceBytes + ContentKey.ByteCount + SealHeader.TagBytes, out var locked))
            throw new CryptographicException("The file holds no key of a model; it begins with 'coppice-model-key-1'.");
        if (string.IsNullOrEmpty(password))
            throw new CryptographicException("The key is locked with a password.");
        using var gcm = Lock(password, locked.AsSpan(0, SaltBytes));
        secret = new byte[ContentKey.ByteCount];
        try
        {
            gcm.Decrypt(locked.AsSpan(SaltBytes, NonceBytes), locked.AsSpan(SaltBytes + NonceBytes, ContentKey.ByteCount), locked.AsSpan(^SealHeader.TagBytes..), secret, Encoding.ASCII.GetBytes(Locked));
        }
        catch (AuthenticationTagMismatchException e)
        {
            throw new CryptographicException("The password is wrong, or the file was changed.", e);
        }

        return new(secret);
    }

    /// <summary>One line of text: locked with AES-256-GCM under the password, or in the clear without one.</summary>
    public string Export(string? password)
    {
        if (string.IsNullOrEmpty(password))
            return Plain + Base64Url.EncodeToString(_secret) + "\n";
        var locked = new byte[SaltBytes + NonceBytes + ContentKey.ByteCount + SealHeader.TagBytes];
        RandomNumberGenerator.Fill(locked.AsSpan(0, SaltBytes + NonceBytes));
        using var gcm = Lock(password, locked.AsSpan(0, SaltBytes));
        gcm.Encrypt(
            locked.AsSpan(SaltBytes, NonceBytes), _secret, locked.AsSpan(SaltBytes + NonceBytes, ContentKey.ByteCount), locked.AsSpan(^SealHeader.TagBytes..), Encoding.ASCII.GetBytes(Locked));
        return Locked + Base64Url.EncodeToString(locked) + "\n";
    }

    /// <summary>Forgets the secret.</summary>
    public void Dispose() => CryptographicOperations.ZeroMemory(_secret);

    static AesGcm Lock(string password, ReadOnlySpan<byte> salt)
    {
        var key = Rfc2898DeriveBytes.Pbkdf2(password, salt, SealingKey.PasswordIterations, HashAlgorithmName.SHA256, ContentKey.ByteCount);
        var gcm = new AesGcm(key, SealHeader.TagBytes);
        CryptographicOperations.ZeroMemory(key);
        return gcm;
    }

    static bool TryDecode(string text, int length, [NotNullWhen(true)] out byte[]? bytes)
    {
        bytes = new byte[length];
        if (text.Length == Base64Url.GetEncodedLength(length) && Base64Url.TryDecodeFromChars(text, bytes, out var written) && written == length)
            return true;
        bytes = null;
        return false;
    }
}
