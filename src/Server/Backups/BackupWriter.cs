using System.Buffers;
using System.Buffers.Binary;
using System.IO.Compression;
using System.Security.Cryptography;
using System.Text.Json;
using Coppice.Server.Storage;
using Coppice.Trust;
using Coppice.Trust.Sealing;

namespace Coppice.Server.Backups;

/// <summary>Parts of a backup, by their first byte. The form is written down in docs/formats/backup.md.</summary>
enum BackupFrame : byte
{
    Header = (byte)'H',

    /// <summary>Lines of rows, whole ones, compressed (zlib).</summary>
    Lines = (byte)'L',

    File = (byte)'F',

    Bytes = (byte)'B',

    End = (byte)'E',
}

/// <summary>Who may open a backup; none of it for one in the clear.</summary>
/// <param name="Password">Null when no password opens it.</param>
/// <param name="Keys">Public keys whose owners open it.</param>
public sealed record BackupReaders(string? Password, IReadOnlyList<SealingPublicKey> Keys)
{
    /// <summary>Whether the file is encrypted.</summary>
    public bool Seals => Password is not null || Keys.Count > 0;
}

/// <summary>Writes a backup, front to back. Memory does not grow with it.</summary>
sealed class BackupWriter : IDisposable
{
    public const int HeadingAt = 12;

    /// <summary>A frame of lines is closed when it has this many bytes.</summary>
    const int LineBytes = 512 << 10;

    const int ChunkBytes = 1 << 20;

    readonly Stream file;
    readonly SealingWriteStream? sealing;
    readonly SegmentCipher? cipher;
    readonly IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
    readonly ArrayBufferWriter<byte> lines = new(LineBytes * 2);
    readonly MemoryStream packed = new();
    long rows;
    long files;

    /// <param name="file">Where to; stays the caller's.</param>
    /// <param name="readers">Who may open it.</param>
    public BackupWriter(Stream file, BackupReaders readers)
    {
        this.file = file;
        using var key = readers.Seals ? new ContentKey(RandomNumberGenerator.GetBytes(ContentKey.ByteCount)) : null;
        var heading = JsonSerializer.SerializeToUtf8Bytes(Heading(readers, key), BackupContext.Default.BackupHeading);
        var start = new byte[HeadingAt + heading.Length];
        Magic.CopyTo(start);
        BinaryPrimitives.WriteInt32LittleEndian(start.AsSpan(8), heading.Length);
        heading.CopyTo(start, HeadingAt);
        file.Write(start);
        if (key is not null)
            sealing = new(file, cipher = new(key, SealHeader.OfBackup(key.Id, Sha256Digest.Of(start))));
    }

    public static ReadOnlySpan<byte> Magic => "CPBKUP01"u8;

    static BackupHeading Heading(BackupReaders readers, ContentKey? key)
    {
        if (key is null)
            return new(BackupHeading.CurrentSchema, Sealed: false);
        var grants = readers.Keys.Select(reader => Grant.Of(key, reader).Bytes.ToArray()).ToList();
        string? locked = null;
        if (readers.Password is { } password)
        {
            // A key of this file's own, locked with the password as people's key files are.
            using var own = SealingKey.Create();
            grants.Add(Grant.Of(key, own.Public).Bytes.ToArray());
            locked = System.Text.Encoding.ASCII.GetString(own.Export(password));
        }

        return new(BackupHeading.CurrentSchema, Sealed: true) { Grants = [.. grants], Key = locked };
    }

    public void Write(BackupHeader header) => Frame(BackupFrame.Header, JsonSerializer.SerializeToUtf8Bytes(header, BackupContext.Default.BackupHeader));

    public void WriteTable(TableShape table)
    {
        RowLines.WriteTable(lines, table);
        FlushWhenFull();
    }

    public void WriteRow(TableShape table, ReadOnlySpan<object?> row)
    {
        rows++;
        RowLines.WriteRow(lines, table, row);
        FlushWhenFull();
    }

    /// <exception cref="BackupException">The content has another length than was said.</exception>
    public void WriteFile(BackupFile said, Stream content)
    {
        FlushLines();
        files++;
        Frame(BackupFrame.File, JsonSerializer.SerializeToUtf8Bytes(said, BackupContext.Default.BackupFile));
        var buffer = ArrayPool<byte>.Shared.Rent(ChunkBytes);
        try
        {
            var left = said.Length;
            for (int read; (read = content.ReadAtLeast(buffer.AsSpan(0, ChunkBytes), ChunkBytes, throwOnEndOfStream: false)) > 0; left -= read)
                Frame(BackupFrame.Bytes, buffer.AsSpan(0, read));
            if (left != 0)
                throw new BackupException($"{said.Path} has {said.Length - left} bytes where {said.Length} were expected; it changed while it was read. Try again.");
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    /// <summary>Writes the end; without it the file is no backup.</summary>
    public BackupEnd Complete()
    {
        FlushLines();
        var end = new BackupEnd(rows, files, new(hash.GetCurrentHash()));
        Frame(BackupFrame.End, JsonSerializer.SerializeToUtf8Bytes(end, BackupContext.Default.BackupEnd));
        sealing?.Complete();
        return end;
    }

    void FlushWhenFull()
    {
        if (lines.WrittenCount >= LineBytes)
            FlushLines();
    }

    void FlushLines()
    {
        if (lines.WrittenCount == 0)
            return;
        packed.SetLength(0);
        using (var pack = new ZLibStream(packed, CompressionLevel.Fastest, leaveOpen: true))
            pack.Write(lines.WrittenSpan);
        Frame(BackupFrame.Lines, packed.GetBuffer().AsSpan(0, (int)packed.Length));
        lines.ResetWrittenCount();
    }

    void Frame(BackupFrame kind, ReadOnlySpan<byte> payload)
    {
        Span<byte> start = stackalloc byte[5];
        start[0] = (byte)kind;
        BinaryPrimitives.WriteInt32LittleEndian(start[1..], payload.Length);
        hash.AppendData(start);
        hash.AppendData(payload);
        var body = sealing ?? file;
        body.Write(start);
        body.Write(payload);
    }

    public void Dispose()
    {
        sealing?.Dispose();
        cipher?.Dispose();
        hash.Dispose();
    }
}
