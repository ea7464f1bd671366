using Coppice.Formats;

namespace Coppice.Delta;

/// <summary>The new file while it takes the old one's place: gathers bytes, and puts them into the target group by group.</summary>
sealed class InPlaceStream : Stream
{
    /// <summary>Bytes from which a group is put into the target.</summary>
    const int GroupBytes = 1 << 20;

    readonly IPatchFile target;
    readonly Journal journal;
    readonly OldReads reads;
    readonly long oldLength;
    readonly long mostJournal;
    readonly MemoryStream pending = new(Journal.AreaBytes);
    long committed;
    PatchProgress reached;

    public InPlaceStream(IPatchFile target, Journal journal, OldReads reads, PatchProgress start, long mostJournal)
    {
        (this.target, this.journal, this.reads, this.mostJournal) = (target, journal, reads, mostJournal);
        oldLength = reads.Header.OldLength;
        (committed, reached) = (start.NewOffset, start);
        Position = committed;
        Old = new OldView(this);
    }

    /// <summary>The old file as it was.</summary>
    public IByteSource Old { get; }

    public override bool CanRead => true;
    public override bool CanSeek => true;
    public override bool CanWrite => true;
    public override long Length => committed + pending.Length;
    public override long Position { get; set; }

    /// <summary>Told after every record.</summary>
    public void Commit(PatchProgress progress)
    {
        reached = progress;
        if (pending.Length >= GroupBytes)
            Put();
    }

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        if (Position != Length)
            throw new IOException($"the new file grows at byte {Length}, not at {Position}.");
        pending.Write(buffer);
        Position += buffer.Length;
    }

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    public override int Read(Span<byte> buffer)
    {
        if (pending.Length != 0)
            Put(); // what is read back is in the target then
        var count = (int)Math.Min(buffer.Length, committed - Position);
        if (count <= 0)
            return 0;
        target.Read(Position, buffer[..count]);
        Position += count;
        return count;
    }

    public override long Seek(long offset, SeekOrigin origin) => Position = origin switch
    {
        SeekOrigin.Begin => offset,
        SeekOrigin.Current => Position + offset,
        _ => Length + offset,
    };

    public override void SetLength(long value)
    {
        Put();
        target.SetLength(value);
    }

    public override void Flush() => target.Flush();

    protected override void Dispose(bool disposing)
    {
        pending.Dispose();
        base.Dispose(disposing);
    }

    /// <summary>Keeps what later records need of the bytes that will go, makes the group durable, and only then changes the target.</summary>
    void Put()
    {
        if (pending.Length == 0)
            return;
        var made = pending.GetBuffer().AsSpan(0, (int)pending.Length);
        var (from, to) = reads.From(reached.Frames);
        from = Math.Max(from, committed);
        to = Math.Min(Math.Min(to, committed + made.Length), oldLength);
        if (from < to)
        {
            if (journal.LengthWith(to - from) > mostJournal)
                throw new IOException($"the journal would take more than {mostJournal} bytes: the new file is laid out differently; apply the patch to a new file.");
            var old = new byte[to - from];
            target.Read(from, old);
            journal.Keep(from, old);
        }
        journal.Write(reached, made);
        target.Write(committed, made);
        target.Flush();
        committed += made.Length;
        pending.SetLength(0);
    }

    sealed class OldView(InPlaceStream stream) : IByteSource
    {
        public long Length => stream.oldLength;

        public void Read(long offset, Span<byte> into)
        {
            ByteRange.Check(offset, into.Length, Length);
            var gone = (int)Math.Clamp(stream.committed - offset, 0, into.Length);
            if (gone > 0)
                stream.journal.ReadOld(offset, into[..gone]);
            if (gone < into.Length)
                stream.target.Read(offset + gone, into[gone..]);
        }
    }
}
