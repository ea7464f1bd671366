using System.Globalization;
using System.Net.Http.Headers;
using System.Runtime.CompilerServices;
using System.Text;

namespace Coppice.Agent.Link;

/// <summary>The parts of a <c>multipart/byteranges</c> answer (RFC 9110, 14.6), one after the other, in memory that does not grow with them.</summary>
/// <param name="body">The answer's body.</param>
/// <param name="boundary">As its type says; null when it says none.</param>
/// <param name="address">Where it comes from, for who reads of trouble.</param>
sealed class MultipartBody(Stream body, string? boundary, Uri address)
{
    const int MostBoundary = 200;
    const int MostLine = 2048;
    const int MostLines = 32;

    readonly Stream source = body;
    readonly Uri place = address;
    readonly byte[] buffer = new byte[16 << 10];
    int at, end;

    /// <summary>A part.</summary>
    public sealed record Part(Stream Bytes, long Offset, long Length);

    /// <summary>The parts in the order of the answer. Each is read to its end, or what is left of it is passed over, before the next.</summary>
    /// <param name="length">Of the whole file.</param>
    /// <param name="cancel">Ends the call.</param>
    /// <exception cref="LinkException">It is no such answer.</exception>
    public async IAsyncEnumerable<Part> ReadAsync(long length, [EnumeratorCancellation] CancellationToken cancel)
    {
        if (boundary is not { Length: > 0 and <= MostBoundary })
            throw Wrong("names no boundary");
        var line = await LineAsync(cancel);
        if (line.Length == 0)
            line = await LineAsync(cancel); // what stands before the first boundary: an empty line, with most servers
        for (; ; )
        {
            if (line == $"--{boundary}--")
                yield break;
            if (line != $"--{boundary}")
                throw Wrong("has a part without its boundary");
            ContentRangeHeaderValue? range = null;
            for (var lines = 0; (line = await LineAsync(cancel)).Length > 0; lines++)
            {
                if (lines == MostLines)
                    throw Wrong("has a part with too long a head");
                if (line.StartsWith("Content-Range:", StringComparison.OrdinalIgnoreCase))
                    _ = ContentRangeHeaderValue.TryParse(line["Content-Range:".Length..].Trim(), out range);
            }

            if (range is not { From: { } from, To: { } to } || to < from || to >= length || (range.Length is { } all && all != length))
                throw Wrong(string.Create(CultureInfo.InvariantCulture, $"has a part with the range {range?.ToString() ?? "(none)"} of a file of {length} bytes"));
            var part = new PartStream(this, to - from + 1);
            yield return new(part, from, to - from + 1);
            await part.PassAsync(cancel);
            if ((await LineAsync(cancel)).Length > 0)
                throw Wrong("has a part that goes on after its range");
            line = await LineAsync(cancel);
        }
    }

    LinkException Wrong(string what) => new($"{place} answered several ranges in a form that {what}.") { Lasting = true };

    /// <summary>The next line without its end.</summary>
    async ValueTask<string> LineAsync(CancellationToken cancel)
    {
        var line = new StringBuilder();
        for (; ; )
        {
            if (at == end && !await FillAsync(cancel))
                throw new LinkException($"{place}: the answer of several ranges broke off.");
            var c = (char)buffer[at++];
            if (c == '\n')
                return line.Length > 0 && line[^1] == '\r' ? line.ToString(0, line.Length - 1) : line.ToString();
            if (line.Length == MostLine)
                throw Wrong("has too long a line");
            line.Append(c);
        }
    }

    async ValueTask<bool> FillAsync(CancellationToken cancel)
    {
        (at, end) = (0, await source.ReadAsync(buffer, cancel));
        return end > 0;
    }

    sealed class PartStream(MultipartBody from, long length) : Stream
    {
        long left = length;

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override async ValueTask<int> ReadAsync(Memory<byte> into, CancellationToken cancellationToken = default)
        {
            var most = (int)Math.Min(into.Length, left);
            if (most == 0)
                return 0;
            int read;
            if (from.at < from.end)
            {
                read = Math.Min(most, from.end - from.at);
                from.buffer.AsSpan(from.at, read).CopyTo(into.Span);
                from.at += read;
            }
            else
            {
                read = await from.source.ReadAsync(into[..most], cancellationToken);
            }

            left -= read;
            return read;
        }

        public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        /// <summary>Passes over what the reader left.</summary>
        public async ValueTask PassAsync(CancellationToken cancel)
        {
            var rest = new byte[4096];
            while (left > 0)
            {
                if (await ReadAsync(rest, cancel) == 0)
                    throw new LinkException($"{from.place}: the answer of several ranges broke off.");
            }
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override void Flush()
        {
        }
    }
}
