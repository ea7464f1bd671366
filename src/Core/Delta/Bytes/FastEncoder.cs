using System.Runtime.InteropServices;

namespace Coppice.Delta.Bytes;

/// <summary>Writes the fast coding of a frame.</summary>
sealed class FastEncoder
{
    readonly int _olds;
    readonly SourceWindow _window;
    readonly FastModes _modes = new();
    readonly FastTableModel _tableModel = new();

    public FastEncoder(int olds, SourceWindow window)
    {
        _olds = olds;
        _window = window;
    }

    /// <summary>Writes a frame.</summary>
    public byte[] Encode(ReadOnlySpan<Command> plan, ReadOnlySpan<byte> frame, long origin)
    {
        var literals = Gather(plan, frame, origin);
        var tables = FastModeChoice.Choose(_modes, literals);
        var literalBytes = Literals(literals, tables);
        var (stepTables, stepBytes, raw) = Steps(plan, origin);

        var head = new ArithmeticWriter(256);
        _modes.Code(ref head);
        _tableModel.Reset();
        foreach (var table in (int[][])[.. tables, .. stepTables])
            FastTables.Code(ref head, table, _tableModel);
        var headBytes = head.Finish();
        return [(byte)FrameKind.Fast, .. Length(headBytes.Length), .. Length(stepBytes.Length), .. Length(raw.Length), .. headBytes, .. stepBytes, .. raw, .. literalBytes];
    }

    List<FastLiteral> Gather(ReadOnlySpan<Command> plan, ReadOnlySpan<byte> frame, long origin)
    {
        var literals = new List<FastLiteral>();
        var place = 0;
        foreach (var command in plan)
        {
            place += command.Copy;
            for (var i = 0; i < command.Literals; i++, place++)
            {
                var old = command.Aligned ? _window.At(command.Source, command.From + command.Copy + i, frame, origin, place) : 0;
                literals.Add(new(frame[place], place > 0 ? frame[place - 1] : (byte)0, (byte)old, (byte)((origin + place) & 7), command.Aligned));
            }
        }
        return literals;
    }

    byte[] Literals(List<FastLiteral> literals, int[][] tables)
    {
        var starts = tables.Select(Starts).ToArray();
        var words = new List<ushort>();
        var states = new uint[FastFrame.Lanes];
        states.AsSpan().Fill(1u << 16);
        for (var i = literals.Count - 1; i >= 0; i--)
        {
            var literal = literals[i];
            var table = _modes.Table(literal.Aligned, literal.Context(literal.Aligned ? _modes.Aligned : _modes.Free));
            var symbol = literal.Aligned && _modes.Difference ? (byte)(literal.Value - literal.Old) : literal.Value;
            Put(ref states[i % FastFrame.Lanes], tables[table][symbol], starts[table][symbol], words);
        }
        // The decoder's first state is the one of literal 0.
        for (var lane = FastFrame.Lanes - 1; lane >= 0; lane--)
            words.AddRange([(ushort)states[lane], (ushort)(states[lane] >> 16)]);
        return Bytes(words);
    }

    (int[][] Tables, byte[] Coded, byte[] Raw) Steps(ReadOnlySpan<Command> plan, long origin)
    {
        var symbols = new List<(int Table, int Symbol)>();
        var raw = new FastBitWriter();
        var recent = Relations.Start;
        var position = origin;
        foreach (var command in plan)
        {
            var shift = command.From - position;
            var index = recent.Find(command.Source, shift);
            var relation = index;
            if (index == Relations.Count)
            {
                var own = command.Source == _olds;
                var moved = shift - recent[0].Shift;
                var value = (ulong)(own ? -1 - shift : moved >= 0 ? moved << 1 : (-1 - moved) << 1 | 1);
                var length = 64 - System.Numerics.BitOperations.LeadingZeroCount(value);
                relation = Relations.Count + (own ? 62 : 0) + length;
                if (length > 0)
                    raw.Put(value & ((1UL << (length - 1)) - 1), length - 1);
                if (!own && _olds > 1)
                    raw.Put((ulong)command.Source, 8);
            }
            recent.Use(index, command.Source, shift);
            symbols.Add((0, relation << 1 | (command.Aligned ? 1 : 0)));
            Number(index == 0 ? 1 : 2, command.Copy);
            Number(3, command.Literals);
            position += command.Copy + command.Literals;
        }

        var counts = Enumerable.Range(0, FastFrame.StepTables).Select(_ => new int[256]).ToArray();
        foreach (var (table, symbol) in symbols)
            counts[table][symbol]++;
        var tables = counts.Select(count => FastTables.Normalise(count)).ToArray();
        var starts = tables.Select(Starts).ToArray();
        var words = new List<ushort>();
        var state = 1u << 16;
        for (var i = symbols.Count - 1; i >= 0; i--)
            Put(ref state, tables[symbols[i].Table][symbols[i].Symbol], starts[symbols[i].Table][symbols[i].Symbol], words);
        words.AddRange([(ushort)state, (ushort)(state >> 16)]);
        return (tables, Bytes(words), raw.Finish());

        void Number(int table, int value)
        {
            var (symbol, bits, rest) = FastSymbols.Split((ulong)value);
            symbols.Add((table, symbol));
            raw.Put(rest, bits);
        }
    }

    static void Put(ref uint state, int frequency, int start, List<ushort> words)
    {
        if (state >= (ulong)frequency << (32 - FastTables.Bits))
        {
            words.Add((ushort)state);
            state >>= 16;
        }
        state = (state / (uint)frequency << FastTables.Bits) + state % (uint)frequency + (uint)start;
    }

    static int[] Starts(int[] frequencies)
    {
        var starts = new int[256];
        for (var i = 1; i < 256; i++)
            starts[i] = starts[i - 1] + frequencies[i - 1];
        return starts;
    }

    /// <summary>Words last written come first.</summary>
    static byte[] Bytes(List<ushort> words)
    {
        words.Reverse();
        return MemoryMarshal.AsBytes(CollectionsMarshal.AsSpan(words)).ToArray();
    }

    static byte[] Length(int length) => [(byte)length, (byte)(length >> 8), (byte)(length >> 16)];
}

/// <summary>A coded byte and what its table may depend on.</summary>
readonly record struct FastLiteral(byte Value, byte Last, byte Old, byte Phase, bool Aligned)
{
    public int Context(FastContext mode) => mode switch { FastContext.None => 0, FastContext.Phase => Phase, FastContext.Last => Last, _ => Old };
}
