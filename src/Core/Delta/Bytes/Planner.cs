namespace Coppice.Delta.Bytes;

/// <summary>Finds the steps that make a frame at the least expected cost: a shortest path over its bytes.</summary>
sealed class Planner
{
    const int BlockLength = 1 << 15;
    const int Nice = 400; // a copy this long is taken at once
    const int Depth = 24;
    const int NearestMoves = 1 << 12;
    const int Infinite = int.MaxValue / 2;

    readonly MatchText _text;
    readonly int _own;
    readonly Node[] _nodes = new Node[BlockLength + Nice + 1];
    readonly List<Piece> _pieces = [];

    struct Node
    {
        public int Cost;
        public int Length; // of the copy that arrives here; 0 for a literal
        public int Shift; // text place of the source minus text place here: the relation in force
        public int Before; // the one before it
        public int Third;
        public byte Hits;
    }

    /// <summary>A step while the plan is being made; <see cref="Shift"/> is in places of the text.</summary>
    readonly record struct Piece(int Place, int Copy, int Shift);

    /// <param name="text">The text; its last part holds the frame.</param>
    /// <param name="own">The number of old files, which names the new file.</param>
    public Planner(MatchText text, int own)
    {
        _text = text;
        _own = own;
    }

    /// <summary>Plans the bytes of the text from <paramref name="start"/> on.</summary>
    public List<Command> Plan(int start, int length, PlanCosts costs)
    {
        _pieces.Clear();
        var part = _text.Parts[^1];
        var sameOffset = SameOffset(part.Offset + start - part.Start);
        var state = new Node { Shift = sameOffset is { } place ? place - start : 0, Before = 0, Third = 0 };
        for (var at = start; at < start + length;)
            at = Block(at, start, start + length, costs, ref state);
        return Commands(start, length, costs.AlignedShare);
    }

    /// <summary>Where in the text the first old file has an offset, if it has it.</summary>
    int? SameOffset(long offset)
    {
        foreach (var part in _text.Parts)
            if (part.Source == 0 && _own > 0 && offset >= part.Offset && offset < part.Offset + part.Length)
                return part.Start + (int)(offset - part.Offset);
        return null;
    }

    int Block(int from, int start, int end, PlanCosts costs, ref Node state)
    {
        var count = Math.Min(BlockLength, end - from);
        var nodes = _nodes.AsSpan(0, count + 1);
        for (var i = 0; i < nodes.Length; i++)
            nodes[i].Cost = Infinite;
        nodes[0] = state;
        nodes[0].Cost = 0;
        nodes[0].Length = 0;

        for (var i = 0; i < count; i++)
        {
            ref var node = ref nodes[i];
            var place = from + i;
            Literal(nodes, i, place, costs.Free(place - start), costs);

            var room = end - place;
            var best = 0;
            var bestShift = 0;
            foreach (var (shift, recent) in (ReadOnlySpan<(int, int)>)[(node.Shift, 0), (node.Before, 1), (node.Third, 2)])
            {
                if (shift == 0)
                    continue;
                var length = EqualRun(place, shift, room);
                if (length > best)
                    (best, bestShift) = (length, shift);
                if (length >= costs.ShortestRecent)
                    Arrive(nodes, i, Math.Min(length, count - i), shift, PlanCosts.Recent(recent), costs);
            }

            if (best < Nice)
            {
                Search(nodes, i, place, room, count, costs, ref best, ref bestShift);
            }
            _text.IndexTo(place + 1);
            if (best >= Nice)
            {
                // Begun where it is cheapest: a copy that was found before may reach into this one.
                var begin = i;
                for (var j = i + 1; j <= Math.Min(count, i + best - 1); j++)
                    if (nodes[j].Cost < nodes[begin].Cost)
                        begin = j;
                Trace(nodes, begin, from);
                state = nodes[begin];
                Enter(ref state, bestShift);
                state.Hits = 15;
                _pieces.Add(new(from + begin, best - (begin - i), bestShift));
                _text.IndexTo(place + best);
                return place + best;
            }
        }
        Trace(nodes, count, from);
        state = nodes[count];
        return from + count;
    }

    void Search(Span<Node> nodes, int i, int place, int room, int count, PlanCosts costs, ref int best, ref int bestShift)
    {
        var (shift0, shift1, shift2) = (nodes[i].Shift, nodes[i].Before, nodes[i].Third);
        var longest = 0;
        foreach (var at in _text.Long(place))
            Consider(at, nodes, ref best, ref bestShift);
        if (longest < 3 * MatchText.LongLength)
        {
            var at = _text.FirstShort(place);
            for (var depth = 0; depth < Depth && at >= 0; depth++, at = _text.NextShort(at))
                Consider(at, nodes, ref best, ref bestShift);
        }
        if (longest == 0)
            Consider(_text.Least(place), nodes, ref best, ref bestShift);
        longest = 0;
        for (var moved = 1; moved <= 4 && shift0 != 0; moved++)
        {
            Consider(place + shift0 + moved, nodes, ref best, ref bestShift);
            Consider(place + shift0 - moved, nodes, ref best, ref bestShift);
        }

        void Consider(int at, Span<Node> nodes, ref int best, ref int bestShift)
        {
            if (at < 0 || at >= place)
                return;
            var shift = at - place;
            var length = EqualRun(place, shift, room);
            if (length < longest || length < costs.ShortestCopy)
                return;
            longest = length;
            if (length > best)
                (best, bestShift) = (length, shift);
            if (shift != shift0 && shift != shift1 && shift != shift2)
                Arrive(nodes, i, Math.Min(length, count - i), shift, Relation(shift0, shift, at, costs), costs);
        }
    }

    /// <summary>What it costs to name a relation that is not a recent one.</summary>
    int Relation(int last, int shift, int at, PlanCosts costs)
    {
        var moved = Math.Abs(shift - last);
        if (last != 0 && moved < NearestMoves)
            return costs.Near(moved);
        return costs.New(at >= _text.Parts[^1].Start ? -(long)shift : 2L * moved + 1);
    }

    void Literal(Span<Node> nodes, int i, int place, int free, PlanCosts costs)
    {
        ref var node = ref nodes[i];
        ref var next = ref nodes[i + 1];
        var cost = free;
        var hits = node.Hits;
        if (node.Shift != 0)
        {
            var at = place + node.Shift;
            if (at >= 0 && at < place && _text.Bytes[at] == _text.Bytes[place])
            {
                cost = Math.Min(costs.Equal(hits), free + 64);
                hits = (byte)Math.Min(15, hits + 1);
            }
            else
            {
                cost = free + costs.Different(hits);
                hits = (byte)(hits / 4);
            }
        }
        cost += node.Cost;
        if (cost < next.Cost)
        {
            next = node;
            next.Cost = cost;
            next.Length = 0;
            next.Hits = hits;
        }
    }

    static void Arrive(Span<Node> nodes, int i, int length, int shift, int relation, PlanCosts costs)
    {
        var cost = nodes[i].Cost + relation + costs.Copy(length);
        ref var next = ref nodes[i + length];
        if (cost >= next.Cost)
            return;
        var from = nodes[i];
        next = from;
        next.Cost = cost;
        next.Length = length;
        next.Hits = (byte)Math.Min(15, length);
        Enter(ref next, shift);
    }

    static void Enter(ref Node node, int shift)
    {
        if (shift == node.Shift)
            return;
        if (shift != node.Before)
            node.Third = node.Before;
        node.Before = node.Shift;
        node.Shift = shift;
    }

    void Trace(Span<Node> nodes, int end, int from)
    {
        var first = _pieces.Count;
        for (var i = end; i > 0;)
        {
            var length = nodes[i].Length;
            if (length == 0)
            {
                i--;
                continue;
            }
            i -= length;
            _pieces.Add(new(from + i, length, nodes[i + length].Shift));
        }
        _pieces.Reverse(first, _pieces.Count - first);
    }

    /// <summary>Equal bytes from a place on and from its source, without crossing the end of the source's part.</summary>
    int EqualRun(int place, int shift, int room)
    {
        var at = place + shift;
        if (at < 0 || at >= place)
            return 0;
        if (_text.Bytes[at] != _text.Bytes[place])
            return 0;
        var part = _text.PartAt(at);
        if (part.Source != _own)
            room = Math.Min(room, part.End - at);
        return _text.Equal(place, at, room);
    }

    List<Command> Commands(int start, int length, int alignedShare)
    {
        // Joined first: a copy that goes on where the last one ended.
        var plan = new List<Command>();
        var end = start + length;
        var newPart = _text.Parts[^1];
        var shift = SameOffset(newPart.Offset + start - newPart.Start) is { } same ? same - start : 0;
        var pieces = new List<Piece>(_pieces.Count + 1);
        if (_pieces.Count == 0 || _pieces[0].Place > start)
            pieces.Add(new(start, 0, shift));
        foreach (var piece in _pieces)
        {
            if (pieces.Count > 0 && pieces[^1] is var last && last.Shift == piece.Shift && last.Place + last.Copy == piece.Place && last.Copy > 0
                && _text.PartAt(last.Place + last.Shift) == _text.PartAt(piece.Place + piece.Shift))
                pieces[^1] = last with { Copy = last.Copy + piece.Copy };
            else
                pieces.Add(piece);
        }

        List<int> olds = [shift];
        for (var i = 0; i < pieces.Count; i++)
        {
            var piece = pieces[i];
            var next = i + 1 < pieces.Count ? pieces[i + 1].Place : end;
            var literals = next - piece.Place - piece.Copy;
            if (piece.Shift == 0)
            {
                if (literals > 0)
                    plan.Add(new(0, newPart.Offset + piece.Place - newPart.Start, 0, literals, false));
                continue;
            }
            var run = piece.Place + piece.Copy;
            var better = Aside(run, literals, piece.Shift, olds);
            if (piece.Copy > 0 || better == piece.Shift)
                plan.Add(StepOf(piece.Place, piece.Shift, piece.Copy, better == piece.Shift ? literals : 0, alignedShare));
            if (better != piece.Shift)
                plan.Add(StepOf(run, better, 0, literals, alignedShare));
            if (_text.PartAt(Math.Max(0, run + better)).Source != _own && !olds.Contains(better))
            {
                olds.Add(better);
                if (olds.Count > 4)
                    olds.RemoveAt(1); // the first is the same offset
            }
        }
        return plan;
    }

    Command StepOf(int place, int shift, int copy, int literals, int alignedShare)
    {
        var from = place + shift;
        var part = _text.PartAt(Math.Max(0, from));
        return new(part.Source, part.Offset + (from - part.Start), copy, literals, literals > 0 && IsAligned(place + copy, shift, literals, alignedShare));
    }

    /// <summary>The relation whose bytes agree best with a long run of literals: a short copy from elsewhere is no reason to leave an old file.</summary>
    int Aside(int place, int literals, int shift, List<int> olds)
    {
        if (literals < 64)
            return shift;
        var best = shift;
        var most = Agreeing(place, literals, shift) * 9 / 8 + 4;
        foreach (var old in olds)
            if (old != 0 && old != shift && Agreeing(place, literals, old) is var agreeing && agreeing > most)
                (best, most) = (old, agreeing);
        return best;
    }

    /// <summary>Which bytes of a run are looked at: some 2,000. Odd, so no byte of an element is left out.</summary>
    static int Step(int literals) => literals <= 2048 ? 1 : literals / 2048 | 1;

    /// <summary>How many of the bytes looked at agree.</summary>
    int Agreeing(int place, int literals, int shift)
    {
        var agreeing = 0;
        var step = Step(literals);
        for (var i = place; i < place + literals; i += step)
            if (i + shift >= 0 && _text.Bytes[i + shift] == _text.Bytes[i])
                agreeing++;
        return agreeing;
    }

    bool IsAligned(int place, int shift, int literals, int alignedShare)
    {
        var step = Step(literals);
        return Agreeing(place, literals, shift) * alignedShare >= (literals + step - 1) / step;
    }
}
