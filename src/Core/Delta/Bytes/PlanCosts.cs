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

    /// <summary>What a copy costs, without its relation.</summary>
    public int Copy(int length) => CopyBits * Bit + Interval.Length((uint)length) * Bit / 2;

    /// <summary>What it costs to name one of the recent relations.</summary>
    public static int Recent(int index) => (1 + index) * Bit;

    /// <summary>What it costs to name a relation that is near the last one.</summary>
    public int Near(int moved) => (NearBits + 2 * Interval.Length((uint)moved)) * Bit;

    /// <summary>What it costs to name a relation that is not.</summary>
    /// <param name="moved">How far it is from the last, or the distance back in the new file.</param>
    public int New(long moved) => (NewBits + 64 - System.Numerics.BitOperations.LeadingZeroCount((ulong)moved)) * Bit;

    public required int CopyBits { get; init; }

    public required int NearBits { get; init; }

    public required int NewBits { get; init; }

    /// <summary>Costs for the strong coder; literals are guessed from how often bytes occur around them.</summary>
    /// <param name="frame">The bytes.</param>
    /// <param name="share">What literals cost of what is guessed.</param>
    /// <param name="many">Whether steps are cheap, as they are where there are many that are alike.</param>
    public static PlanCosts Strong(ReadOnlySpan<byte> frame, double share, bool many) => new(Guess(frame, (int)(share * 1024), 1024))
    {
        CopyBits = many ? 4 : 6,
        NearBits = many ? 0 : 8,
        NewBits = 15,
        AlignedShare = 24,
        ShortestCopy = 5,
        ShortestRecent = many ? 4 : 12,
        EqualCosts = [350, 250, 160, 110, 70, 60, 50, 40, 30, 25, 20, 16, 13, 10, 8, 6],
        DifferentCosts = [60, 120, 250, 400, 600, 700, 800, 900, 1000, 1100, 1150, 1200, 1250, 1300, 1400, 1500],
    };

    /// <summary>Costs for the fast coder: short copies pay, and old bytes help less.</summary>
    public static PlanCosts Fast(ReadOnlySpan<byte> frame) => new(Guess(frame, 1024, 1024))
    {
        CopyBits = 6,
        NearBits = 6,
        NewBits = 6,
        ShortestCopy = 4,
        ShortestRecent = 3,
        AlignedShare = 8,
        EqualCosts = [900, 800, 700, 600, 550, 500, 450, 400, 400, 400, 400, 400, 400, 400, 400, 400],
        DifferentCosts = [30, 60, 100, 150, 200, 250, 300, 300, 300, 300, 300, 300, 300, 300, 300, 300],
    };

    /// <summary>Literals are compared with the source when at least one of so many agrees.</summary>
    public required int AlignedShare { get; init; }

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
