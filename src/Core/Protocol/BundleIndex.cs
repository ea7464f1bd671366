using System.Buffers.Binary;
using System.Collections.Frozen;
using System.Collections.Immutable;
using System.Runtime.InteropServices;
using System.Text;
using Coppice.Delivery;
using Coppice.Formats;
using Coppice.Trust;

namespace Coppice.Protocol;

/// <summary>What an entry of a bundle is, in the order in which bundles hold them.</summary>
public enum BundleKind
{
    /// <summary>A file of <c>metadata/</c>.</summary>
    Metadata,

    /// <summary>A signed document of <c>targets/</c>: a manifest or a plan.</summary>
    Target,

    /// <summary>Content keys that one public key is granted: a file of <c>grants/</c>.</summary>
    Grant,

    /// <summary>Which patches make a blob: a file of <c>patches/index/</c>.</summary>
    PatchIndex,

    /// <summary>A file by its digest.</summary>
    Blob,

    /// <summary>A patch from blobs to a blob.</summary>
    Patch,
}

/// <summary>A file in a bundle.</summary>
/// <param name="Path">Where it lies below the repository.</param>
/// <param name="Kind">What it is.</param>
/// <param name="Length">Bytes.</param>
/// <param name="Digest">SHA-256 of the bytes: finds damage; trust comes from the metadata.</param>
/// <param name="Offset">Of its first byte in the bundle.</param>
public sealed record BundleEntry(string Path, BundleKind Kind, long Length, Sha256Digest Digest, long Offset);

/// <summary>The index at the beginning of a bundle. Specified in docs/formats/bundle.md.</summary>
/// <remarks>An index that exists is valid: paths are of the repository's own kinds, each once and in order, and lengths add up.</remarks>
public sealed class BundleIndex
{
    /// <summary>Bytes before the index.</summary>
    public const int HeaderBytes = 48;

    /// <summary>Most files in a bundle.</summary>
    public const int MaxEntries = 200_000;

    /// <summary>Largest index, in bytes.</summary>
    public const int MaxIndexBytes = 64 << 20;

    /// <summary>Longest path, in characters.</summary>
    public const int MaxPath = 512;

    /// <summary>Largest metadata file, document or file of grants, in bytes.</summary>
    public const int MaxSmall = 8 << 20;

    /// <summary>Largest bundle, in bytes.</summary>
    public const long MaxLength = 1L << 50;

    const int LeastEntryBytes = 2 + 1 + 8 + Sha256Digest.ByteCount;

    static ReadOnlySpan<byte> Magic => "CPBNDL01"u8;

    readonly FrozenDictionary<string, BundleEntry> byPath;

    BundleIndex(ImmutableArray<BundleEntry> entries, long length)
    {
        (Entries, Length) = (entries, length);
        byPath = entries.ToFrozenDictionary(entry => entry.Path, StringComparer.Ordinal);
    }

    /// <summary>The files, in the order of their bytes.</summary>
    public ImmutableArray<BundleEntry> Entries { get; }

    /// <summary>Bytes of the whole bundle.</summary>
    public long Length { get; }

    /// <summary>The file at a path; null when the bundle has none.</summary>
    public BundleEntry? Find(string path) => byPath.GetValueOrDefault(path);

    /// <summary>The index of some files, in any order.</summary>
    /// <exception cref="ArgumentException">A path is none of a repository, or is there twice.</exception>
    public static BundleIndex Of(IEnumerable<(string Path, long Length, Sha256Digest Digest)> files)
    {
        var sorted = files.Select(file => (file.Path, file.Length, file.Digest, Kind: KindOf(file.Path, file.Digest) ?? throw new ArgumentException($"'{file.Path}' is no path of a bundle.", nameof(files))))
            .OrderBy(file => file.Kind).ThenBy(file => file.Path, StringComparer.Ordinal).ToList();
        if (sorted.Count is 0 or > MaxEntries)
            throw new ArgumentException($"A bundle holds 1 to {MaxEntries} files, not {sorted.Count}; make several bundles.", nameof(files));
        var offset = HeaderBytes + sorted.Sum(file => (long)LeastEntryBytes - 1 + file.Path.Length);
        var entries = ImmutableArray.CreateBuilder<BundleEntry>(sorted.Count);
        foreach (var (path, length, digest, kind) in sorted)
        {
            if (entries.Count > 0 && entries[^1].Path == path)
                throw new ArgumentException($"'{path}' is there twice.", nameof(files));
            entries.Add(new(path, kind, length, digest, offset));
            offset += length;
        }

        return new(entries.MoveToImmutable(), offset);
    }

    /// <summary>Header and index as bytes; the contents follow in the order of <see cref="Entries"/>.</summary>
    public byte[] Write()
    {
        var index = new MemoryStream();
        Span<byte> number = stackalloc byte[8];
        foreach (var entry in Entries)
        {
            BinaryPrimitives.WriteUInt16LittleEndian(number, (ushort)entry.Path.Length);
            index.Write(number[..2]);
            index.Write(Encoding.ASCII.GetBytes(entry.Path));
            BinaryPrimitives.WriteInt64LittleEndian(number, entry.Length);
            index.Write(number);
            index.Write(entry.Digest.ToArray());
        }

        var bytes = new byte[HeaderBytes + index.Length];
        Magic.CopyTo(bytes);
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(8), Entries.Length);
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(12), (int)index.Length);
        index.ToArray().CopyTo(bytes.AsSpan(HeaderBytes));
        Sha256Digest.Of(bytes.AsSpan(HeaderBytes)).CopyTo(bytes.AsSpan(16));
        return bytes;
    }

    /// <summary>Bytes of the index that a header announces.</summary>
    /// <param name="header">The first <see cref="HeaderBytes"/> bytes of a bundle.</param>
    /// <exception cref="MalformedFileException">It is no bundle, or announces more than is taken.</exception>
    public static int IndexBytes(ReadOnlySpan<byte> header)
    {
        if (header.Length < HeaderBytes || !header[..8].SequenceEqual(Magic))
            throw Malformed(0, "the file does not begin as a bundle does; give a file that 'coppice bundle create' made.");
        var (count, length) = (BinaryPrimitives.ReadInt32LittleEndian(header[8..]), BinaryPrimitives.ReadInt32LittleEndian(header[12..]));
        if (count is < 1 or > MaxEntries)
            throw Malformed(8, $"it announces {count} files; a bundle holds 1 to {MaxEntries}.");
        if (length < (long)count * LeastEntryBytes || length > MaxIndexBytes)
            throw Malformed(12, $"its index for {count} files has {length} bytes; {(long)count * LeastEntryBytes} to {MaxIndexBytes} are possible.");
        return length;
    }

    /// <summary>Reads an index.</summary>
    /// <param name="header">The first <see cref="HeaderBytes"/> bytes of the bundle.</param>
    /// <param name="index">The <see cref="IndexBytes"/> that follow.</param>
    /// <exception cref="MalformedFileException">It breaks a rule of the format; says where.</exception>
    public static BundleIndex Read(ReadOnlySpan<byte> header, ReadOnlySpan<byte> index)
    {
        if (IndexBytes(header) != index.Length)
            throw Malformed(12, $"its index has {IndexBytes(header)} bytes, but {index.Length} are here; copy the bundle again.");
        if (Sha256Digest.Of(index) != new Sha256Digest(header.Slice(16, Sha256Digest.ByteCount)))
            throw Malformed(16, "its index is damaged: it has another SHA-256 than the header says; copy the bundle again.");
        var count = BinaryPrimitives.ReadInt32LittleEndian(header[8..]);
        var entries = ImmutableArray.CreateBuilder<BundleEntry>(count);
        var (at, offset) = (0, HeaderBytes + (long)index.Length);
        for (var i = 0; i < count; i++)
        {
            var entry = ReadEntry(index, ref at, offset);
            if (i > 0 && (entries[^1].Kind, entry.Kind) is var (before, kind) && (kind < before || (kind == before && string.CompareOrdinal(entry.Path, entries[^1].Path) <= 0)))
                throw Malformed(HeaderBytes + at, $"'{entry.Path}' does not come after '{entries[^1].Path}'; each file is there once, in order.");
            entries.Add(entry);
            offset += entry.Length;
            if (offset > MaxLength)
                throw Malformed(HeaderBytes + at, $"its files have more than {MaxLength} bytes together.");
        }

        return at == index.Length ? new(entries.MoveToImmutable(), offset) : throw Malformed(HeaderBytes + at, $"its index goes on for {index.Length - at} bytes after the last file.");
    }

    static BundleEntry ReadEntry(ReadOnlySpan<byte> index, ref int at, long offset)
    {
        var start = at;
        if (index.Length - at < LeastEntryBytes)
            throw Malformed(HeaderBytes + start, "its index ends within a file's entry.");
        var named = BinaryPrimitives.ReadUInt16LittleEndian(index[at..]);
        if (named is 0 or > MaxPath || index.Length - at < LeastEntryBytes - 1 + named)
            throw Malformed(HeaderBytes + start, $"a path has {named} characters; 1 to {MaxPath} are possible, and what follows must be there.");
        var path = Encoding.Latin1.GetString(index.Slice(at + 2, named));
        var length = BinaryPrimitives.ReadInt64LittleEndian(index[(at + 2 + named)..]);
        var digest = new Sha256Digest(index.Slice(at + 10 + named, Sha256Digest.ByteCount));
        at += LeastEntryBytes - 1 + named;
        if (KindOf(path, digest) is not { } kind)
            throw Malformed(HeaderBytes + start, $"'{new string([.. path.Take(100).Select(c => c is >= ' ' and <= '~' ? c : '?')])}' is no path that a bundle may hold, or its name is not its digest.");
        if (length < 0 || length > (kind < BundleKind.Blob ? MaxSmall : MaxLength))
            throw Malformed(HeaderBytes + start, $"'{path}' has {length} bytes; {(kind < BundleKind.Blob ? $"at most {MaxSmall} are taken of its kind" : $"at most {MaxLength} are possible")}.");
        return new(path, kind, length, digest, offset);
    }

    /// <summary>What a path names; null when it is none that a bundle may hold. Names that carry a digest must carry the file's own.</summary>
    static BundleKind? KindOf(string path, Sha256Digest digest)
    {
        var parts = path.Split('/');
        if (path.Length > MaxPath || parts.Length is < 2 or > 8 || !parts.All(IsPlain))
            return null;
        return parts[0] switch
        {
            "metadata" when parts.Length == 2 && path.EndsWith(".json", StringComparison.Ordinal) => BundleKind.Metadata,
            "targets" when parts.Length > 2 && parts[^1].StartsWith($"{digest}.", StringComparison.Ordinal) => BundleKind.Target,
            "grants" when parts.Length == 2 && parts[1].Length > 4 && Sha256Digest.TryParse(parts[1].AsSpan(0, parts[1].Length - 4), out var recipient) && path == RepositoryLayout.GrantFile(recipient) => BundleKind.Grant,
            "blobs" when path == RepositoryLayout.BlobFile(digest) => BundleKind.Blob,
            "patches" when IsPatch(path, parts) => BundleKind.Patch,
            "patches" when parts.Length == 3 && parts[2].Length > 5 && Sha256Digest.TryParse(parts[2].AsSpan(0, parts[2].Length - 5), out var to) && path == RepositoryLayout.PatchIndexFile(to) => BundleKind.PatchIndex,
            _ => null,
        };
    }

    static bool IsPatch(string path, string[] parts)
    {
        if (parts.Length != 3 || parts[2].Length <= 4 || !Sha256Digest.TryParse(parts[2].AsSpan(0, parts[2].Length - 4), out var to))
            return false;
        var from = new List<Sha256Digest>();
        foreach (var part in parts[1].Split('-'))
        {
            if (Sha256Digest.TryParse(part, out var digest))
                from.Add(digest);
        }

        return from.Count <= PatchIndex.MaxFrom && path == RepositoryLayout.PatchFile(CollectionsMarshal.AsSpan(from), to);
    }

    // A plain name on every file system: no part that climbs or hides. '%' stands in names of metadata of odd roles.
    static bool IsPlain(string part) =>
        part.Length is > 0 and <= 255 && part[0] != '.' && part[^1] != '.' && part.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '_' or '+' or '-' or '%' or '~');

    static MalformedFileException Malformed(long at, string problem) => new("bundle", at, problem);
}
