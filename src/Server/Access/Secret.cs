using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;

namespace Coppice.Server.Access;

/// <summary>Random secrets, and the hashes under which they are kept.</summary>
/// <remarks>32 random bytes need no slow hash and no salt: there is nothing to guess.</remarks>
static class Secret
{
    /// <summary>43 characters of base64url.</summary>
    public static string Create() => Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(32));

    public static string Hash(string secret) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(secret)));

    /// <summary>Whether a secret has a hash; takes the same time wherever they differ.</summary>
    public static bool Matches(string secret, string hash) =>
        CryptographicOperations.FixedTimeEquals(Encoding.ASCII.GetBytes(Hash(secret)), Encoding.ASCII.GetBytes(hash));
}
