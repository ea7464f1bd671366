using System.Diagnostics;

namespace Coppice.Delta.Bytes;

/// <summary>Static frequencies of up to 256 symbols that add up to 2^11, for rANS.</summary>
static class FastTables
{
    public const int Bits = 11;
    public const int Total = 1 << Bits;

    /// <summary>Scales counts so that they add up to <see cref="Total"/> and no symbol that occurs is lost.</summary>
    public static int[] Normalise(ReadOnlySpan<int> counts)
    {
        var sum = 0L;
        foreach (var count in counts)
            sum += count;
        var scaled = new int[256];
        if (sum == 0)
        {
            scaled[0] = Total;
            return scaled;
        }
        var left = Total;
        for (var i = 0; i < counts.Length; i++)
            if (counts[i] > 0)
                left -= scaled[i] = (int)Math.Max(1, (counts[i] * (long)Total + sum / 2) / sum);
        // What rounding gave too much or too little is settled where it costs least.
        while (left != 0)
        {
            var step = left > 0 ? 1 : -1;
            var best = -1;
            var bestGain = long.MinValue;
            for (var i = 0; i < counts.Length; i++)
            {
                if (scaled[i] == 0 || scaled[i] + step <= 0)
                    continue;
                var gain = counts[i] * (long)(Cost(scaled[i]) - Cost(scaled[i] + step));
                if (gain > bestGain)
                    (best, bestGain) = (i, gain);
            }
            Debug.Assert(best >= 0, "a table has room for every symbol");
            scaled[best] += step;
            left -= step;
        }
        return scaled;
    }

    static int Cost(int frequency) => Logistic.Cost(frequency << (16 - Bits));

    /// <summary>Writes or reads a table: for each symbol the length of its frequency in bits, given the last two lengths, then the bits.</summary>
    /// <exception cref="MalformedPatchException">The frequencies that were read do not add up to 2^11.</exception>
    public static void Code<TCoder>(ref TCoder coder, Span<int> frequencies, FastTableModel model) where TCoder : struct, IBitCoder, allows ref struct
    {
        int last = 0, before = 0, sum = 0;
        for (var symbol = 0; symbol < 256; symbol++)
        {
            var frequency = frequencies[symbol];
            var length = model.Code(ref coder, Interval.Length((uint)frequency), Math.Min(last + before, 15));
            var value = length == 0 ? 0 : 1;
            for (var i = length - 2; i >= 0; i--)
                value = value << 1 | coder.Code((frequency >> i) & 1, 32768);
            frequencies[symbol] = value;
            sum += value;
            (before, last) = (last, length);
        }
        if (sum != Total)
            throw new MalformedPatchException(0, $"byte frame: the frequencies of a table add up to {sum}, not {Total}; fetch the patch again.");
    }

    /// <summary>Spreads a table for decoding: per slot the symbol in bits 0-7, frequency less one in 8-19, place in the symbol from 20 on.</summary>
    public static void Spread(ReadOnlySpan<int> frequencies, Span<uint> slots)
    {
        var slot = 0;
        for (var symbol = 0; symbol < 256; symbol++)
            for (var i = 0; i < frequencies[symbol]; i++)
                slots[slot++] = (uint)(symbol | (frequencies[symbol] - 1) << 8 | i << 20);
    }
}

/// <summary>Adaptive lengths of frequencies, 0 to 12 bits, shared by all tables of a frame.</summary>
sealed class FastTableModel
{
    const int Limit = 60;
    readonly uint[] _slots = new uint[16 * 16];

    public FastTableModel() => Reset();

    public void Reset() => _slots.AsSpan().Fill(AdaptiveBits.Fresh);

    public int Code<TCoder>(ref TCoder coder, int length, int context) where TCoder : struct, IBitCoder, allows ref struct
    {
        var node = 1;
        for (var i = 3; i >= 0; i--)
            node = node << 1 | AdaptiveBits.Code(ref coder, ref _slots[context * 16 + node], (length >> i) & 1, Limit);
        return node & 15;
    }
}
