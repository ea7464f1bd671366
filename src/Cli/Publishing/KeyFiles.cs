using System.Collections.Immutable;
using System.Security.Cryptography;
using Coppice.Server.Trust;
using Coppice.Trust;

namespace Coppice.Cli.Publishing;

/// <summary>Keys where people keep them: PEM files, folders of them, and tokens by their <c>pkcs11:</c> address.</summary>
static class KeyFiles
{
    /// <summary>Names the password that protects key files; never an option, which other users of the machine would see.</summary>
    public const string PasswordVariable = KeyPassword.Variable;

    /// <summary>How a public key's file ends.</summary>
    public const string PublicEnding = ".pub";

    /// <summary>Opens a private key.</summary>
    /// <param name="key">A PEM file, or the address of a key in a token.</param>
    /// <param name="password">What <c>--password</c> says.</param>
    /// <exception cref="PublicationException">It is not there, or cannot be opened.</exception>
    public static SigningKey Open(string key, string? password = null)
    {
        if (TokenAddress.IsOne(key))
            return TokenKey.Open(TokenAddress.Parse(key));
        try
        {
            var pem = File.ReadAllBytes(key);
            return SigningKey.Import(pem, SigningKey.IsEncrypted(pem) ? KeyPassword.Existing(password, key) : null);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new PublicationException($"The key {key} cannot be read ({e.Message})", e);
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException or FormatException)
        {
            throw new PublicationException($"{key} is not a private key that can be opened ({e.Message}) If it is encrypted, give its password: --password @FILE or {PasswordVariable}.", e);
        }
    }

    /// <summary>Reads a public key: a .pub file, a private key that is not encrypted, or a key in a token.</summary>
    /// <exception cref="PublicationException">It cannot be read.</exception>
    public static PublicKey Public(string key)
    {
        if (TokenAddress.IsOne(key))
        {
            using var token = TokenKey.Open(TokenAddress.Parse(key));
            return token.Public;
        }

        try
        {
            var text = File.ReadAllText(key);
            var name = PublicKeyText.NameIn(text) ?? PublicKeyText.Shown(Path.GetFileNameWithoutExtension(key));
            var found = PublicKeyText.Read(text);
            return new(found.KeyType, found.Scheme, found.Value) { Name = name };
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or CryptographicException)
        {
            throw new PublicationException($"{key}: {e.Message}", e);
        }
    }

    /// <summary>Signs a statement, and lets go of the keys.</summary>
    public static DsseEnvelope? Attest(ImmutableArray<SigningKey> keys, string payloadType, ReadOnlyMemory<byte> payload)
    {
        try
        {
            return DsseEnvelope.Sign(payloadType, payload, keys.AsSpan());
        }
        finally
        {
            foreach (var key in keys)
                key.Dispose();
        }
    }

    /// <summary>The keys at hand that may sign for a role: as many as it needs, or all there are.</summary>
    /// <param name="keys">A folder of keys, a key's file, or a token's address.</param>
    /// <param name="role">The role, for messages.</param>
    /// <param name="wanted">Its keys.</param>
    /// <exception cref="PublicationException">There is none.</exception>
    public static ImmutableArray<SigningKey> OfRole(string keys, string role, IDelegator wanted)
    {
        var ids = wanted.KeysOf(role)!;
        if (!Directory.Exists(keys))
        {
            var key = Open(keys);
            if (ids.KeyIds.Contains(key.KeyId))
                return [key];
            key.Dispose();
            throw Stranger(keys, role, wanted);
        }

        var found = ImmutableArray.CreateBuilder<SigningKey>();
        foreach (var file in Directory.GetFiles(keys, "*.pem").Order(StringComparer.Ordinal))
        {
            // The heading says whose key it is; only a key that may count is opened.
            if (found.Count < ids.Threshold && (PublicKeyText.IdIn(File.ReadAllText(file)) is not { } id || ids.KeyIds.Contains(id)))
            {
                var key = Open(file);
                if (ids.KeyIds.Contains(key.KeyId))
                    found.Add(key);
                else
                    key.Dispose();
            }
        }

        return found.Count > 0 ? found.ToImmutable() : throw Stranger(keys, role, wanted);
    }

    /// <summary>The online keys: those of a folder that are not encrypted, or the one in a file.</summary>
    public static OnlineKeys Online(string keys)
    {
        try
        {
            return File.Exists(keys) ? OnlineKeys.Of(Open(keys)) : OnlineKeys.InFolder(keys);
        }
        catch (Exception e) when (e is InvalidDataException or IOException or UnauthorizedAccessException)
        {
            throw new PublicationException($"The online keys in {keys} cannot be read: {e.Message}", e);
        }
    }

    static PublicationException Stranger(string keys, string role, IDelegator wanted) => new(
        $"{keys} holds no key that may sign '{role}', which is signed by {wanted.KeysOf(role)!.Threshold} of {string.Join(", ", NamedKey.Of(wanted, role))}. Give the folder or file of such a key with --keys or COPPICE_KEYS, or have others sign: --request FILE.");
}
