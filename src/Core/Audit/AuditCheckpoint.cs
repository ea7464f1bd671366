using System.Buffers;
using System.Globalization;
using System.Text;
using Coppice.Trust;

namespace Coppice.Audit;

/// <summary>A signed word that the log was at least so long, with that hash at its end: whoever holds it notices when the end is cut off or the log is written anew.</summary>
/// <param name="Entry">Id of the last entry there was.</param>
/// <param name="Hash">Its hash.</param>
/// <param name="At">Milliseconds since 1970 by the server's clock.</param>
/// <param name="Signature">Of <see cref="SignedBytes"/>; ECDSA in DER.</param>
public sealed record AuditCheckpoint(long Entry, Sha256Digest Hash, long At, ReadOnlyMemory<byte> Signature)
{
    const string Mark = "coppice-audit-checkpoint-1\n";

    /// <summary>Signs the present end of the log.</summary>
    public static AuditCheckpoint Sign(long entry, Sha256Digest hash, long at, SigningKey key) => new(entry, hash, at, key.Sign(SignedBytes(entry, hash, at)));

    /// <summary>Whether the key signed it.</summary>
    public bool IsSignedBy(PublicKey key) => key.Verify(SignedBytes(Entry, Hash, At), Signature.Span);

    /// <summary>What is signed: a mark, entry, hash and time, each as a netstring.</summary>
    public static byte[] SignedBytes(long entry, Sha256Digest hash, long at)
    {
        var bytes = new ArrayBufferWriter<byte>(160);
        bytes.Write(Encoding.ASCII.GetBytes(Mark));
        Netstring.Write(bytes, entry.ToString(CultureInfo.InvariantCulture));
        Netstring.Write(bytes, hash.ToString());
        Netstring.Write(bytes, at.ToString(CultureInfo.InvariantCulture));
        return bytes.WrittenSpan.ToArray();
    }
}
