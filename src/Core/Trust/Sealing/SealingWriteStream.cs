namespace Coppice.Trust.Sealing;

/// <summary>Seals what is written to it, when the length is not known before: header, then segments. Memory: two segments.</summary>
/// <remarks>The file is whole only after <see cref="Complete"/>; what was written without it does not open to its end.</remarks>
public sealed class SealingWriteStream : Stream
{
    readonly Stream _into;
    readonly SegmentCipher _cipher;
    readonly byte[] _segment;
    readonly byte[] _sealed;
    long _next;
    int _held;

    /// <param name="into">Where the sealed bytes go; left open.</param>
    /// <param name="cipher">Of the file; left to the caller.</param>
    public SealingWriteStream(Stream into, SegmentCipher cipher)
    {
        (_into, _cipher) = (into, cipher);
        _segment = new byte[cipher.Header.Segment];
        _sealed = new byte[cipher.Header.Segment + SealHeader.TagBytes];
        cipher.Header.Write(_sealed);
        into.Write(_sealed.AsSpan(0, SealHeader.ByteCount));
    }

    /// <inheritdoc/>
    public override bool CanRead => false;

    /// <inheritdoc/>
    public override bool CanSeek => false;

    /// <inheritdoc/>
    public override bool CanWrite => true;

    /// <inheritdoc/>
    public override long Length => throw new NotSupportedException();

    /// <inheritdoc/>
    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

    /// <inheritdoc/>
    public override void Write(ReadOnlySpan<byte> buffer)
    {
        while (!buffer.IsEmpty)
        {
            if (_held == _segment.Length) // not before: a full segment may be the last
                Seal(last: false);
            var count = Math.Min(buffer.Length, _segment.Length - _held);
            buffer[..count].CopyTo(_segment.AsSpan(_held));
            _held += count;
            buffer = buffer[count..];
        }
    }

    /// <inheritdoc/>
    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    /// <summary>Writes the last segment. Once, after everything.</summary>
    public void Complete() => Seal(last: true);

    /// <inheritdoc/>
    public override void Flush()
    {
    }

    /// <inheritdoc/>
    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    /// <inheritdoc/>
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    /// <inheritdoc/>
    public override void SetLength(long value) => throw new NotSupportedException();

    void Seal(bool last)
    {
        _cipher.Seal(_next++, last, _segment.AsSpan(0, _held), _sealed);
        _into.Write(_sealed.AsSpan(0, _held + SealHeader.TagBytes));
        _held = 0;
    }
}
