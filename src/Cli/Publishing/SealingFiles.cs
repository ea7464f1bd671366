using System.Collections.Immutable;
using System.Security.Cryptography;
using Coppice.Registry;
using Coppice.Trust;
using Coppice.Trust.Sealing;

namespace Coppice.Cli.Publishing;

/// <summary>Keys of sealing in files: of models, of groups and servers, and public ones of whoever is granted something.</summary>
static class SealingFiles
{
    /// <summary>Where the key of a model is: <c>sealing/OWNER/NAME.key</c> beside the signing keys.</summary>
    /// <param name="keys">The folder of keys, or the release key's file in it.</param>
    /// <param name="model">The model.</param>
    public static string ModelKeyPath(string keys, ModelName model) =>
        Path.Combine(Directory.Exists(keys) || !File.Exists(keys) ? keys : Path.GetDirectoryName(Path.GetFullPath(keys))!, "sealing", model.Owner, model.Name + ".key");

    /// <summary>The key of a model; null when there is none.</summary>
    /// <exception cref="PublicationException">The file cannot be opened.</exception>
    public static ModelKey? FindModelKey(string keys, ModelName model)
    {
        var path = ModelKeyPath(keys, model);
        if (!File.Exists(path))
            return null;
        try
        {
            return ModelKey.Import(File.ReadAllText(path), Environment.GetEnvironmentVariable(KeyFiles.PasswordVariable));
        }
        catch (Exception e) when (e is CryptographicException or IOException or UnauthorizedAccessException)
        {
            throw new PublicationException($"{path}, the key of {model}, cannot be opened ({e.Message}) If it is locked, set {KeyFiles.PasswordVariable}.", e);
        }
    }

    /// <summary>Makes the key of a model, locked with the password of key files where there is one.</summary>
    public static ModelKey MakeModelKey(string keys, ModelName model)
    {
        var key = ModelKey.Create();
        WriteNew(ModelKeyPath(keys, model), System.Text.Encoding.ASCII.GetBytes(key.Export(Environment.GetEnvironmentVariable(KeyFiles.PasswordVariable))));
        return key;
    }

    /// <summary>Reads a private sealing key: a group's or a server's.</summary>
    /// <exception cref="PublicationException">It cannot be opened.</exception>
    public static SealingKey ReadKey(string path)
    {
        try
        {
            return SealingKey.Import(File.ReadAllBytes(path), Environment.GetEnvironmentVariable(KeyFiles.PasswordVariable));
        }
        catch (Exception e) when (e is CryptographicException or IOException or UnauthorizedAccessException)
        {
            throw new PublicationException($"{path} is not a sealing key that can be opened ({e.Message}) If it is encrypted, set {KeyFiles.PasswordVariable}.", e);
        }
    }

    /// <summary>Reads public keys from files: each holds any number, in PEM or as lines of base64.</summary>
    /// <exception cref="PublicationException">A file cannot be read, or holds something else.</exception>
    public static ImmutableArray<SealingPublicKey> ReadPublic(IEnumerable<string> paths)
    {
        var keys = new Dictionary<Sha256Digest, SealingPublicKey>();
        foreach (var path in paths)
        {
            string text;
            try
            {
                text = File.ReadAllText(path);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw new PublicationException($"{path} cannot be read: {e.Message}", e);
            }

            foreach (var part in Parts(text))
            {
                if (!SealingPublicKey.TryParse(part, out var key))
                    throw new PublicationException($"{path} holds '{part.AsSpan(0, Math.Min(part.Length, 40)).Trim()}…', which is no public sealing key; give P-256 keys in PEM (BEGIN PUBLIC KEY), or one a line in base64.");
                keys[key.Digest] = key;
            }
        }

        return [.. keys.Values];
    }

    /// <summary>Writes a secret that only its owner can read, where nothing was.</summary>
    /// <exception cref="PublicationException">There is a file already, or it cannot be written.</exception>
    public static void WriteNew(string path, byte[] secret)
    {
        try
        {
            Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
            var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, Share = FileShare.None };
            if (!OperatingSystem.IsWindows())
                options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
            using var file = new FileStream(path, options);
            file.Write(secret);
            file.Flush(flushToDisk: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new PublicationException($"{path} was not written: {e.Message}", e);
        }
    }

    static IEnumerable<string> Parts(string text)
    {
        const string end = "-----END PUBLIC KEY-----";
        if (!text.Contains(end, StringComparison.Ordinal))
            return text.Split('\n', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        return text.Split(end, StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries).Select(pem => pem + "\n" + end);
    }
}
