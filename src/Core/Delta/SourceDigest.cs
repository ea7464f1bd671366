using System.Security.Cryptography;
using Coppice.Formats;

namespace Coppice.Delta;

/// <summary>Digests of sources, through a small buffer.</summary>
static class SourceDigest
{
    const int BufferBytes = 1 << 17;

    public static byte[] Of(IByteSource source)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Append(hash, source, source.Length);
        return hash.GetHashAndReset();
    }

    /// <summary>Adds the first bytes of a source.</summary>
    public static void Append(IncrementalHash hash, IByteSource source, long length)
    {
        var buffer = new byte[Math.Min(BufferBytes, length)];
        for (var at = 0L; at < length; at += buffer.Length)
        {
            var part = buffer.AsSpan(0, (int)Math.Min(buffer.Length, length - at));
            source.Read(at, part);
            hash.AppendData(part);
        }
    }
}
