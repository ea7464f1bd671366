using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.IO.Compression;
using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Coppice.Server.Storage;
using Coppice.Trust;
using Coppice.Trust.Sealing;

namespace Coppice.Server.Backups;

/// <summary>Reads a backup front to back, as often as is wanted, and holds every byte against what the file says of itself. Memory: a frame.</summary>
sealed class BackupReader : IDisposable
{
    const int MaxHeading = 1 << 20;

    /// <summary>Largest frame, and most bytes of lines in one: a row has at most a manifest, of 16 MiB.</summary>
    const int MaxFrame = 64 << 20;

    readonly FileStream file;
    readonly string name;
    readonly byte[] start;
    readonly ContentKey? key;

    BackupReader(FileStream file, byte[] start, ContentKey? key) => (this.file, name, this.start, this.key) = (file, file.Name, start, key);

    /// <summary>Opens a backup.</summary>
    /// <param name="path">The file.</param>
    /// <param name="own">A private key that may open it; null for none.</param>
    /// <param name="password">Asked for the password of a file that one opens; null for none.</param>
    /// <exception cref="BackupException">It is none, or does not open.</exception>
    public static BackupReader Open(string path, SealingKey? own, Func<string?> password)
    {
        FileStream file;
        try
        {
            file = new(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 16);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new BackupException($"{path} cannot be read ({e.Message}).", e);
        }

        try
        {
            var (heading, start) = ReadHeading(file);
            return new(file, start, heading.Sealed ? OpenKey(file.Name, heading, own, password) : null);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Everything in the file, in its order: a <see cref="BackupHeader"/>; each <see cref="TableShape"/> with its rows (<c>object?[]</c>); each <see cref="BackupFile"/> with its bytes
    /// (<see cref="ReadOnlyMemory{T}"/>, good until the next is asked for); a <see cref="BackupEnd"/>, which is given only when all was right.</summary>
    /// <exception cref="BackupException">The file is damaged, cut off or altered.</exception>
    public IEnumerable<object> Items()
    {
        using var body = Body();
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var (rows, files, left) = (0L, 0L, 0L);
        TableShape? table = null;
        var begun = false;
        while (true)
        {
            var sofar = hash.GetCurrentHash();
            var (kind, payload) = Frame(body, hash);
            if (left > 0 != (kind == BackupFrame.Bytes) || begun == (kind == BackupFrame.Header))
                throw Damaged($"a part '{(char)kind}' stands where it does not belong");
            switch (kind)
            {
                case BackupFrame.Header:
                    begun = true;
                    yield return Json(payload, BackupContext.Default.BackupHeader);
                    break;
                case BackupFrame.Lines:
                    var lines = Unpacked(payload);
                    for (int at = 0, end; at < lines.Length; at = end + 1)
                    {
                        end = lines.Span[at..].IndexOf((byte)'\n') is var length and >= 0 ? at + length : throw Damaged("a line does not end");
                        table = Line(lines.Span[at..end], table, out var row);
                        if (row is not null)
                            rows++;
                        yield return row is null ? table : row;
                    }

                    break;
                case BackupFrame.File:
                    var said = Json(payload, BackupContext.Default.BackupFile);
                    (left, files) = (said.Length, files + 1);
                    yield return said;
                    break;
                case BackupFrame.Bytes:
                    left -= payload.Length;
                    if (left < 0)
                        throw Damaged("a file has more bytes than it says");
                    yield return payload;
                    break;
                case BackupFrame.End:
                    var last = Json(payload, BackupContext.Default.BackupEnd);
                    if (last.Sha256 != new Sha256Digest(sofar) || last.Rows != rows || last.Files != files)
                        throw Damaged($"its end tells of {last.Rows} rows, {last.Files} files and the SHA-256 {last.Sha256}, and here are {rows}, {files} and {new Sha256Digest(sofar)}");
                    if (body.ReadByte() >= 0)
                        throw Damaged("there is more behind its end");
                    yield return last;
                    yield break;
                default:
                    throw Damaged($"a part '{(char)kind}' is not known here; it may be of a newer version of coppice");
            }
        }
    }

    public void Dispose()
    {
        key?.Dispose();
        file.Dispose();
    }

    static (BackupHeading Heading, byte[] Start) ReadHeading(FileStream file)
    {
        var start = new byte[BackupWriter.HeadingAt];
        if (file.ReadAtLeast(start, start.Length, throwOnEndOfStream: false) < start.Length || !start.AsSpan().StartsWith(BackupWriter.Magic))
            throw new BackupException($"{file.Name} is no backup of coppice; one begins with '{System.Text.Encoding.ASCII.GetString(BackupWriter.Magic)}'.");
        var length = BinaryPrimitives.ReadInt32LittleEndian(start.AsSpan(8));
        if (length is < 0 or > MaxHeading)
            throw new BackupException($"{file.Name} is damaged: its heading cannot have {length} bytes.");
        Array.Resize(ref start, BackupWriter.HeadingAt + length);
        try
        {
            file.ReadExactly(start, BackupWriter.HeadingAt, length);
            var heading = JsonSerializer.Deserialize(start.AsSpan(BackupWriter.HeadingAt), BackupContext.Default.BackupHeading) ?? throw new JsonException("it is null");
            return heading.Schema == BackupHeading.CurrentSchema
                ? (heading, start)
                : throw new BackupException($"{file.Name} has the schema {heading.Schema}; this coppice reads {BackupHeading.CurrentSchema}. Use the version that wrote it, or a newer one.");
        }
        catch (Exception e) when (e is JsonException or EndOfStreamException)
        {
            throw new BackupException($"{file.Name} is damaged: its heading cannot be read ({e.Message}).", e);
        }
    }

    static ContentKey OpenKey(string name, BackupHeading heading, SealingKey? own, Func<string?> password)
    {
        SealingKey? locked = null;
        try
        {
            if (own is null && heading.Key is { } pem && password() is { } given)
                locked = SealingKey.Import(System.Text.Encoding.ASCII.GetBytes(pem), given);
        }
        catch (CryptographicException e)
        {
            throw new BackupException($"The password does not open {name}.", e);
        }

        using (locked)
        {
            foreach (var grant in heading.Grants)
            {
                if ((own ?? locked) is { } mine && TryOpen(grant, mine, out var key))
                    return key;
            }
        }

        var ways = heading.Key is null ? "the private key that it was made for (--key FILE)" : heading.Grants.Length > 1 ? "its password, or the private key that it was made for (--key FILE)" : "its password (--password @FILE)";
        throw new BackupException($"{name} is encrypted, and {(own is null ? "nothing is given that opens it" : "the key that is given does not open it")}; give {ways}.");
    }

    static bool TryOpen(byte[] grant, SealingKey key, [NotNullWhen(true)] out ContentKey? opened)
    {
        try
        {
            opened = Grant.Read(grant).OpenContent(key);
        }
        catch (BrokenSealException) // it is for another key
        {
            opened = null;
        }

        return opened is not null;
    }

    Stream Body()
    {
        file.Position = start.Length;
        var rest = new Borrowed(file);
        if (key is null)
            return new BufferedStream(rest, 1 << 16);
        var header = new byte[SealHeader.ByteCount];
        try
        {
            file.ReadExactly(header);
            var read = SealHeader.Read(header);
            if (read.Kind != SealedKind.Backup || read.Subject != Sha256Digest.Of(start))
                throw Damaged("its heading was changed");
            return new OpeningStream(rest, new(key, read), SealHeader.PlainLength(file.Length - start.Length, read.Segment) ?? throw Damaged("it was cut off"));
        }
        catch (Exception e) when (e is BrokenSealException or EndOfStreamException)
        {
            throw Damaged(e.Message, e);
        }
    }

    (BackupFrame Kind, ReadOnlyMemory<byte> Payload) Frame(Stream body, IncrementalHash hash)
    {
        try
        {
            Span<byte> head = stackalloc byte[5];
            if (body.ReadAtLeast(head, head.Length, throwOnEndOfStream: false) < head.Length)
                throw Damaged("it was cut off");
            var length = BinaryPrimitives.ReadInt32LittleEndian(head[1..]);
            if (length is < 0 or > MaxFrame)
                throw Damaged($"a part says that it has {length} bytes");
            var payload = new byte[length];
            if (body.ReadAtLeast(payload, length, throwOnEndOfStream: false) < length)
                throw Damaged("it was cut off");
            hash.AppendData(head);
            hash.AppendData(payload);
            return ((BackupFrame)head[0], payload);
        }
        catch (BrokenSealException e)
        {
            throw Damaged(e.Message, e);
        }
    }

    ReadOnlyMemory<byte> Unpacked(ReadOnlyMemory<byte> packed)
    {
        try
        {
            var lines = new MemoryStream();
            using var unpack = new ZLibStream(new MemoryStream(packed.ToArray()), CompressionMode.Decompress);
            var buffer = new byte[1 << 16];
            for (int read; (read = unpack.Read(buffer)) > 0;)
            {
                if (lines.Length + read > MaxFrame)
                    throw Damaged($"lines have more than {MaxFrame >> 20} MiB together");
                lines.Write(buffer, 0, read);
            }

            return lines.GetBuffer().AsMemory(0, (int)lines.Length);
        }
        catch (InvalidDataException e)
        {
            throw Damaged($"lines cannot be unpacked: {e.Message}", e);
        }
    }

    TableShape Line(ReadOnlySpan<byte> line, TableShape? table, out object?[]? row)
    {
        try
        {
            return RowLines.Read(line, table, out row);
        }
        catch (FormatException e)
        {
            throw Damaged($"a line cannot be read: {e.Message}", e);
        }
    }

    T Json<T>(ReadOnlyMemory<byte> payload, JsonTypeInfo<T> type)
    {
        try
        {
            return JsonSerializer.Deserialize(payload.Span, type) ?? throw new JsonException("it is null");
        }
        catch (JsonException e)
        {
            throw Damaged($"{typeof(T).Name} cannot be read: {e.Message}", e);
        }
    }

    BackupException Damaged(string how, Exception? inner = null) => new($"{name} is damaged or was altered: {how.TrimEnd('.')}. Nothing was changed; take another copy of the file.", inner);

    /// <summary>A stream that stays open when its reader is done.</summary>
    sealed class Borrowed(Stream inner) : Stream
    {
        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override int Read(byte[] buffer, int offset, int count) => inner.Read(buffer, offset, count);

        public override int Read(Span<byte> buffer) => inner.Read(buffer);

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
