using System.Runtime.InteropServices;

namespace Coppice.Delta.Bytes;

/// <summary>Chooses how the literals of a frame are modelled, by coding samples, and writes the frame.</summary>
sealed class StrongEncoder
{
    const int Samples = 2;
    const int ShareSample = 3 << 10;
    const int FirstSample = 3 << 10;
    const int LongestSample = 40 << 10;

    /// <summary>Candidates that are looked at more closely when short samples have spoken.</summary>
    const int Finalists = 2;

    static readonly LiteralShape[] Candidates =
    [
        new(LiteralShape.Text, 1, 1),
        new(LiteralShape.Mixed, 4, 1),
        new(LiteralShape.Weights, 4, 8),
        new(LiteralShape.Weights, 4, 16),
        new(LiteralShape.Changes, 1, 1),
        new(LiteralShape.Changes, 2, 1),
        new(LiteralShape.Changes, 4, 1),
    ];

    readonly StrongFrame _frame;

    public StrongEncoder(StrongFrame frame) => _frame = frame;

    /// <summary>The shape that codes samples of the frame best, and what the frame then costs in bytes, about.</summary>
    public (StrongHeader Header, double Bytes) Choose(List<Command> plan, Span<byte> frame, long origin)
    {
        var tableBits = Math.Clamp(Interval.Length((uint)(Coded(plan) >> 2)), 10, StrongHeader.MostTableBits);
        var coded = Coded(plan);
        var costs = new double[Candidates.Length];
        for (var i = 0; i < costs.Length; i++)
            costs[i] = Estimate(plan, frame, origin, new(Candidates[i], Math.Min(tableBits, 11)), FirstSample);
        if (coded <= Samples * FirstSample) // everything was coded
        {
            var first = Array.IndexOf(costs, costs.Min());
            return (new(Candidates[first], tableBits), costs[first]);
        }
        var best = (Header: new StrongHeader(Candidates[0], tableBits), Bytes: double.PositiveInfinity);
        foreach (var i in Enumerable.Range(0, costs.Length).OrderBy(i => costs[i]).Take(Finalists))
        {
            var header = new StrongHeader(Candidates[i], tableBits);
            var bytes = Estimate(plan, frame, origin, header, (int)Math.Clamp(coded / 16, FirstSample, LongestSample));
            if (bytes < best.Bytes)
                best = (header, bytes);
        }
        return best;
    }

    /// <summary>What the frame costs in bytes, from samples.</summary>
    double Estimate(List<Command> plan, Span<byte> frame, long origin, StrongHeader header, int sampleLength)
    {
        var coded = Coded(plan);
        if (coded == 0)
            return plan.Count * 4;
        var samples = Sample(plan, coded, sampleLength);
        var meter = new CostMeter();
        var sampled = 0L;
        _frame.Begin(header);
        foreach (var (place, commands) in samples)
        {
            _frame.Encode(ref meter, CollectionsMarshal.AsSpan(commands), frame, origin, place);
            sampled += Coded(commands);
        }
        return meter.Cost / 4096.0 / 8 * coded / Math.Max(1, sampled);
    }

    static long Coded(List<Command> plan)
    {
        var coded = 0L;
        foreach (var command in plan)
            coded += command.Literals;
        return coded;
    }

    /// <summary>What a byte of the frame costs without any copies, as a share of what <paramref name="costs"/> says.</summary>
    public double LiteralShare(Span<byte> frame, long origin, PlanCosts costs)
    {
        List<Command> plan = [new(0, origin, 0, frame.Length, false)];
        var samples = Sample(plan, frame.Length, ShareSample);
        var guess = 0L;
        foreach (var (place, commands) in samples)
            foreach (var command in commands)
                for (var i = 0; i < command.Literals; i++)
                    guess += costs.Free(place + i);
        var least = long.MaxValue;
        foreach (var shape in (LiteralShape[])[Candidates[0], Candidates[2]])
        {
            var meter = new CostMeter();
            _frame.Begin(new(shape, 13));
            foreach (var (place, commands) in samples)
                _frame.Encode(ref meter, CollectionsMarshal.AsSpan(commands), frame, origin, place);
            least = Math.Min(least, meter.Cost);
        }
        return least / 16.0 / Math.Max(1, guess);
    }

    /// <summary>Writes a frame.</summary>
    /// <param name="plan">Steps that make it.</param>
    /// <param name="frame">Its bytes.</param>
    /// <param name="origin">Where it begins in the new file.</param>
    /// <param name="header">How its literals are modelled.</param>
    /// <param name="agreeing">Bytes coded as the same as the old byte at their place.</param>
    public byte[] Encode(List<Command> plan, Span<byte> frame, long origin, StrongHeader header, out long agreeing)
    {
        var coder = new ArithmeticWriter(256 + frame.Length / 16);
        _frame.Begin(header);
        _frame.Encode(ref coder, CollectionsMarshal.AsSpan(plan), frame, origin);
        agreeing = _frame.Agreeing;
        return [.. header.Write(), .. coder.Finish()];
    }

    /// <summary>Parts of the plan with some coded bytes each, spread over it.</summary>
    static List<(int Place, List<Command> Commands)> Sample(List<Command> plan, long coded, int sampleLength)
    {
        var samples = new List<(int, List<Command>)>();
        var spacing = Math.Max(sampleLength, coded / Samples);
        var next = Math.Max(0, (spacing - sampleLength) / 2);
        var seen = 0L;
        var place = 0;
        List<Command>? open = null;
        var room = 0;
        foreach (var command in plan)
        {
            for (var used = 0; used < command.Literals || used == 0;)
            {
                if (open is null && seen + command.Literals - used > next)
                {
                    used = (int)Math.Max(used, used + next - seen);
                    seen = Math.Max(seen, next);
                    open = [];
                    samples.Add((place + (used > 0 ? command.Copy + used : 0), open));
                    room = sampleLength;
                }
                if (open is null)
                {
                    seen += command.Literals - used;
                    break;
                }
                var take = Math.Min(room, command.Literals - used);
                open.Add(command with
                {
                    From = command.From + (used > 0 ? command.Copy + used : 0),
                    Copy = used > 0 ? 0 : command.Copy,
                    Literals = take,
                });
                used += take;
                seen += take;
                room -= take;
                if (room == 0)
                {
                    open = null;
                    next += spacing;
                }
                if (take == 0)
                    break;
            }
            place += command.Copy + command.Literals;
        }
        return samples;
    }
}
