using System.Security.Cryptography;
using Coppice.Server.Trust;
using Coppice.Trust;

namespace Coppice.Cli.Publishing;

/// <summary>Private keys in a folder, named as <see cref="RepositoryKeys.Save"/> names them; a password comes from COPPICE_KEY_PASSWORD.</summary>
static class KeyFiles
{
    /// <summary>Names the password that protects key files; never an option, which other users of the machine would see.</summary>
    public const string PasswordVariable = "COPPICE_KEY_PASSWORD";

    /// <summary>The first release key of the folder, or the key file itself.</summary>
    public static SigningKey Release(string keys) => Load(File.Exists(keys) ? keys : Path.Combine(keys, "releases-1.pem"), "sign a release");

    /// <summary>The key of the online roles.</summary>
    public static SigningKey Online(string keys) => Load(Path.Combine(keys, "online.pem"), "sign the snapshot and the timestamp of a repository folder");

    /// <summary>A public key in PEM, of somebody who attests.</summary>
    public static PublicKey Public(string path)
    {
        try
        {
            var text = File.ReadAllText(path);
            var key = new PublicKey("ecdsa", "ecdsa-sha2-nistp256", text);
            key = key.IsUsable ? key : new PublicKey("rsa", "rsassa-pss-sha256", text);
            return key.IsUsable ? key : throw new PublicationException($"{path} is not a public key that is understood here; give PEM (BEGIN PUBLIC KEY) of ECDSA P-256, or of RSA with 2,048 bits or more.");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new PublicationException($"{path} cannot be read: {e.Message}", e);
        }
    }

    static SigningKey Load(string path, string purpose)
    {
        try
        {
            return SigningKey.Import(File.ReadAllBytes(path), Environment.GetEnvironmentVariable(PasswordVariable));
        }
        catch (IOException e)
        {
            throw new PublicationException($"{path} is needed to {purpose}, but cannot be read ({e.Message}) Give the folder of keys with --keys or COPPICE_KEYS.", e);
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException or FormatException)
        {
            throw new PublicationException($"{path} is not a private key that can be opened ({e.Message}) If it is encrypted, set {PasswordVariable}.", e);
        }
    }
}
