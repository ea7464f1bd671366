namespace Coppice.Trust.Sealing;

/// <summary>The sealed form of a plaintext, read as it is wanted: header, then segments. Memory: two segments.</summary>
public sealed class SealingStream : Stream
{
    readonly Stream _plain;
    readonly SegmentCipher _cipher;
    readonly byte[] _segment; // plaintext, and one byte more to see whether it is the last
    readonly byte[] _sealed;
    long _next;
    int _at, _end, _held;
    bool _ended;

    /// <param name="plain">Read from where it stands to its end; disposed of with this stream.</param>
    /// <param name="cipher">Of the file; disposed of with this stream.</param>
    public SealingStream(Stream plain, SegmentCipher cipher)
    {
        (_plain, _cipher) = (plain, cipher);
        _segment = new byte[cipher.Header.Segment + 1];
        _sealed = new byte[cipher.Header.Segment + SealHeader.TagBytes];
        cipher.Header.Write(_sealed);
        _end = SealHeader.ByteCount;
    }

    /// <inheritdoc/>
    public override bool CanRead => true;

    /// <inheritdoc/>
    public override bool CanSeek => false;

    /// <inheritdoc/>
    public override bool CanWrite => false;

    /// <inheritdoc/>
    public override long Length => throw new NotSupportedException();

    /// <inheritdoc/>
    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

    /// <inheritdoc/>
    public override int Read(Span<byte> buffer)
    {
        if (_at == _end && !_ended)
            Seal(_plain.ReadAtLeast(_segment.AsSpan(_held), _segment.Length - _held, throwOnEndOfStream: false));
        return Take(buffer);
    }

    /// <inheritdoc/>
    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    /// <inheritdoc/>
    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (_at == _end && !_ended)
            Seal(await _plain.ReadAtLeastAsync(_segment.AsMemory(_held), _segment.Length - _held, throwOnEndOfStream: false, cancellationToken));
        return Take(buffer.Span);
    }

    /// <inheritdoc/>
    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    /// <inheritdoc/>
    public override void Flush()
    {
    }

    /// <inheritdoc/>
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    /// <inheritdoc/>
    public override void SetLength(long value) => throw new NotSupportedException();

    /// <inheritdoc/>
    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _plain.Dispose();
            _cipher.Dispose();
        }

        base.Dispose(disposing);
    }

    void Seal(int read)
    {
        var here = _held + read;
        _ended = here < _segment.Length;
        var size = Math.Min(here, _cipher.Header.Segment);
        _cipher.Seal(_next++, _ended, _segment.AsSpan(0, size), _sealed);
        (_at, _end) = (0, size + SealHeader.TagBytes);
        _held = _ended ? 0 : 1;
        _segment[0] = _segment[^1];
    }

    int Take(Span<byte> buffer)
    {
        var count = Math.Min(buffer.Length, _end - _at);
        _sealed.AsSpan(_at, count).CopyTo(buffer);
        _at += count;
        return count;
    }
}
