using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Coppice.Delta.Bytes;

/// <summary>Probabilities and their log odds as integers, from tables that integer arithmetic makes: the same on every processor.</summary>
static class Logistic
{
    /// <summary>Log odds are in 1/256 and are cut to ±this, about 12 nats.</summary>
    public const int Limit = 3071;

    static readonly ushort[] SquashTable = MakeSquash();
    static readonly short[] StretchTable = MakeStretch();
    static readonly ushort[] CostTable = MakeCost();

    /// <summary>The probability of log odds that are not beyond ±<see cref="Limit"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int SquashInside(int odds) => Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(SquashTable), odds + Limit);

    /// <summary>The probability, in 1/65536 and from 1 to 65535, of log odds in 1/256.</summary>
    public static int Squash(int odds) => SquashTable[Math.Clamp(odds, -Limit, Limit) + Limit];

    /// <summary>The log odds, in 1/256, of a probability in 1/4096, 0 to 4095.</summary>
    public static int Stretch(int probability) => StretchTable[probability & 4095];

    /// <summary>The log odds of every probability in 1/4096, cut to ±2047 as a mixer wants its inputs.</summary>
    public static ReadOnlySpan<short> Inputs => InputTable;

    static readonly short[] InputTable = [.. StretchTable.Select(odds => (short)Math.Clamp((int)odds, -2047, 2047))];

    /// <summary>What an event of this probability (in 1/65536, 1 to 65536) costs, in 1/4096 bit.</summary>
    public static int Cost(int probability) =>
        probability >= 32768 ? CostTable[probability >> 3] - ((probability & 7) * (CostTable[probability >> 3] - CostTable[Math.Min(8192, (probability >> 3) + 1)]) >> 3)
        : 4096 + Cost(probability << 1);

    static ushort[] MakeSquash()
    {
        // e^(-k/256) in 2^60ths by repeated multiplication; 1/(1+e) by division. All integers.
        const ulong one = 1UL << 60;
        const ulong step = 1_148_426_689_630_428_644; // e^(-1/256) × 2^60, rounded
        var table = new ushort[2 * Limit + 1];
        var power = one;
        for (var k = 0; k <= Limit; k++)
        {
            var probability = (int)Math.Clamp((long)((UInt128)one * 65536 / (one + power)), 1L, 65535L);
            table[Limit + k] = (ushort)probability;
            table[Limit - k] = (ushort)(65536 - probability);
            power = (ulong)(((UInt128)power * step) >> 60);
        }
        table[Limit] = 32768;
        return table;
    }

    static short[] MakeStretch()
    {
        // The smallest log odds whose probability reaches the middle of the input's step.
        var table = new short[4096];
        var odds = -Limit;
        for (var p = 0; p < 4096; p++)
        {
            while (odds < Limit && Squash(odds) < p * 16 + 8)
                odds++;
            table[p] = (short)odds;
        }
        return table;
    }

    static ushort[] MakeCost()
    {
        // -log2(x) for x in 1/8192 from 1/2 to 1, by squaring: each squaring yields one more bit of the logarithm.
        var table = new ushort[8193];
        for (var i = 4096; i < 8192; i++)
        {
            var x = (ulong)i << 19; // 2^32ths
            uint log = 0;
            var value = x;
            // value in [2^31, 2^32): log2(value / 2^31) bit by bit.
            for (var bit = 0; bit < 12; bit++)
            {
                var square = (UInt128)value * value;
                log <<= 1;
                if (square >= (UInt128)1 << 63)
                {
                    log |= 1;
                    value = (ulong)(square >> 32);
                }
                else
                {
                    value = (ulong)(square >> 31);
                }
            }
            table[i] = (ushort)(4096 - log);
        }
        table[8192] = 0;
        return table;
    }
}
