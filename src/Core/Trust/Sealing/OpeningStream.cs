using System.Buffers;

namespace Coppice.Trust.Sealing;

/// <summary>The plaintext of a sealed file, from a segment on, while its sealed bytes come. Gives out nothing that was not found to be whole.</summary>
/// <remarks>Where the sealed bytes end too early this stream ends too, after the last whole segment; the reader knows the length it wants.
/// Memory: two segments.</remarks>
public sealed class OpeningStream : Stream
{
    readonly Stream _sealed;
    readonly SegmentCipher _cipher;
    readonly long _plainLength;
    readonly byte[] _segment;
    readonly byte[] _plain;
    long _next;
    int _skip, _at, _end;
    bool _ended;

    /// <param name="sealedBytes">From the beginning of a segment on; disposed of with this stream.</param>
    /// <param name="cipher">Of the file; disposed of with this stream.</param>
    /// <param name="plainLength">Bytes of the whole plaintext.</param>
    /// <param name="from">Where in the plaintext to begin. <paramref name="sealedBytes"/> begins with the segment that holds it.</param>
    public OpeningStream(Stream sealedBytes, SegmentCipher cipher, long plainLength, long from = 0)
    {
        (_sealed, _cipher, _plainLength) = (sealedBytes, cipher, plainLength);
        var size = cipher.Header.Segment;
        _next = from / size;
        _skip = (int)(from % size); // in the first segment
        var most = (int)Math.Min(size, plainLength);
        _segment = ArrayPool<byte>.Shared.Rent(most + SealHeader.TagBytes);
        _plain = ArrayPool<byte>.Shared.Rent(most);
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
    /// <exception cref="BrokenSealException">The sealed bytes are not those of the file.</exception>
    public override int Read(Span<byte> buffer)
    {
        while (_at >= _end)
        {
            if (_ended || buffer.IsEmpty || Wanted() is not { } wanted)
                return 0;
            var got = _sealed.ReadAtLeast(_segment.AsSpan(0, wanted), wanted, throwOnEndOfStream: false);
            if (!Open(got, wanted))
                return 0;
        }

        return Take(buffer);
    }

    /// <inheritdoc/>
    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    /// <inheritdoc/>
    /// <exception cref="BrokenSealException">The sealed bytes are not those of the file.</exception>
    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        while (_at >= _end)
        {
            if (_ended || buffer.IsEmpty || Wanted() is not { } wanted)
                return 0;
            var got = await _sealed.ReadAtLeastAsync(_segment.AsMemory(0, wanted), wanted, throwOnEndOfStream: false, cancellationToken);
            if (!Open(got, wanted))
                return 0;
        }

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
        if (disposing && !_ended)
            End();
        if (disposing)
        {
            _sealed.Dispose();
            _cipher.Dispose();
        }

        base.Dispose(disposing);
    }

    /// <summary>Bytes of the next segment; null when there is none.</summary>
    int? Wanted()
    {
        var segments = SealHeader.Segments(_plainLength, _cipher.Header.Segment);
        if (_next >= segments)
        {
            End();
            return null;
        }

        return PlainOf(_next, segments) + SealHeader.TagBytes;
    }

    int PlainOf(long index, long segments) => index < segments - 1 ? _cipher.Header.Segment : (int)(_plainLength - (index * _cipher.Header.Segment));

    bool Open(int got, int wanted)
    {
        if (got < wanted)
        {
            End(); // cut short: what is here of the segment cannot be proved
            return false;
        }

        var size = wanted - SealHeader.TagBytes;
        _cipher.Open(_next, _next == SealHeader.Segments(_plainLength, _cipher.Header.Segment) - 1, _segment.AsSpan(0, wanted), _plain.AsSpan(0, size));
        _next++;
        (_at, _end, _skip) = (_skip, size, 0);
        return true;
    }

    int Take(Span<byte> buffer)
    {
        var count = Math.Min(buffer.Length, _end - _at);
        _plain.AsSpan(_at, count).CopyTo(buffer);
        _at += count;
        return count;
    }

    void End()
    {
        _ended = true;
        (_at, _end) = (0, 0);
        ArrayPool<byte>.Shared.Return(_segment);
        ArrayPool<byte>.Shared.Return(_plain, clearArray: true);
    }
}
