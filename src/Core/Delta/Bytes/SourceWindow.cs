using System.Runtime.CompilerServices;
using Coppice.Formats;

namespace Coppice.Delta.Bytes;

/// <summary>Reads single bytes and runs of the sources a frame may use, through one buffer of 8 KiB.</summary>
sealed class SourceWindow
{
    const int Size = 8192;
    const int Before = 64;

    IReadOnlyList<IByteSource> _olds;
    IByteSource _made;
    readonly byte[] _buffer = new byte[Size];
    int _source = -1;
    long _start;
    int _filled;

    /// <param name="olds">The old files.</param>
    /// <param name="made">The new file so far; read only before the frame.</param>
    public SourceWindow(IReadOnlyList<IByteSource> olds, IByteSource made)
    {
        _olds = olds;
        _made = made;
    }

    /// <summary>Reads from other files from now on.</summary>
    public void Use(IReadOnlyList<IByteSource> olds, IByteSource made) => (_olds, _made, _source) = (olds, made, -1);

    /// <summary>Forgets what is buffered: the new file has grown.</summary>
    public void Reset() => _source = -1;

    /// <summary>How many old files there are.</summary>
    public int Olds => _olds.Count;

    /// <summary>Whether this is the new file itself.</summary>
    public bool IsOwn(int source) => source == _olds.Count;

    /// <summary>The source's length; for the new file itself, <paramref name="position"/>.</summary>
    public long Length(int source, long position) => source < _olds.Count ? _olds[source].Length : position;

    /// <summary>A byte, or 0 where the source has none yet.</summary>
    /// <param name="source">Which.</param>
    /// <param name="offset">Any number.</param>
    /// <param name="frame">The frame's bytes.</param>
    /// <param name="origin">Where the frame begins in the new file.</param>
    /// <param name="place">How many bytes of the frame are known.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int At(int source, long offset, ReadOnlySpan<byte> frame, long origin, int place)
    {
        if (source == _olds.Count && offset >= origin)
            return offset - origin < place ? frame[(int)(offset - origin)] : 0;
        var index = offset - _start;
        return source == _source && (ulong)index < (ulong)_filled ? _buffer[(int)index] : Fill(source, offset, origin);
    }

    int Fill(int source, long offset, long origin)
    {
        var length = source < _olds.Count ? _olds[source].Length : Math.Min(origin, _made.Length);
        if (offset < 0 || offset >= length)
            return 0;
        _source = -1;
        _start = Math.Max(0, offset - Before);
        _filled = (int)Math.Min(Size, length - _start);
        (source < _olds.Count ? _olds[source] : _made).Read(_start, _buffer.AsSpan(0, _filled));
        _source = source;
        return _buffer[(int)(offset - _start)];
    }

    /// <summary>Copies a run, which may overlap its own target: then what was just written repeats.</summary>
    /// <remarks>The caller has checked that the run is inside the source.</remarks>
    public void Copy(int source, long from, Span<byte> frame, long origin, int place, int count)
    {
        if (source < _olds.Count)
        {
            _olds[source].Read(from, frame.Slice(place, count));
            return;
        }
        if (from < origin)
        {
            var before = (int)Math.Min(count, origin - from);
            _made.Read(from, frame.Slice(place, before));
            place += before;
            count -= before;
            from += before;
        }
        while (count > 0)
        {
            var available = Math.Min(count, place - (int)(from - origin)); // doubles as it repeats
            frame.Slice((int)(from - origin), available).CopyTo(frame[place..]);
            place += available;
            count -= available;
        }
    }
}
