namespace Coppice.Agent.Storage;

/// <summary>A file of the disk that is written at its end and read anywhere before it, as a stream.</summary>
sealed class GrowingFile(IDisk disk, string path) : Stream
{
    readonly IDiskFile written = disk.Append(path);
    Stream? reader;

    public override bool CanRead => true;

    public override bool CanSeek => true;

    public override bool CanWrite => true;

    public override long Length => written.Length;

    public override long Position { get; set; }

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        if (Position != Length)
            throw new IOException($"{path} grows at its end only; byte {Position} of {Length} was to be written.");
        written.Write(buffer);
        Position += buffer.Length;
    }

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    public override int Read(Span<byte> buffer)
    {
        var count = (int)Math.Min(buffer.Length, Math.Max(0, Length - Position));
        if (count == 0)
            return 0;
        if (reader is null || reader.Length < Position + count) // what was opened may not see what was written since
        {
            reader?.Dispose();
            reader = disk.OpenRead(path);
        }

        reader.Position = Position;
        var read = reader.Read(buffer[..count]);
        Position += read;
        return read;
    }

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    public override long Seek(long offset, SeekOrigin origin) => Position = origin switch
    {
        SeekOrigin.Begin => offset,
        SeekOrigin.Current => Position + offset,
        _ => Length + offset,
    };

    public override void SetLength(long value)
    {
        if (value != Length)
            throw new IOException($"{path} grows at its end only; it has {Length} bytes where {value} were asked for.");
    }

    public override void Flush()
    {
    }

    /// <summary>Makes what was written safe from a power cut.</summary>
    public void Sync() => written.Sync();

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            reader?.Dispose();
            written.Dispose();
        }

        base.Dispose(disposing);
    }
}
