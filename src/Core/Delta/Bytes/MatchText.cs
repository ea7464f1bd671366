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
/// <remarks>17 bytes per byte of text and 16 MiB: two chains of places, of 4 (or 6) and of 16 equal bytes.</remarks>
sealed class MatchText
{
    public const int LongLength = 16;

    readonly byte[] _bytes;
    readonly int[] _shortHeads;
    readonly int[] _longHeads;
    readonly int[] _shortBefore;
    readonly int[] _longBefore;
    readonly int _hashBits;
    int _indexed;

    /// <param name="parts">Where each part begins in a source; the last part is of the new file.</param>
    /// <param name="read">Fills a part's bytes.</param>
    /// <param name="shortLength">3 to 8: the length of the strings that the first chain joins.</param>
    public MatchText(IReadOnlyList<TextPart> parts, Action<TextPart, Span<byte>> read, int shortLength)
    {
        Parts = parts;
        ShortLength = shortLength;
        var length = parts[^1].End;
        _bytes = new byte[length + 8]; // whole words can be read at the end
        foreach (var part in parts)
            read(part, _bytes.AsSpan(part.Start, part.Length));
        Length = length;
        _hashBits = Math.Clamp(Interval.Length((uint)length), 12, 21);
        _shortHeads = new int[1 << _hashBits];
        _longHeads = new int[1 << _hashBits];
        _shortHeads.AsSpan().Fill(-1);
        _longHeads.AsSpan().Fill(-1);
        _shortBefore = new int[length];
        _longBefore = new int[length];
    }

    public IReadOnlyList<TextPart> Parts { get; }

    public int ShortLength { get; }

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
                _shortBefore[_indexed] = _longBefore[_indexed] = -1;
                continue;
            }
            ref var shorter = ref _shortHeads[ShortHash(_indexed)];
            _shortBefore[_indexed] = shorter;
            shorter = _indexed;
            ref var longer = ref _longHeads[LongHash(_indexed)];
            _longBefore[_indexed] = longer;
            longer = _indexed;
        }
    }

    /// <summary>The latest earlier place with (probably) the same short string, or -1. The place must be indexed next.</summary>
    public int FirstShort(int place) => place + LongLength > Length ? -1 : place < _indexed ? _shortBefore[place] : _shortHeads[ShortHash(place)];

    public int FirstLong(int place) => place + LongLength > Length ? -1 : place < _indexed ? _longBefore[place] : _longHeads[LongHash(place)];

    public int NextShort(int place) => _shortBefore[place];

    public int NextLong(int place) => _longBefore[place];

    /// <summary>Equal bytes from two places on, at most <paramref name="most"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int Equal(int a, int b, int most) =>
        MemoryExtensions.CommonPrefixLength(
            MemoryMarshal.CreateReadOnlySpan(ref _bytes[a], most), MemoryMarshal.CreateReadOnlySpan(ref _bytes[b], most));

    uint ShortHash(int place) =>
        (uint)((Word(place) << (64 - 8 * ShortLength)) * 0x9E3779B97F4A7C15UL >> (64 - _hashBits));

    uint LongHash(int place) =>
        (uint)((Word(place) * 0x9E3779B97F4A7C15UL ^ Word(place + 8)) * 0xC2B2AE3D27D4EB4FUL >> (64 - _hashBits));

    ulong Word(int place) => System.Buffers.Binary.BinaryPrimitives.ReadUInt64LittleEndian(_bytes.AsSpan(place, 8));
}
