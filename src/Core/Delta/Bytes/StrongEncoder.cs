using System.Runtime.InteropServices;

namespace Coppice.Delta.Bytes;

/// <summary>Chooses how the literals of a frame are modelled, by coding samples, and writes the frame.</summary>
sealed class StrongEncoder
{
    const int SampleLength = 12 << 10;
    const int Samples = 3;

    static readonly LiteralShape[] Candidates =
    [
        new(LiteralShape.Text, 1, 1),
        new(LiteralShape.Weights, 1, 1),
        new(LiteralShape.Changes, 1, 1),
        new(LiteralShape.Changes, 2, 1),
        new(LiteralShape.Changes, 4, 1),
        new(LiteralShape.Weights, 4, 16),
    ];

    readonly StrongFrame _frame;

    public StrongEncoder(StrongFrame frame) => _frame = frame;

    /// <summary>Writes a frame with the shape that codes samples of it best.</summary>
    public byte[] Encode(List<Command> plan, Span<byte> frame, long origin, out long agreeing)
    {
        var coded = plan.Sum(command => (long)command.Literals);
        var tableBits = Math.Clamp(Interval.Length((uint)(coded >> 2)), 10, 15);
        var best = Candidates[0];
        if (coded > 0)
        {
            var samples = Sample(plan, coded);
            var least = long.MaxValue;
            foreach (var shape in Candidates)
            {
                var cost = 0L;
                _frame.Begin(new(shape, Math.Min(tableBits, 13), default));
                foreach (var (place, commands) in samples)
                {
                    var meter = new CostMeter();
                    _frame.Encode(ref meter, CollectionsMarshal.AsSpan(commands), frame, origin, place);
                    cost += meter.Cost;
                }
                if (cost < least)
                    (best, least) = (shape, cost);
            }
        }
        return Write(plan, frame, origin, new(best, tableBits, default), out agreeing);
    }

    byte[] Write(List<Command> plan, Span<byte> frame, long origin, StrongHeader header, out long agreeing)
    {
        var coder = new ArithmeticWriter(256 + frame.Length / 16);
        _frame.Begin(header);
        _frame.Encode(ref coder, CollectionsMarshal.AsSpan(plan), frame, origin);
        agreeing = _frame.Agreeing;
        return [.. header.Write(), .. coder.Finish()];
    }

    /// <summary>Parts of the plan with some coded bytes each, spread over it.</summary>
    static List<(int Place, List<Command> Commands)> Sample(List<Command> plan, long coded)
    {
        var samples = new List<(int, List<Command>)>();
        var spacing = Math.Max(SampleLength, coded / Samples);
        var next = Math.Max(0, (spacing - SampleLength) / 2);
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
                    room = SampleLength;
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
