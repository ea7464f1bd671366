using System.Diagnostics;
using System.Numerics;
using System.Runtime.CompilerServices;

namespace Coppice.Delta.Bytes;

/// <summary>One binary decision at a time, written or read with the same code around it.</summary>
interface IBitCoder
{
    /// <summary>Codes one bit.</summary>
    /// <param name="bit">0 or 1 when writing; ignored when reading.</param>
    /// <param name="one">The probability of a 1 in 1/65536, from 1 to 65535.</param>
    /// <returns>The bit.</returns>
    int Code(int bit, int one);
}

/// <summary>Arithmetic coder with a 32 bit interval and 16 bit probabilities (the carryless coder of the PAQ family).</summary>
struct ArithmeticWriter(int capacity) : IBitCoder
{
    byte[] _bytes = new byte[Math.Max(16, capacity)];
    int _count;
    uint _low;
    uint _high = uint.MaxValue;

    public readonly int Count => _count;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int Code(int bit, int one)
    {
        var middle = Interval.Split(_low, _high, one);
        if (bit != 0)
            _high = middle;
        else
            _low = middle + 1;
        while ((_low ^ _high) >> 24 == 0)
        {
            Put((byte)(_high >> 24));
            _low <<= 8;
            _high = (_high << 8) | 255;
        }
        return bit;
    }

    /// <summary>Ends the stream with as few bytes as name a point of the interval; a reader sees zeros after the end.</summary>
    public byte[] Finish()
    {
        for (var keep = 0; keep <= 4; keep++)
        {
            // The smallest value that is not below `low` and has only `keep` bytes set.
            var step = keep == 4 ? 1UL : 1UL << (32 - 8 * keep);
            var value = (_low + step - 1) / step * step;
            if (value > _high)
                continue;
            for (var i = 0; i < keep; i++)
                Put((byte)(value >> (24 - 8 * i)));
            for (var dropped = 0; dropped < Interval.DroppedZeros - 8 && _count > 0 && _bytes[_count - 1] == 0; dropped++)
                _count--;
            return _bytes.AsSpan(0, _count).ToArray();
        }
        throw new UnreachableException("Four bytes name every point.");
    }

    void Put(byte value)
    {
        if (_count == _bytes.Length)
            Array.Resize(ref _bytes, _bytes.Length * 2);
        _bytes[_count++] = value;
    }
}

/// <summary>Reads what <see cref="ArithmeticWriter"/> wrote; a stream that ends too early is malformed, never an endless one.</summary>
ref struct ArithmeticReader : IBitCoder
{
    readonly ReadOnlySpan<byte> _bytes;
    readonly int _origin;
    int _next;
    uint _low;
    uint _high;
    uint _point;

    /// <param name="bytes">The stream, to its very end.</param>
    /// <param name="origin">Where the stream begins in its frame, for messages.</param>
    public ArithmeticReader(ReadOnlySpan<byte> bytes, int origin)
    {
        _bytes = bytes;
        _origin = origin;
        _high = uint.MaxValue;
        for (var i = 0; i < 4; i++)
            _point = (_point << 8) | Take();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int Code(int bit, int one)
    {
        var middle = Interval.Split(_low, _high, one);
        int read;
        if (_point <= middle)
        {
            read = 1;
            _high = middle;
        }
        else
        {
            read = 0;
            _low = middle + 1;
        }
        while ((_low ^ _high) >> 24 == 0)
        {
            _low <<= 8;
            _high = (_high << 8) | 255;
            _point = (_point << 8) | Take();
        }
        return read;
    }

    /// <summary>Says whether every byte of the stream was used.</summary>
    public readonly void Finish()
    {
        if (_next < _bytes.Length)
            throw new MalformedPatchException(_origin + _next, $"byte frame: {_bytes.Length - _next} bytes are left after the frame's last; fetch the patch again.");
    }

    uint Take()
    {
        // Four bytes are read ahead; a writer drops trailing zeros, at most a run the interval still covers.
        if (_next >= _bytes.Length + Interval.DroppedZeros)
            throw new MalformedPatchException(_origin + _bytes.Length, "byte frame: the coded bits end before the frame does; fetch the patch again.");
        var value = _next < _bytes.Length ? _bytes[_next] : (byte)0;
        _next++;
        return value;
    }
}

/// <summary>Adds up what bits would cost, in 1/4096 bit.</summary>
struct CostMeter : IBitCoder
{
    public long Cost { get; private set; }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int Code(int bit, int one)
    {
        Cost += Logistic.Cost(bit != 0 ? one : 65536 - one);
        return bit;
    }
}

static class Interval
{
    /// <summary>Zeros a reader may see after the end of its stream: what is read ahead, and zeros a writer dropped.</summary>
    public const int DroppedZeros = 1024;

    public static uint Split(uint low, uint high, int one)
    {
        var range = high - low;
        return low + (uint)(((ulong)range * (uint)one) >> 16);
    }

    /// <summary>Bits of a number: 0 for 0, 1 for 1, 2 for 2 and 3.</summary>
    public static int Length(uint value) => 32 - BitOperations.LeadingZeroCount(value);
}
