using System.Buffers.Binary;
using System.Numerics;

namespace Coppice.Trust.Sealing;

/// <summary>What a sealed file holds.</summary>
public enum SealedKind : byte
{
    /// <summary>A file of a release.</summary>
    Blob = 1,

    /// <summary>A patch between two of them.</summary>
    Patch = 2,

    /// <summary>A server's backup.</summary>
    Backup = 3,
}

/// <summary>The first 88 bytes of a sealed file. Every bit of them goes into the key of its segments. Written down in docs/formats/sealing.md.</summary>
public readonly record struct SealHeader
{
    /// <summary>Bytes of a header.</summary>
    public const int ByteCount = 88;

    /// <summary>Bytes that each segment has beyond its plaintext.</summary>
    public const int TagBytes = 16;

    /// <summary>Bytes of plaintext in a segment, unless something else is wanted: 0.012 % is added, and a reader holds twice this.</summary>
    public const int DefaultSegment = 128 << 10;

    /// <summary>Smallest segment.</summary>
    public const int MinSegment = 4 << 10;

    /// <summary>Largest segment: what a reader must be ready to hold.</summary>
    public const int MaxSegment = 16 << 20;

    /// <summary>Bytes of the salt.</summary>
    public const int SaltBytes = 16;

    const uint Magic = 0x31535043; // CPS1
    const int SaltAt = 8;
    const int KeyAt = 24;
    const int SubjectAt = 56;

    readonly UInt128 _salt;

    SealHeader(SealedKind kind, int segment, UInt128 salt, Sha256Digest key, Sha256Digest subject) =>
        (Kind, Segment, _salt, Key, Subject) = (kind, segment, salt, key, subject);

    /// <summary>What the file holds.</summary>
    public SealedKind Kind { get; }

    /// <summary>Bytes of plaintext in each segment but the last.</summary>
    public int Segment { get; }

    /// <summary>Name of the key that opens it.</summary>
    public Sha256Digest Key { get; }

    /// <summary>SHA-256 of a blob's plaintext; of a patch, see <see cref="PatchSubject"/>; of a backup, SHA-256 of its heading.</summary>
    public Sha256Digest Subject { get; }

    /// <summary>The header of a blob. It follows from key and content, so that the same file under the same key is sealed to the same bytes.</summary>
    /// <param name="key">Its key.</param>
    /// <param name="content">SHA-256 of its plaintext.</param>
    /// <param name="segment">Bytes of plaintext in a segment: a power of two.</param>
    public static SealHeader OfBlob(Sha256Digest key, Sha256Digest content, int segment = DefaultSegment) => new(SealedKind.Blob, Checked(segment), 0, key, content);

    /// <summary>The header of a patch.</summary>
    /// <param name="key">Its key, from <see cref="ContentKey.OfPatch"/>.</param>
    /// <param name="from">SHA-256 of the old files' plaintexts, in their order.</param>
    /// <param name="to">SHA-256 of the new file's plaintext.</param>
    /// <param name="salt">16 random bytes: the same files have more than one patch between them, and no two may share a key and nonces.</param>
    /// <param name="segment">Bytes of plaintext in a segment: a power of two.</param>
    public static SealHeader OfPatch(Sha256Digest key, ReadOnlySpan<Sha256Digest> from, Sha256Digest to, ReadOnlySpan<byte> salt, int segment = DefaultSegment) =>
        new(SealedKind.Patch, Checked(segment), BinaryPrimitives.ReadUInt128LittleEndian(salt), key, PatchSubject(from, to));

    /// <summary>The header of a backup, under a key that seals nothing else.</summary>
    /// <param name="key">Its key.</param>
    /// <param name="heading">SHA-256 of what stands before it in the clear.</param>
    /// <param name="segment">Bytes of plaintext in a segment: a power of two.</param>
    public static SealHeader OfBackup(Sha256Digest key, Sha256Digest heading, int segment = DefaultSegment) => new(SealedKind.Backup, Checked(segment), 0, key, heading);

    /// <summary>What a patch is about: SHA-256 of the digests of the old files and the new one, one after the other.</summary>
    public static Sha256Digest PatchSubject(ReadOnlySpan<Sha256Digest> from, Sha256Digest to)
    {
        var all = new byte[(from.Length + 1) * Sha256Digest.ByteCount];
        for (var i = 0; i < from.Length; i++)
            from[i].CopyTo(all.AsSpan(i * Sha256Digest.ByteCount));
        to.CopyTo(all.AsSpan(from.Length * Sha256Digest.ByteCount));
        return Sha256Digest.Of(all);
    }

    /// <summary>Whether a segment may have this size.</summary>
    public static bool IsSegment(int size) => size is >= MinSegment and <= MaxSegment && BitOperations.IsPow2(size);

    /// <summary>Reads a header.</summary>
    /// <exception cref="BrokenSealException">It is none, or of a version that is not known here.</exception>
    public static SealHeader Read(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length < ByteCount)
            throw new BrokenSealException($"A sealed file has a header of {ByteCount} bytes; here are {bytes.Length}.");
        if (BinaryPrimitives.ReadUInt32LittleEndian(bytes) != Magic)
            throw new BrokenSealException("It is not a sealed file of a version that is known here; one begins with 'CPS1'.");
        var kind = (SealedKind)bytes[4];
        if (kind is not (SealedKind.Blob or SealedKind.Patch or SealedKind.Backup) || bytes[5] is < 12 or > 24 || bytes[6] != 0 || bytes[7] != 0)
            throw new BrokenSealException("The header of the sealed file is not one.");
        var salt = BinaryPrimitives.ReadUInt128LittleEndian(bytes[SaltAt..]);
        if (kind != SealedKind.Patch && salt != 0)
            throw new BrokenSealException("Of sealed files only patches have a salt.");
        return new(kind, 1 << bytes[5], salt, new(bytes.Slice(KeyAt, Sha256Digest.ByteCount)), new(bytes.Slice(SubjectAt, Sha256Digest.ByteCount)));
    }

    /// <summary>Writes the header.</summary>
    /// <param name="into">At least 88 bytes; the first 88 are overwritten.</param>
    public void Write(Span<byte> into)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(into, Magic);
        into[4] = (byte)Kind;
        into[5] = (byte)BitOperations.Log2((uint)Segment);
        into[6] = into[7] = 0;
        BinaryPrimitives.WriteUInt128LittleEndian(into[SaltAt..], _salt);
        Key.CopyTo(into[KeyAt..]);
        Subject.CopyTo(into[SubjectAt..]);
    }

    /// <summary>Bytes of the sealed form of a plaintext.</summary>
    /// <param name="plain">Bytes of plaintext.</param>
    /// <param name="segment">Bytes of plaintext in a segment.</param>
    public static long SealedLength(long plain, int segment) => checked(ByteCount + plain + (TagBytes * Segments(plain, segment)));

    /// <summary>Bytes of plaintext in a sealed file; null when no file has that length.</summary>
    /// <param name="sealedLength">Bytes of the sealed file.</param>
    /// <param name="segment">Bytes of plaintext in a segment.</param>
    public static long? PlainLength(long sealedLength, int segment)
    {
        var body = sealedLength - ByteCount;
        if (body < TagBytes)
            return null;
        var plain = body - (TagBytes * (((body - 1) / (segment + TagBytes)) + 1));
        return plain >= 0 && SealedLength(plain, segment) == sealedLength ? plain : null;
    }

    /// <summary>Segments of a plaintext: at least one.</summary>
    public static long Segments(long plain, int segment) => plain == 0 ? 1 : ((plain - 1) / segment) + 1;

    /// <summary>Where a segment begins in the sealed file.</summary>
    public static long SegmentAt(long index, int segment) => checked(ByteCount + (index * (segment + TagBytes)));

    static int Checked(int segment) => IsSegment(segment)
        ? segment
        : throw new ArgumentOutOfRangeException(nameof(segment), segment, $"A segment has a power of two of bytes, from {MinSegment} to {MaxSegment}.");
}
