using Coppice.Formats;

namespace Coppice.Delta.Bytes;

/// <summary>Where strings of 32 bytes are in old files too large to be held: one of every few is noted.</summary>
/// <remarks>At most 2^21 strings in 16 MiB. Equal runs are found from 32 bytes and one step on: 64 bytes up to 64 MiB, 2 KiB at 4 GiB.</remarks>
sealed class AnchorIndex
{
    const int StringLength = 32;
    const int TableBits = 21;
    const int ReadLength = 1 << 16;
    const ulong Base = 0x9E3779B97F4A7C15;

    static readonly ulong Leaving = Power(StringLength);

    readonly IReadOnlyList<IByteSource> _olds;
    readonly long[] _table = new long[1 << TableBits]; // source in the upper 8 bits, offset below, all one more than it is
    readonly byte[] _buffer = new byte[ReadLength + StringLength];
    int _bufferSource = -1;
    long _bufferStart;
    int _bufferLength;

    public AnchorIndex(IReadOnlyList<IByteSource> olds)
    {
        _olds = olds;
        var total = olds.Sum(old => old.Length);
        Step = StringLength;
        while (total / Step > 1L << TableBits)
            Step *= 2;
        for (var source = 0; source < olds.Count; source++)
            Index(source);
    }

    /// <summary>One string of so many bytes is noted.</summary>
    public int Step { get; }

    /// <summary>Calls back for equal strings of 32 bytes: where in <paramref name="bytes"/>, which old file, where in it.</summary>
    public void Find(ReadOnlySpan<byte> bytes, Action<int, int, long> found)
    {
        if (bytes.Length < StringLength)
            return;
        var hash = 0UL;
        for (var i = 0; i < StringLength; i++)
            hash = hash * Base + bytes[i] + 1;
        var next = 0; // nothing is looked for inside a string that was found
        for (var i = 0; ; i++)
        {
            if (i >= next && _table[Slot(hash)] is var entry and not 0)
            {
                var source = (int)((entry - 1) >> 48);
                var offset = (entry - 1) & ((1L << 48) - 1);
                if (bytes.Slice(i, StringLength).SequenceEqual(Read(source, offset)))
                {
                    found(i, source, offset);
                    next = i + StringLength;
                }
            }
            if (i + StringLength >= bytes.Length)
                return;
            hash = hash * Base + bytes[i + StringLength] + 1 - (bytes[i] + 1UL) * Leaving;
        }
    }

    void Index(int source)
    {
        var old = _olds[source];
        for (var offset = 0L; offset + StringLength <= old.Length; offset += Step)
        {
            var hash = 0UL;
            foreach (var value in Read(source, offset))
                hash = hash * Base + value + 1;
            ref var entry = ref _table[Slot(hash)];
            if (entry == 0) // the first stays: of strings that come again and again, one is enough
                entry = ((long)source << 48 | offset) + 1;
        }
    }

    ReadOnlySpan<byte> Read(int source, long offset)
    {
        if (source != _bufferSource || offset < _bufferStart || offset + StringLength > _bufferStart + _bufferLength)
        {
            _bufferSource = -1;
            _bufferStart = offset;
            _bufferLength = (int)Math.Min(_buffer.Length, _olds[source].Length - offset);
            _olds[source].Read(offset, _buffer.AsSpan(0, _bufferLength));
            _bufferSource = source;
        }
        return _buffer.AsSpan((int)(offset - _bufferStart), StringLength);
    }

    static int Slot(ulong hash) => (int)((hash ^ hash >> 32) * 0xD6E8FEB86659FD93UL >> (64 - TableBits));

    static ulong Power(int exponent)
    {
        var power = 1UL;
        for (; exponent > 0; exponent--)
            power *= Base;
        return power;
    }
}
