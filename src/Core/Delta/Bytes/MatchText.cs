using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Coppice.Delta.Bytes;

/// <summary>A part of a source as it lies in a <see cref="MatchText"/>.</summary>
/// <param name="Source">The old file, or the number of old files for the new file itself.</param>
/// <param name="Offset">Where it begins in the source.</param>
/// <param name="Start">Where it begins in the text.</param>
/// <param name="Length">Bytes.</param>
readonly record struct TextPart(int Source, long Offset, int Start, int Length)
{
    public int End => Start + Length;
}

/// <summary>Parts of old files and then the new bytes, in one array, with an index of where strings came before.</summary>
/// <remarks>
/// 5 bytes per byte of text and at most 34 MiB besides: a chain of the places of equal strings of 6 bytes, the last place of strings of 4,
/// and four places of strings of 16, of which every place is noted in texts up to 4 MiB and fewer in longer ones.
/// </remarks>
sealed class MatchText
{
    /// <summary>Bytes that a long string has at least.</summary>
    public const int LongLength = 16;

    const int LongPlaces = 4;
    const int MostLongBits = 20;
    const int ShortLength = 6;
    const int LeastLength = 4;
    const int LeastBits = 16;

    readonly byte[] _bytes;
    readonly int[] _heads;
    readonly int[] _before;
    readonly int[] _least = new int[1 << LeastBits];
    readonly int[] _long;
    readonly int _hashBits;
    readonly int _longBits;
    readonly int _longStep;
    int _indexed;

    /// <param name="parts">Where each part begins in a source; the last part is of the new file.</param>
    /// <param name="read">Fills a part's bytes.</param>
    public MatchText(IReadOnlyList<TextPart> parts, Action<TextPart, Span<byte>> read)
    {
        Parts = parts;
        var length = parts[^1].End;
        _bytes = new byte[length + 8]; // whole words can be read at the end
        foreach (var part in parts)
            read(part, _bytes.AsSpan(part.Start, part.Length));
        Length = length;
        _hashBits = Math.Clamp(Interval.Length((uint)length), 10, 21);
        _longBits = Math.Clamp(Interval.Length((uint)length) - 1, 8, MostLongBits);
        _longStep = 1;
        while (length / _longStep > LongPlaces << _longBits)
            _longStep *= 2;
        _heads = new int[1 << _hashBits];
        _before = new int[length];
        _long = new int[LongPlaces << _longBits];
        _heads.AsSpan().Fill(-1);
        _least.AsSpan().Fill(-1);
        _long.AsSpan().Fill(-1);
    }

    public IReadOnlyList<TextPart> Parts { get; }

    public int Length { get; }

    public ReadOnlySpan<byte> Bytes => _bytes.AsSpan(0, Length);

    public Span<byte> Slice(int start, int length) => _bytes.AsSpan(start, length);

    /// <summary>The part that holds a place of the text.</summary>
    public TextPart PartAt(int place)
    {
        int low = 0, high = Parts.Count - 1;
        while (low < high)
        {
            var middle = (low + high + 1) / 2;
            if (Parts[middle].Start <= place)
                low = middle;
            else
                high = middle - 1;
        }
        return Parts[low];
    }

    /// <summary>Indexes every place before <paramref name="end"/>.</summary>
    public void IndexTo(int end)
    {
        for (; _indexed < end; _indexed++)
        {
            if (_indexed + LongLength > Length)
            {
                _before[_indexed] = -1;
                continue;
            }
            ref var head = ref _heads[ShortHash(_indexed)];
            _before[_indexed] = head;
            head = _indexed;
            _least[LeastHash(_indexed)] = _indexed;
            if ((_indexed & (_longStep - 1)) != 0)
                continue;
            var places = _long.AsSpan(LongHash(_indexed) * LongPlaces, LongPlaces);
            places[..(LongPlaces - 1)].CopyTo(places[1..]);
            places[0] = _indexed;
        }
    }

    /// <summary>The latest earlier place with (probably) the same short string, or -1.</summary>
    public int FirstShort(int place) => place + LongLength > Length ? -1 : place < _indexed ? _before[place] : _heads[ShortHash(place)];

    /// <summary>The one before.</summary>
    public int NextShort(int place) => _before[place];

    /// <summary>The latest place with (probably) the same four bytes, or -1.</summary>
    public int Least(int place) => place + LongLength > Length ? -1 : _least[LeastHash(place)];

    /// <summary>Places with (probably) the same long string; -1 where there are fewer.</summary>
    public ReadOnlySpan<int> Long(int place) => place + LongLength > Length ? [] : _long.AsSpan(LongHash(place) * LongPlaces, LongPlaces);

    /// <summary>Equal bytes from two places on, at most <paramref name="most"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int Equal(int a, int b, int most) =>
        MemoryExtensions.CommonPrefixLength(
            MemoryMarshal.CreateReadOnlySpan(ref _bytes[a], most), MemoryMarshal.CreateReadOnlySpan(ref _bytes[b], most));

    int ShortHash(int place) => (int)((Word(place) << (64 - 8 * ShortLength)) * 0x9E3779B97F4A7C15UL >> (64 - _hashBits));

    int LeastHash(int place) => (int)((uint)(Word(place) << (64 - 8 * LeastLength) >> 32) * 0x9E3779B1u >> (32 - LeastBits));

    int LongHash(int place) =>
        (int)((Word(place) * 0x9E3779B97F4A7C15UL ^ Word(place + 8)) * 0xC2B2AE3D27D4EB4FUL >> (64 - _longBits));

    ulong Word(int place) => BinaryPrimitives.ReadUInt64LittleEndian(_bytes.AsSpan(place, 8));
}
