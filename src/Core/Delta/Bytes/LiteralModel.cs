using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Coppice.Delta.Bytes;

/// <summary>Predicts bytes, bit by bit, from several contexts at once; encoder and decoder run the same code.</summary>
/// <remarks>Memory is fixed: 32 to 256 KiB for each hashed context, 1 KiB for each dense one that occurs, at most about 7 MiB.</remarks>
sealed class LiteralModel
{
    const int RepeatOrder = 6;

    const int MostDense = 8 + 256 + 3 * 1024;

    readonly HashedContexts _hashed = new();
    readonly uint[] _dense = new uint[MostDense * 256];
    readonly int[] _stamps = new int[MostDense]; // the frame in which a dense context was last used
    readonly int[] _denseAt = new int[5];
    readonly int[] _denseBases = new int[5];
    readonly int[] _inputs = new int[40];
    readonly Mixer _byTree = new(1, 256);
    readonly Mixer _bySurroundings = new(1, 256);
    readonly Correction _correction = new(1024);
    readonly uint[] _repeatSlots = new uint[128];
    readonly sbyte[] _votes = new sbyte[256]; // by the byte that came: above zero when it replaced, below when it was put in
    LiteralShape _shape;
    int _denseCount;
    int _stamp;
    int _repeatBits;
    int[] _repeats = [];
    bool _hasRepeats;
    int _repeatAt;
    int _repeatLength;
    int _missed; // the byte that was not expected, directly after it; -1 without one
    bool _skipped; // whether the repeat went past the byte it had expected

    // What the aligned old bytes have been worth lately.
    int _lastChange;
    int _changeBefore;
    int _hits;

    /// <summary>Begins a frame. Dense contexts are set to first values when they are first used: most frames use few.</summary>
    /// <param name="shape">Which contexts there are.</param>
    /// <param name="tableBits">10 to 13: the hashed tables have 2^bits buckets of 32 bytes each.</param>
    public void Reset(LiteralShape shape, int tableBits)
    {
        _shape = shape;
        _denseCount = 0;
        var start = 0;
        void Add(LiteralContexts context, int contexts)
        {
            if (shape.Contexts.HasFlag(context))
                _denseAt[_denseCount++] = start;
            start += shape.Contexts.HasFlag(context) ? contexts : 0;
        }
        Add(LiteralContexts.Phase, 8);
        Add(LiteralContexts.Order1, 256);
        Add(LiteralContexts.Element, 1024);
        Add(LiteralContexts.Old, 1024);
        Add(LiteralContexts.OldMoved, 1024);
        _stamp++;
        _hashed.Reset(int.PopCount((int)(shape.Contexts & ~LiteralShape.Dense & ~LiteralContexts.Repeat)), tableBits);
        _hasRepeats = shape.Contexts.HasFlag(LiteralContexts.Repeat);
        _repeatBits = tableBits + 4;
        if (_hasRepeats && _repeats.Length < 1 << _repeatBits)
            _repeats = new int[1 << _repeatBits];
        else if (_hasRepeats)
            _repeats.AsSpan(0, 1 << _repeatBits).Clear();
        _repeatSlots.AsSpan().Fill(AdaptiveBits.Fresh);

        var inputs = 2 * (_denseCount + _hashed.Count) + (_hasRepeats ? 2 : 0) + 1;
        _byTree.Reset(inputs);
        _bySurroundings.Reset(inputs);
        _correction.Reset();
        _inputs.AsSpan().Clear();
        _votes.AsSpan().Clear();
        _missed = -1;
        _repeatAt = _repeatLength = _lastChange = _changeBefore = _hits = 0;
    }

    /// <summary>Takes note of an old byte that was right without being coded here.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Hit()
    {
        if (_hits < 15)
            _hits++;
    }

    /// <summary>Codes the byte at <paramref name="place"/>.</summary>
    /// <param name="coder">Writes, reads or measures.</param>
    /// <param name="symbol">The byte; ignored when reading.</param>
    /// <param name="frame">The frame's bytes, known up to <paramref name="place"/>.</param>
    /// <param name="place">Where in the frame.</param>
    /// <param name="origin">Where the frame begins in the new file; its low bits give the phase.</param>
    /// <param name="old">The old byte at this place in bits 0 to 7, the one before in 8 to 15, the one after in 16 to 23; -1 when there is none.</param>
    /// <returns>The byte.</returns>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public int Code<TCoder>(ref TCoder coder, int symbol, ReadOnlySpan<byte> frame, int place, long origin, int old)
        where TCoder : struct, IBitCoder, allows ref struct
    {
        Span<uint> hashes = stackalloc uint[11];
        Surround(frame, place, origin, old, hashes);
        var expected = _hasRepeats ? Expect(frame, place) : 0;
        var surroundings = (old < 0 ? 0 : 1 + Math.Min(_hits, 2)) * 8 + Math.Min(7, _repeatLength == 0 ? 0 : 1 + Interval.Length((uint)_repeatLength >> 2));
        ref var dense = ref MemoryMarshal.GetArrayDataReference(_dense);
        ref var bases = ref MemoryMarshal.GetArrayDataReference(_denseBases);
        ref var stretched = ref MemoryMarshal.GetReference(Logistic.Inputs);
        ref var input = ref MemoryMarshal.GetArrayDataReference(_inputs);
        var denseCount = _denseCount;
        var hashedCount = _hashed.Count;
        var repeatsAt = 2 * (denseCount + hashedCount);
        Unsafe.Add(ref input, repeatsAt + (_hasRepeats ? 2 : 0)) = 256;

        var tree = 1;
        for (var bits = 0; bits < 8; bits++)
        {
            if (bits is 0 or 4)
                for (var i = 0; i < hashedCount; i++)
                    _hashed.Select(i, bits == 0 ? hashes[i] : (hashes[i] + (uint)tree * 0x2545F491u) * 0x85EBCA6Bu);
            var node = bits < 4 ? tree : (tree & ((1 << (bits - 4)) - 1)) | (1 << (bits - 4));

            // Bounds hold: a base is a context's first slot and tree is below 256; a slot's upper 12 bits are below 4096.
            for (var i = 0; i < denseCount; i++)
            {
                var likely = (int)(Unsafe.Add(ref dense, Unsafe.Add(ref bases, i) + tree) >> 20);
                Unsafe.Add(ref input, 2 * i) = Unsafe.Add(ref stretched, likely);
                Unsafe.Add(ref input, 2 * i + 1) = (likely - 2048) >> 2;
            }
            _hashed.Predict(_inputs, 2 * denseCount, node);
            var repeatSlot = -1;
            if (_hasRepeats)
            {
                var (first, second) = (0, 0);
                if (_repeatLength > 0 && (expected | 256) >> (8 - bits) == tree)
                {
                    repeatSlot = (Math.Min(_repeatLength, 31) | (_missed >= 0 ? 32 : 0)) * 2 + ((expected >> (7 - bits)) & 1);
                    var likely = (int)(_repeatSlots[repeatSlot] >> 20);
                    (first, second) = (Unsafe.Add(ref stretched, likely), (likely - 2048) >> 2);
                }
                (Unsafe.Add(ref input, repeatsAt), Unsafe.Add(ref input, repeatsAt + 1)) = (first, second);
            }

            var odds = (_byTree.Mix(_inputs, tree) + _bySurroundings.Mix(_inputs, (surroundings << 3) | bits) + 1) >> 1;
            var plain = Logistic.SquashInside(odds); // a mean of two that are inside
            var refined = _correction.Refine(odds, tree | (Math.Min(surroundings >> 3, 3) << 8));
            var one = Math.Clamp((plain + refined + 1) >> 1, 16, 65520);

            var bit = coder.Code((symbol >> (7 - bits)) & 1, one);

            _byTree.Learn(_inputs, bit);
            _bySurroundings.Learn(_inputs, bit);
            _correction.Learn(bit);
            for (var i = 0; i < denseCount; i++)
                AdaptiveBits.Update(ref Unsafe.Add(ref dense, Unsafe.Add(ref bases, i) + tree), bit, 400);
            _hashed.Learn(bit, node);
            if (repeatSlot >= 0)
                AdaptiveBits.Update(ref _repeatSlots[repeatSlot], bit, 400);
            tree = (tree << 1) | bit;
        }

        var value = tree & 255;
        Follow(frame, place, value);
        if (old >= 0)
        {
            var change = (value - old) & 255;
            if (change != 0)
            {
                _changeBefore = _lastChange;
                _lastChange = change;
                _hits = 0;
            }
            else
            {
                Hit();
            }
        }
        return value;
    }

    /// <summary>First slot of a dense context, which has first values when it is new in this frame.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    void Dense(int index, int context)
    {
        context += _denseAt[index];
        _denseBases[index] = context * 256;
        if (_stamps[context] == _stamp)
            return;
        _stamps[context] = _stamp;
        _dense.AsSpan(context * 256, 256).Fill(AdaptiveBits.Fresh);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    void Surround(ReadOnlySpan<byte> frame, int place, long origin, int old, Span<uint> hashes)
    {
        var last = 0UL; // the eight bytes before, the nearest lowest
        for (var i = Math.Min(8, place); i > 0; i--)
            last = (last << 8) | frame[place - i];
        var c1 = (uint)last & 255;
        var phase = (int)((origin + place) & 7);
        var phaseInElement = phase & (_shape.Element - 1);
        var aligned = old < 0 ? 0 : old & 255;
        var contexts = _shape.Contexts;

        var dense = 0;
        if (contexts.HasFlag(LiteralContexts.Phase))
            Dense(dense++, phase);
        if (contexts.HasFlag(LiteralContexts.Order1))
            Dense(dense++, (int)c1);
        if (contexts.HasFlag(LiteralContexts.Element))
            Dense(dense++, (int)((last >> (8 * (_shape.Element - 1))) & 255) | ((phaseInElement & 3) << 8));
        if (contexts.HasFlag(LiteralContexts.Old))
            Dense(dense++, aligned | (old < 0 ? 0 : 1 + Math.Min(_hits, 2)) << 8);
        if (contexts.HasFlag(LiteralContexts.OldMoved))
            Dense(dense, ((aligned + _lastChange) & 255) | ((phaseInElement & 3) << 8));

        var next = 0;
        void Add(Span<uint> into, ulong value)
        {
            var mixed = (value + 0x632BE59BD9B4E019UL) * 0x9E3779B97F4A7C15UL;
            into[next] = (uint)((mixed ^ (mixed >> 29)) * 0xBF58476D1CE4E5B9UL >> 32);
            next++;
        }
        if (contexts.HasFlag(LiteralContexts.Order2))
            Add(hashes, last & 0xFFFF);
        if (contexts.HasFlag(LiteralContexts.Order3))
            Add(hashes, last & 0xFFFFFF);
        if (contexts.HasFlag(LiteralContexts.Order4))
            Add(hashes, last & 0xFFFFFFFF);
        if (contexts.HasFlag(LiteralContexts.Order6))
            Add(hashes, last & 0xFFFFFFFFFFFF);
        if (contexts.HasFlag(LiteralContexts.Word))
            Add(hashes, Word(frame, place));
        if (contexts.HasFlag(LiteralContexts.Skip))
            Add(hashes, (last >> 8) & 0xFFFF);
        if (contexts.HasFlag(LiteralContexts.Row))
            Add(hashes, (ulong)Above(frame, place, 0) << 8 | (uint)phaseInElement);
        if (contexts.HasFlag(LiteralContexts.RowPair))
            Add(hashes, (ulong)Above(frame, place, 0) << 24 | (ulong)Above(frame, place, 1) << 16 | c1);
        if (contexts.HasFlag(LiteralContexts.OldPair))
            Add(hashes, old < 0 ? c1 | 1UL << 40 : (ulong)(uint)old << 8 | c1);
        if (contexts.HasFlag(LiteralContexts.OldChange))
            Add(hashes, (ulong)aligned << 16 | (uint)_lastChange << 8 | (uint)_changeBefore);
    }

    uint Above(ReadOnlySpan<byte> frame, int place, int further) =>
        place - _shape.Row + further is var above and >= 0 && above < place ? frame[above] : 0u;

    static ulong Word(ReadOnlySpan<byte> frame, int place)
    {
        var hash = 0UL;
        var i = place - 1;
        for (; i >= 0 && place - i <= 16 && (frame[i] >= 128 || char.IsAsciiLetterOrDigit((char)frame[i])); i--)
            hash = (hash + frame[i] + 1) * 0x2F0B4C47;
        return i >= 0 ? hash * 31 + frame[i] : hash;
    }

    /// <summary>The byte that followed the last time, if a repeat is running or one is found.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    int Expect(ReadOnlySpan<byte> frame, int place)
    {
        if (place < RepeatOrder)
            return 0;
        var hash = 0u;
        for (var i = place - RepeatOrder; i < place; i++)
            hash = (hash + frame[i] + 1) * 0x2F0B4C47;
        ref var entry = ref _repeats[hash >> (32 - _repeatBits)];
        if (_repeatLength == 0 && entry > 0)
        {
            while (_repeatLength < 32 && entry > _repeatLength && frame[entry - 1 - _repeatLength] == frame[place - 1 - _repeatLength])
                _repeatLength++;
            if (_repeatLength < RepeatOrder - 1)
                _repeatLength = 0;
            _repeatAt = entry;
            _missed = -1;
        }
        entry = place;
        if (_repeatAt >= place)
            _repeatLength = 0;
        return _repeatLength > 0 ? frame[_repeatAt] : 0;
    }

    /// <summary>Moves the repeat past the byte that came; after one that was not expected it goes on where that has worked before.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    void Follow(ReadOnlySpan<byte> frame, int place, int value)
    {
        if (_repeatLength == 0)
            return;
        var expected = frame[_repeatAt];
        if (_missed >= 0)
        {
            // The byte before was not expected. Was it put in, or did it replace one?
            var (inserted, replaced) = _skipped ? (frame[_repeatAt - 1], expected) : (expected, frame[_repeatAt + 1]);
            ref var vote = ref _votes[_missed];
            if (inserted != replaced)
                vote = (sbyte)(replaced == value ? Math.Min(3, vote + 1) : inserted == value ? Math.Max(-4, vote - 1) : vote);
            if (expected != value && (inserted == value || replaced == value))
                _repeatAt += _skipped ? -1 : 1;
            else if (expected != value)
                _repeatLength = 0;
            _missed = -1;
            _repeatAt++;
            return;
        }
        if (expected == value)
        {
            _repeatLength = Math.Min(_repeatLength + 1, 65535);
            _repeatAt++;
            return;
        }
        _missed = value;
        _skipped = _votes[value] >= 0;
        _repeatLength = _repeatLength < 3 || _repeatAt + 2 >= place ? 0 : Math.Min((_repeatLength + 1) / 2, 16);
        _repeatAt += _skipped ? 1 : 0;
    }

    /// <summary>Ends a running repeat: bytes were made without this model.</summary>
    public void Skip()
    {
        _repeatLength = 0;
        _missed = -1;
    }
}
