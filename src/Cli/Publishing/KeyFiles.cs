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
