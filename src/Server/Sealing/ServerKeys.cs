using System.Collections.Immutable;
using System.Security.Cryptography;
using Coppice.Trust;

namespace Coppice.Server.Sealing;

/// <summary>The server's own sealing keys. Their files are never in the data folder, so that a copy of that opens no content key.</summary>
sealed class ServerKeys : IDisposable
{
    readonly ImmutableArray<SealingKey> keys;

    ServerKeys(ImmutableArray<SealingKey> keys) => this.keys = keys;

    /// <summary>To which new keys are sealed; null for a server that keeps none.</summary>
    public SealingKey? Current => keys.FirstOrDefault();

    /// <summary>The key with a digest; null when this server does not have it.</summary>
    public SealingKey? Find(Sha256Digest digest) => keys.FirstOrDefault(key => key.Public.Digest == digest);

    /// <summary>Reads key files.</summary>
    /// <param name="files">PEM, PKCS#8: the present one first, then older ones that still open what is kept.</param>
    /// <param name="password">Of encrypted ones.</param>
    /// <param name="data">The data folder.</param>
    /// <exception cref="InvalidDataException">A file is no key, cannot be opened, or lies in the data folder.</exception>
    public static ServerKeys Open(IEnumerable<string> files, string? password, string data)
    {
        var keys = ImmutableArray.CreateBuilder<SealingKey>();
        var inside = Path.GetFullPath(data).TrimEnd(Path.DirectorySeparatorChar) + Path.DirectorySeparatorChar;
        foreach (var file in files)
        {
            if (Path.GetFullPath(file).StartsWith(inside, StringComparison.Ordinal))
                throw new InvalidDataException($"The sealing key {file} lies in the data folder, whose copies would then open every content key; move it out of {data}.");
            try
            {
                keys.Add(SealingKey.Import(File.ReadAllBytes(file), password));
            }
            catch (Exception e) when (e is CryptographicException or IOException or UnauthorizedAccessException)
            {
                throw new InvalidDataException($"The sealing key {file} cannot be opened ({e.Message}) Make one with 'coppice seal key -o FILE'; if it is encrypted, set COPPICE_KEY_PASSWORD.", e);
            }
        }

        return new(keys.ToImmutable());
    }

    public void Dispose()
    {
        foreach (var key in keys)
            key.Dispose();
    }
}
