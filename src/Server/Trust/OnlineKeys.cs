using System.Security.Cryptography;
using Coppice.Trust;

namespace Coppice.Server.Trust;

/// <summary>The keys with which a server signs snapshot, timestamp and rollouts: one for all three, or one for each.</summary>
/// <remarks>
/// Which key signs what is the root's and the targets' word, not the server's. When they ask for a key that is not in hand,
/// the folder is read again: so a new key is put there first, then the root that names it is published, with no restart.
/// </remarks>
public sealed class OnlineKeys : IDisposable
{
    readonly string? _folder;
    readonly Lock _reading = new();
    Dictionary<string, SigningKey> _keys;

    OnlineKeys(string? folder, IEnumerable<SigningKey> keys)
    {
        _folder = folder;
        _keys = keys.ToDictionary(key => key.KeyId, StringComparer.Ordinal);
    }

    /// <summary>Keys in hand; no others are looked for.</summary>
    public static OnlineKeys Of(params IEnumerable<SigningKey> keys) => new(null, keys);

    /// <summary>All private keys in a folder, <c>*.pem</c>, that are in the clear: a server starts without anybody there to give a password.</summary>
    /// <exception cref="InvalidDataException">A file there is no such key.</exception>
    public static OnlineKeys InFolder(string folder) => new(folder, Read(folder, []));

    /// <summary>How many there are.</summary>
    public int Count => _keys.Count;

    /// <summary>The keys in hand that may sign a role.</summary>
    /// <exception cref="UntrustedMetadataException">There are fewer than the role needs.</exception>
    internal SigningKey[] For(IDelegator delegator, string role)
    {
        var wanted = delegator.KeysOf(role) ?? throw new UntrustedMetadataException(
            role, Distrust.TooFewSignatures, "nobody may sign it", "the root and the targets say who signs for the server");
        lock (_reading)
        {
            var found = Among(wanted);
            if (found.Length < wanted.Threshold && _folder is not null)
            {
                foreach (var key in Read(_folder, _keys.Keys))
                    _keys.Add(key.KeyId, key);
                found = Among(wanted);
            }
            return found.Length >= wanted.Threshold ? found : throw new UntrustedMetadataException(
                role, Distrust.TooFewSignatures,
                $"{found.Length} of the {wanted.Threshold} online key(s) it needs are {(_folder is null ? "in hand" : $"in {_folder}")}",
                $"put the private key with the id {string.Join(" or ", wanted.KeyIds.Select(id => UntrustedMetadataException.Shown(id, 16)))} there");
        }
    }

    public void Dispose()
    {
        foreach (var key in _keys.Values)
            key.Dispose();
        _keys = [];
    }

    SigningKey[] Among(RoleKeys wanted) => [.. wanted.KeyIds.Where(_keys.ContainsKey).Select(id => _keys[id])];

    static List<SigningKey> Read(string folder, ICollection<string> known)
    {
        var keys = new List<SigningKey>();
        var ids = new HashSet<string>(known, StringComparer.Ordinal);
        if (!Directory.Exists(folder))
            return keys;
        foreach (var file in Directory.GetFiles(folder, "*.pem").Order(StringComparer.Ordinal))
        {
            var pem = File.ReadAllBytes(file);
            if (SigningKey.IsEncrypted(pem))
                continue; // somebody's, in a folder of all keys
            SigningKey key;
            try
            {
                key = SigningKey.Import(pem);
            }
            catch (CryptographicException problem)
            {
                throw new InvalidDataException($"{file} is no online key: {problem.Message} Make one with 'coppice key create FILE --no-password'.", problem);
            }
            if (ids.Add(key.KeyId))
                keys.Add(key);
            else
                key.Dispose();
        }
        return keys;
    }
}
