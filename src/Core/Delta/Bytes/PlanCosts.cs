namespace Coppice.Delta.Bytes;

/// <summary>What the steps of a plan are expected to cost, in 1/256 bit.</summary>
sealed class PlanCosts
{
    public const int Bit = 256;

    readonly int[] _free;

    PlanCosts(int[] free) => _free = free;

    /// <summary>The shortest copy that is considered when the relation is new.</summary>
    public required int ShortestCopy { get; init; }

    /// <summary>The shortest copy that is considered when the relation is a recent one.</summary>
    public required int ShortestRecent { get; init; }

    /// <summary>A byte that is coded without an old one to compare with.</summary>
    public int Free(int place) => _free[place];

    /// <summary>A byte that is the aligned old one, after so many that were.</summary>
    public int Equal(int hits) => EqualCosts[hits];

    /// <summary>What it costs on top to say that a byte is not the aligned old one.</summary>
    public int Different(int hits) => DifferentCosts[hits];

    public required int[] EqualCosts { get; init; }

    public required int[] DifferentCosts { get; init; }

    /// <summary>What a copy costs.</summary>
    /// <param name="recent">0 to 3 for a recent relation, more for a new one.</param>
    /// <param name="moved">How far a new relation is from the last, or the distance back in the new file.</param>
    /// <param name="length">Bytes.</param>
    public static int Copy(int recent, long moved, int length)
    {
        var lengths = (6 + Interval.Length((uint)length) / 2) * Bit;
        return recent < Relations.Count ? lengths + (1 + recent) * Bit : lengths + (6 + 64 - System.Numerics.BitOperations.LeadingZeroCount((ulong)moved)) * Bit;
    }

    /// <summary>Costs for the strong coder; literals are guessed from how often bytes occur around them.</summary>
    public static PlanCosts Strong(ReadOnlySpan<byte> frame) => new(Guess(frame, 7, 8))
    {
        ShortestCopy = 6,
        ShortestRecent = 12,
        EqualCosts = [350, 250, 160, 110, 70, 60, 50, 40, 30, 25, 20, 16, 13, 10, 8, 6],
        DifferentCosts = [60, 120, 250, 400, 600, 700, 800, 900, 1000, 1100, 1150, 1200, 1250, 1300, 1400, 1500],
    };

    static int[] Guess(ReadOnlySpan<byte> frame, int numerator, int denominator)
    {
        const int block = 4096;
        var costs = new int[frame.Length];
        Span<int> counts = stackalloc int[256];
        Span<int> bits = stackalloc int[256];
        for (var start = 0; start < frame.Length; start += block)
        {
            var end = Math.Min(frame.Length, start + block);
            counts.Clear();
            foreach (var value in frame[Math.Max(0, start - block)..Math.Min(frame.Length, end + block)])
                counts[value]++;
            var total = Math.Min(frame.Length, end + block) - Math.Max(0, start - block);
            for (var i = 0; i < 256; i++)
                bits[i] = Logistic.Cost(Math.Clamp((int)(((long)counts[i] * 65536 + 32768) / (total + 256)), 1, 65535)) / 16 * numerator / denominator;
            for (var i = start; i < end; i++)
                costs[i] = bits[frame[i]];
        }
        return costs;
    }
}
