using Coppice.Trust;

namespace Coppice.Registry;

/// <summary>Bytes by their digest and how many they are: what a reader asks for, and what it compares.</summary>
/// <param name="Digest">SHA-256.</param>
/// <param name="Length">Bytes.</param>
public sealed record BlobName(Sha256Digest Digest, long Length)
{
    /// <summary>The first 12 digits of the digest.</summary>
    public override string ToString() => Digest.ToString()[..12];
}
