using System.Buffers.Binary;
using System.Collections.Immutable;

namespace Coppice.Trust.Sealing;

/// <summary>Everything that one public key is granted: a static file, or the answer of a server. It needs no signature: a grant that was meddled with does not open.</summary>
public sealed class GrantFile
{
    /// <summary>Most grants in a file.</summary>
    public const int MaxGrants = 16_384;

    /// <summary>Most bytes of a file: 2.4 MB.</summary>
    public const int MaxBytes = HeaderBytes + (MaxGrants * Grant.ByteCount);

    const uint Magic = 0x31475043; // CPG1
    const int RecipientAt = 4;
    const int CountAt = RecipientAt + Sha256Digest.ByteCount;
    const int HeaderBytes = CountAt + 4;

    GrantFile(Sha256Digest recipient, ImmutableArray<Grant> grants) => (Recipient, Grants) = (recipient, grants);

    /// <summary>Digest of the public key that the grants are sealed to.</summary>
    public Sha256Digest Recipient { get; }

    /// <summary>At most <see cref="MaxGrants"/>, each kind and key once.</summary>
    public ImmutableArray<Grant> Grants { get; }

    /// <summary>A file with no grants.</summary>
    public static GrantFile Of(Sha256Digest recipient) => new(recipient, []);

    /// <summary>This file with more grants; one of a key that is here takes its place.</summary>
    /// <exception cref="ArgumentException">It would hold too many.</exception>
    public GrantFile With(IEnumerable<Grant> more)
    {
        var all = new Dictionary<(GrantKind, Sha256Digest), Grant>();
        foreach (var grant in Grants.Concat(more))
            all[(grant.Kind, grant.Key)] = grant;
        return all.Count <= MaxGrants
            ? new(Recipient, [.. all.Values])
            : throw new ArgumentException($"{all.Count} grants to one key are too many; {MaxGrants} go into a file. Withdraw it and grant what is still in use.", nameof(more));
    }

    /// <summary>The grant of a key; null when there is none.</summary>
    public Grant? Find(GrantKind kind, Sha256Digest key) => Grants.FirstOrDefault(grant => grant.Kind == kind && grant.Key == key);

    /// <summary>Reads a file.</summary>
    /// <exception cref="BrokenSealException">It is none.</exception>
    public static GrantFile Read(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length < HeaderBytes || BinaryPrimitives.ReadUInt32LittleEndian(bytes) != Magic)
            throw new BrokenSealException("It is not a file of grants of a version that is known here; one begins with 'CPG1'.");
        var count = BinaryPrimitives.ReadUInt32LittleEndian(bytes[CountAt..]);
        if (count > MaxGrants || bytes.Length != HeaderBytes + ((int)count * Grant.ByteCount))
            throw new BrokenSealException($"A file of {count} grants has {HeaderBytes + ((long)count * Grant.ByteCount)} bytes and at most {MaxGrants} grants; this one has {bytes.Length} bytes.");
        var grants = ImmutableArray.CreateBuilder<Grant>((int)count);
        var seen = new HashSet<(GrantKind, Sha256Digest)>();
        for (var i = 0; i < count; i++)
        {
            var grant = Grant.Read(bytes.Slice(HeaderBytes + (i * Grant.ByteCount), Grant.ByteCount));
            if (!seen.Add((grant.Kind, grant.Key)))
                throw new BrokenSealException($"The file of grants gives {grant.Key.ToString()[..16]}… twice.");
            grants.Add(grant);
        }

        return new(new(bytes.Slice(RecipientAt, Sha256Digest.ByteCount)), grants.MoveToImmutable());
    }

    /// <summary>Writes the file.</summary>
    public byte[] Write()
    {
        var bytes = new byte[HeaderBytes + (Grants.Length * Grant.ByteCount)];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, Magic);
        Recipient.CopyTo(bytes.AsSpan(RecipientAt));
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(CountAt), Grants.Length);
        for (var i = 0; i < Grants.Length; i++)
            Grants[i].Bytes.CopyTo(bytes.AsSpan(HeaderBytes + (i * Grant.ByteCount)));
        return bytes;
    }
}
