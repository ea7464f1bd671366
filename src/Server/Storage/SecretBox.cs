using System.Security.Cryptography;

namespace Coppice.Server.Storage;

/// <summary>Seals secrets that the server must have as they are: AES-256-GCM under <c>keys/outbox.key</c>, so that a copy of the database alone holds none.</summary>
sealed class SecretBox : IDisposable
{
    const int NonceBytes = 12;
    const int TagBytes = 16;

    readonly AesGcm key;

    SecretBox(byte[] key) => this.key = new(key, TagBytes);

    /// <param name="key">32 bytes.</param>
    public static SecretBox Of(byte[] key) => new(key);

    public static SecretBox Open(DataFolder data)
    {
        var file = Path.Combine(data.Keys, "outbox.key");
        if (!File.Exists(file))
            DataFolder.WritePrivate(file, Convert.ToBase64String(RandomNumberGenerator.GetBytes(32)) + "\n");
        return new(Convert.FromBase64String(File.ReadAllText(file).Trim()));
    }

    public byte[] Seal(ReadOnlySpan<byte> secret)
    {
        var whole = new byte[NonceBytes + secret.Length + TagBytes];
        RandomNumberGenerator.Fill(whole.AsSpan(0, NonceBytes));
        lock (key)
            key.Encrypt(whole.AsSpan(0, NonceBytes), secret, whole.AsSpan(NonceBytes, secret.Length), whole.AsSpan(NonceBytes + secret.Length));
        return whole;
    }

    /// <exception cref="CryptographicException">It was sealed with another key, or changed.</exception>
    public byte[] Open(ReadOnlySpan<byte> whole)
    {
        var secret = new byte[whole.Length - NonceBytes - TagBytes];
        lock (key)
            key.Decrypt(whole[..NonceBytes], whole.Slice(NonceBytes, secret.Length), whole[(NonceBytes + secret.Length)..], secret);
        return secret;
    }

    public void Dispose() => key.Dispose();
}
