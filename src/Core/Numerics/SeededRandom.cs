using System.Numerics;

namespace Coppice.Numerics;

/// <summary>Random numbers that the seed alone decides: the same on every platform, for simulation, sampling and training.</summary>
/// <remarks>
/// xoshiro256** (Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2021), its state filled by SplitMix64.
/// Floating-point values are made with +, -, ×, ÷ and square root only, which IEEE 754 rounds alike everywhere; a library's logarithm
/// or sine may differ in its last bit. Not for keys, salts or privacy noise: who sees a few values knows the rest. Not for two threads at once.
/// </remarks>
public sealed class SeededRandom
{
    const double ToUnit = 1.0 / (1UL << 53);
    const double Ln2 = 0.693147180559945309417232;

    ulong s0, s1, s2, s3;
    double spare = double.NaN;

    /// <summary>A generator for a seed; close seeds give unrelated numbers.</summary>
    public SeededRandom(ulong seed)
    {
        s0 = SplitMix(ref seed);
        s1 = SplitMix(ref seed);
        s2 = SplitMix(ref seed);
        s3 = SplitMix(ref seed);
    }

    SeededRandom(ulong s0, ulong s1, ulong s2, ulong s3) => (this.s0, this.s1, this.s2, this.s3) = (s0, s1, s2, s3);

    /// <summary>A generator that continues from a state of xoshiro256**.</summary>
    /// <exception cref="ArgumentException">All four words are zero, from where the generator never leaves.</exception>
    public static SeededRandom FromState(ulong s0, ulong s1, ulong s2, ulong s3) => (s0 | s1 | s2 | s3) != 0
        ? new(s0, s1, s2, s3)
        : throw new ArgumentException("A state of four zeros only gives zeros; set at least one bit.", nameof(s0));

    /// <summary>A generator of its own for a part of the work, so that one part may draw more without changing another.</summary>
    /// <param name="stream">Which part; the same stream of the same state gives the same numbers. This generator does not move.</param>
    public SeededRandom Fork(ulong stream)
    {
        var mixed = stream;
        return new(s0 ^ SplitMix(ref mixed) ^ BitOperations.RotateLeft(s3, 29));
    }

    /// <summary>64 random bits.</summary>
    public ulong NextUInt64()
    {
        var result = BitOperations.RotateLeft(s1 * 5, 7) * 9;
        var shifted = s1 << 17;
        s2 ^= s0;
        s3 ^= s1;
        s1 ^= s2;
        s0 ^= s3;
        s2 ^= shifted;
        s3 = BitOperations.RotateLeft(s3, 45);
        return result;
    }

    /// <summary>Uniform in [0, 1), a multiple of 2⁻⁵³.</summary>
    public double NextDouble() => (NextUInt64() >> 11) * ToUnit;

    /// <summary>Uniform in [from, to).</summary>
    public double Between(double from, double to) => from + (to - from) * NextDouble();

    /// <summary>Uniform in [0, bound), without bias (Lemire's multiplication with rejection).</summary>
    /// <exception cref="ArgumentOutOfRangeException">The bound is not positive.</exception>
    public int NextInt32(int bound)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(bound);
        var wanted = (ulong)bound;
        var high = Math.BigMul(NextUInt64(), wanted, out var low);
        if (low < wanted)
        {
            for (var rejected = (0 - wanted) % wanted; low < rejected;)
                high = Math.BigMul(NextUInt64(), wanted, out low);
        }
        return (int)high;
    }

    /// <summary>A standard normal number: mean 0, variance 1 (Box and Muller's transform in Marsaglia's polar form).</summary>
    public double NextGaussian()
    {
        if (!double.IsNaN(spare))
        {
            var kept = spare;
            spare = double.NaN;
            return kept;
        }

        double x, y, square;
        do
        {
            x = 2 * NextDouble() - 1;
            y = 2 * NextDouble() - 1;
            square = x * x + y * y;
        }
        while (square is >= 1 or 0);

        var scale = Math.Sqrt(-2 * Log(square) / square);
        spare = y * scale;
        return x * scale;
    }

    /// <summary>Puts items in random order, each order equally likely (Fisher and Yates).</summary>
    public void Shuffle<T>(Span<T> items)
    {
        for (var last = items.Length - 1; last > 0; last--)
        {
            var other = NextInt32(last + 1);
            (items[last], items[other]) = (items[other], items[last]);
        }
    }

    /// <summary>ln x for normal x in (0, 1), to within 1e-15 of its size: ln 2 × exponent + 2 artanh((m - 1) / (m + 1)).</summary>
    static double Log(double x)
    {
        var bits = BitConverter.DoubleToInt64Bits(x);
        var exponent = (int)(bits >> 52) - 1023;
        var mantissa = BitConverter.Int64BitsToDouble((bits & 0x000F_FFFF_FFFF_FFFF) | 0x3FF0_0000_0000_0000);
        if (mantissa > 1.4142135623730951)
        {
            mantissa *= 0.5;
            exponent++;
        }

        var ratio = (mantissa - 1) / (mantissa + 1); // at most 0.172, so 0.172^23 is below a double's last bit
        var square = ratio * ratio;
        var series = 0.0;
        for (var odd = 21; odd >= 1; odd -= 2)
            series = series * square + 1.0 / odd;
        return exponent * Ln2 + 2 * ratio * series;
    }

    static ulong SplitMix(ref ulong state)
    {
        var mixed = state += 0x9E37_79B9_7F4A_7C15;
        mixed = (mixed ^ (mixed >> 30)) * 0xBF58_476D_1CE4_E5B9;
        mixed = (mixed ^ (mixed >> 27)) * 0x94D0_49BB_1331_11EB;
        return mixed ^ (mixed >> 31);
    }
}
