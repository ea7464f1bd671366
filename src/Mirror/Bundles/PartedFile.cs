using System.Globalization;

namespace Coppice.Mirror.Bundles;

/// <summary>A file that may lie in several parts, each at most so long: <c>site.cpb</c>, or <c>site.cpb.001</c>, <c>site.cpb.002</c>… Joined, the parts are the file.</summary>
/// <remarks>A FAT32 stick takes files of up to 4 GiB less one byte. Not for several threads.</remarks>
sealed class PartedFile : Stream
{
    /// <summary>Most parts of one file.</summary>
    const int MostParts = 999;

    readonly List<FileStream> parts = [];
    readonly string path;
    readonly long partBytes;
    readonly bool writes;

    PartedFile(string path, long partBytes, bool writes) => (this.path, this.partBytes, this.writes) = (path, partBytes, writes);

    /// <summary>The names under which a file may lie here, the whole or its parts in order; none when there is neither.</summary>
    public static IReadOnlyList<string> Names(string path)
    {
        if (File.Exists(path))
            return [path];
        var names = new List<string>();
        while (names.Count < MostParts && File.Exists(PartName(path, names.Count)))
            names.Add(PartName(path, names.Count));
        return names;
    }

    /// <summary>Opens what is here to be read.</summary>
    /// <exception cref="FileNotFoundException">Neither the file nor its first part is here.</exception>
    public static PartedFile OpenRead(string path)
    {
        var file = new PartedFile(path, 0, writes: false);
        foreach (var name in Names(path))
            file.parts.Add(new FileStream(name, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete, 1));
        return file.parts.Count > 0 ? file : throw new FileNotFoundException($"Neither {path} nor {PartName(path, 0)} is there.", path);
    }

    /// <summary>Opens a file to be written, going on with what is there; <paramref name="partBytes"/> null writes one part.</summary>
    public static PartedFile OpenWrite(string path, long? partBytes)
    {
        var file = new PartedFile(path, partBytes ?? long.MaxValue, writes: true);
        do
            file.Add();
        while (partBytes is not null && File.Exists(file.Name(file.parts.Count)));
        return file;
    }

    /// <summary>The file's parts get the names of another file, the first part last: until then there is no such file.</summary>
    public static void Rename(string from, string to)
    {
        foreach (var name in Names(from).Reverse())
            File.Move(name, to + name[from.Length..], overwrite: true);
    }

    static string PartName(string path, int part) => string.Create(CultureInfo.InvariantCulture, $"{path}.{part + 1:000}");

    string Name(int part) => partBytes == long.MaxValue ? path : PartName(path, part);

    void Add()
    {
        if (parts.Count == MostParts)
            throw new IOException($"{path} would have more than {MostParts} parts; make them larger.");
        parts.Add(new FileStream(Name(parts.Count), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.Read, 1));
    }

    public override bool CanRead => true;

    public override bool CanSeek => true;

    public override bool CanWrite => writes;

    public override long Length => parts.Sum(part => part.Length);

    public override long Position { get; set; }

    public override int Read(Span<byte> buffer)
    {
        var start = 0L;
        foreach (var part in parts)
        {
            var length = part.Length;
            if (Position < start + length)
            {
                var read = RandomAccess.Read(part.SafeFileHandle, buffer[..(int)Math.Min(buffer.Length, start + length - Position)], Position - start);
                Position += read;
                return read;
            }

            start += length;
        }

        return 0;
    }

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) => new(Read(buffer.Span));

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        while (!buffer.IsEmpty)
        {
            var (part, at) = ((int)(Position / partBytes), Position % partBytes);
            while (parts.Count <= part)
                Add();
            var run = buffer[..(int)Math.Min(buffer.Length, partBytes - at)];
            RandomAccess.Write(parts[part].SafeFileHandle, run, at);
            Position += run.Length;
            buffer = buffer[run.Length..];
        }
    }

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    /// <summary>Drops what lies beyond a length.</summary>
    public override void SetLength(long value)
    {
        for (var i = parts.Count - 1; i >= 0; i--)
        {
            var start = i * (partBytes == long.MaxValue ? 0 : partBytes);
            if (i > 0 && start >= value)
            {
                parts[i].Dispose();
                parts.RemoveAt(i);
                File.Delete(Name(i));
            }
            else if (parts[i].Length > value - start)
            {
                parts[i].SetLength(Math.Max(0, value - start));
            }
        }
    }

    /// <summary>Makes all of it safe from a power cut.</summary>
    public override void Flush()
    {
        foreach (var part in parts)
            RandomAccess.FlushToDisk(part.SafeFileHandle);
    }

    public override long Seek(long offset, SeekOrigin origin) => Position = origin switch
    {
        SeekOrigin.Begin => offset,
        SeekOrigin.Current => Position + offset,
        _ => Length + offset,
    };

    protected override void Dispose(bool disposing)
    {
        foreach (var part in parts)
            part.Dispose();
        base.Dispose(disposing);
    }
}
