using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Coppice.Delta.Bytes;

/// <summary>The fast coding of a frame: steps and coded bytes as rANS symbols of static tables, about 150 to 300 MB/s of coded bytes.</summary>
/// <remarks>
/// After the first byte: three lengths (24 bits each) of the head, the steps and the raw bits; the rest is the literals.
/// The head is arithmetic coded: modes, maps and tables. Steps are one rANS state, literals four in turn, by their count from the frame's start.
/// A state starts and ends at 2^16, which a damaged payload misses.
/// </remarks>
sealed class FastFrame
{
    public const int HeadLength = 10;
    public const int LiteralTables = 8;
    public const int StepTables = 4; // relation, first copies, other copies, literal counts
    public const int Lanes = 4;

    const uint Low = 1u << 16;

    readonly SourceWindow _window;
    readonly uint[] _slots = new uint[(LiteralTables + StepTables) * FastTables.Total];
    readonly FastTableModel _tables = new();
    readonly FastModes _modes = new();
    readonly int[] _frequencies = new int[256];

    public FastFrame(SourceWindow window) => _window = window;

    /// <summary>Reads a frame.</summary>
    /// <param name="payload">All of it, the kind included.</param>
    /// <param name="frame">Filled.</param>
    /// <param name="origin">Where the frame begins in the new file.</param>
    /// <exception cref="MalformedPatchException">The payload is not one of a frame of this length.</exception>
    public void Decode(ReadOnlySpan<byte> payload, Span<byte> frame, long origin)
    {
        if (payload.Length < HeadLength)
            throw Malformed("the frame ends in its header");
        var head = Length(payload[1..]);
        var steps = Length(payload[4..]);
        var raw = Length(payload[7..]);
        if (payload[0] != (byte)FrameKind.Fast || HeadLength + (long)head + steps + raw > payload.Length)
            throw Malformed($"its parts of {head}, {steps} and {raw} bytes do not fit into {payload.Length}");
        var at = payload[HeadLength..];
        ReadHead(at[..head]);
        var stepWords = MemoryMarshal.Cast<byte, ushort>(at.Slice(head, steps));
        var bits = new FastBitReader(at.Slice(head + steps, raw));
        var literalBytes = at[(head + steps + raw)..];
        var words = MemoryMarshal.Cast<byte, ushort>(literalBytes);
        if (steps % 2 != 0 || literalBytes.Length % 2 != 0 || stepWords.Length < 2 || words.Length < 2 * Lanes)
            throw Malformed("a part has no whole words");

        var step = new RansState(stepWords);
        var literals = new RansLanes(words);
        var recent = Relations.Start;
        for (var place = 0; place < frame.Length;)
        {
            var position = origin + place;
            var command = ReadStep(ref step, ref bits, ref recent, position);
            CommandRules.Check(command, _window.Length(command.Source, position), position, frame.Length - place, place, _window.IsOwn(command.Source));
            if (command.Copy > 0)
                _window.Copy(command.Source, command.From, frame, origin, place, command.Copy);
            place += command.Copy;
            Literals(ref literals, command, frame, origin, place);
            place += command.Literals;
        }
        if (!step.IsAtEnd || !bits.IsAtEnd || !literals.IsAtEnd)
            throw Malformed("its symbols do not end where the frame does");
    }

    void ReadHead(ReadOnlySpan<byte> head)
    {
        var coder = new ArithmeticReader(head, HeadLength);
        _modes.Code(ref coder);
        _tables.Reset();
        for (var i = 0; i < LiteralTables + StepTables; i++)
        {
            if (i >= _modes.Tables && i < LiteralTables)
                continue;
            FastTables.Code(ref coder, _frequencies, _tables);
            FastTables.Spread(_frequencies, _slots.AsSpan(i * FastTables.Total, FastTables.Total));
        }
        coder.Finish();
    }

    Command ReadStep(ref RansState step, ref FastBitReader bits, ref Relations recent, long position)
    {
        var table = _slots.AsSpan(LiteralTables * FastTables.Total);
        var symbol = step.Take(table, 0);
        var aligned = (symbol & 1) != 0;
        var relation = symbol >> 1;
        var index = Math.Min(relation, Relations.Count);
        int source;
        long shift;
        if (relation < Relations.Count)
        {
            (source, shift) = recent[relation];
        }
        else
        {
            // 4 to 65: an old file, by the bits of the move from the last relation; from 66: the new file, by the bits of the distance.
            var own = relation >= Relations.Count + 62;
            var length = relation - Relations.Count - (own ? 62 : 0);
            var value = length == 0 ? 0 : (long)(1UL << (length - 1) | bits.Take(length - 1));
            var olds = _window.Olds;
            source = own ? olds : olds > 1 ? (int)bits.Take(8) : 0;
            if (source > olds || (source == olds) != own)
                throw Malformed($"source {source} is named where there are {olds} old files");
            shift = own ? -1 - value : unchecked(recent[0].Shift + ((value & 1) == 0 ? value >> 1 : -1 - (value >> 1)));
        }
        recent.Use(index, source, shift);
        var copySymbol = step.Take(table, index == 0 ? 1 : 2);
        var copy = FastSymbols.Join(copySymbol, bits.Take(FastSymbols.Bits(copySymbol)));
        var literalSymbol = step.Take(table, 3);
        var literals = FastSymbols.Join(literalSymbol, bits.Take(FastSymbols.Bits(literalSymbol)));
        return new(source, unchecked(position + shift), (int)Math.Min(int.MaxValue, copy), (int)Math.Min(int.MaxValue, literals), aligned);
    }

    void Literals(ref RansLanes lanes, Command command, Span<byte> frame, long origin, int place)
    {
        ref var slots = ref MemoryMarshal.GetArrayDataReference(_slots);
        if (!command.Aligned)
        {
            var run = frame.Slice(place, command.Literals);
            switch (_modes.Free)
            {
                case FastContext.None:
                    lanes.Take(ref slots, _modes.Table(false, 0), run);
                    break;
                case FastContext.Phase:
                    for (var i = 0; i < run.Length; i++)
                        run[i] = (byte)lanes.Take(ref slots, _modes.Table(false, (int)(origin + place + i) & 7));
                    break;
                default:
                    var last = place > 0 ? frame[place - 1] : (byte)0;
                    for (var i = 0; i < run.Length; i++)
                        run[i] = last = (byte)lanes.Take(ref slots, _modes.Table(false, last));
                    break;
            }
            return;
        }
        var from = command.From + command.Copy;
        for (var i = 0; i < command.Literals; i++, place++, from++)
        {
            var old = (byte)_window.At(command.Source, from, frame, origin, place);
            var context = _modes.Aligned switch
            {
                FastContext.None => 0,
                FastContext.Phase => (int)(origin + place) & 7,
                FastContext.Last => place > 0 ? frame[place - 1] : 0,
                _ => old,
            };
            var coded = (byte)lanes.Take(ref slots, _modes.Table(true, context));
            frame[place] = (byte)(_modes.Difference ? coded + old : coded);
        }
    }

    static int Length(ReadOnlySpan<byte> bytes) => bytes[0] | bytes[1] << 8 | bytes[2] << 16;

    static MalformedPatchException Malformed(string problem) => new(0, $"byte frame: {problem}; fetch the patch again.");

    /// <summary>One rANS state over 16 bit words.</summary>
    ref struct RansState
    {
        readonly ReadOnlySpan<ushort> _words;
        uint _state;
        int _next;

        public RansState(ReadOnlySpan<ushort> words)
        {
            _words = words;
            _state = (uint)words[0] << 16 | words[1];
            _next = 2;
        }

        public readonly bool IsAtEnd => _state == Low && _next == _words.Length;

        public int Take(ReadOnlySpan<uint> tables, int table)
        {
            var slot = tables[table * FastTables.Total + (int)(_state & (FastTables.Total - 1))];
            _state = ((slot >> 8 & 0xFFF) + 1) * (_state >> FastTables.Bits) + (slot >> 20);
            if (_state < Low)
            {
                _state = _state << 16 | (_next < _words.Length ? _words[_next] : 0u);
                _next = Math.Min(_next + 1, _words.Length + 1);
            }
            return (int)(slot & 255);
        }
    }

    /// <summary>Four rANS states in turn over one run of words.</summary>
    ref struct RansLanes
    {
        readonly ReadOnlySpan<ushort> _words;
        uint _0, _1, _2, _3; // _0 is the next one's
        int _next;

        public RansLanes(ReadOnlySpan<ushort> words)
        {
            _words = words;
            _0 = (uint)words[0] << 16 | words[1];
            _1 = (uint)words[2] << 16 | words[3];
            _2 = (uint)words[4] << 16 | words[5];
            _3 = (uint)words[6] << 16 | words[7];
            _next = 8;
        }

        public readonly bool IsAtEnd => (_0, _1, _2, _3) == (Low, Low, Low, Low) && _next == _words.Length;

        public int Take(ref uint slots, int table)
        {
            var symbol = One(ref _0, ref Unsafe.Add(ref slots, table * FastTables.Total));
            (_0, _1, _2, _3) = (_1, _2, _3, _0);
            return symbol;
        }

        /// <summary>Fills a run from one table.</summary>
        public void Take(ref uint slots, int table, Span<byte> into)
        {
            ref var from = ref Unsafe.Add(ref slots, table * FastTables.Total);
            var i = 0;
            // While four symbols cannot need more words than there are, nothing is checked per symbol.
            ref var words = ref MemoryMarshal.GetReference(_words);
            var (a, b, c, d) = (_0, _1, _2, _3);
            var next = _next;
            for (; i + 4 <= into.Length && next + 4 <= _words.Length; i += 4)
            {
                var s0 = Unsafe.Add(ref from, (nint)(a & (FastTables.Total - 1)));
                var s1 = Unsafe.Add(ref from, (nint)(b & (FastTables.Total - 1)));
                var s2 = Unsafe.Add(ref from, (nint)(c & (FastTables.Total - 1)));
                var s3 = Unsafe.Add(ref from, (nint)(d & (FastTables.Total - 1)));
                a = ((s0 >> 8 & 0xFFF) + 1) * (a >> FastTables.Bits) + (s0 >> 20);
                b = ((s1 >> 8 & 0xFFF) + 1) * (b >> FastTables.Bits) + (s1 >> 20);
                c = ((s2 >> 8 & 0xFFF) + 1) * (c >> FastTables.Bits) + (s2 >> 20);
                d = ((s3 >> 8 & 0xFFF) + 1) * (d >> FastTables.Bits) + (s3 >> 20);
                Unsafe.WriteUnaligned(ref into[i], (s0 & 255) | (s1 & 255) << 8 | (s2 & 255) << 16 | s3 << 24);
                Refill(ref a, ref words, ref next);
                Refill(ref b, ref words, ref next);
                Refill(ref c, ref words, ref next);
                Refill(ref d, ref words, ref next);
            }
            (_0, _1, _2, _3, _next) = (a, b, c, d, next);
            for (; i < into.Length; i++)
                into[i] = (byte)Take(ref slots, table);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static void Refill(ref uint state, ref ushort words, ref int next)
        {
            var word = Unsafe.Add(ref words, next);
            var low = state < Low;
            state = low ? state << 16 | word : state;
            next += low ? 1 : 0;
        }

        int One(ref uint state, ref uint from)
        {
            var slot = Unsafe.Add(ref from, (nint)(state & (FastTables.Total - 1)));
            state = ((slot >> 8 & 0xFFF) + 1) * (state >> FastTables.Bits) + (slot >> 20);
            if (state < Low)
            {
                state = state << 16 | (_next < _words.Length ? _words[_next] : 0u);
                _next = Math.Min(_next + 1, _words.Length + 1);
            }
            return (int)(slot & 255);
        }
    }
}
