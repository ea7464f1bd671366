using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Coppice.Delta.Entropy;

/// <summary>Reads what <see cref="RansEncoder"/> wrote, window by window.</summary>
ref struct RansDecoder
{
    const int Lanes = RansEncoder.Lanes;
    const uint SlotMask = SymbolModel.Scale - 1;

    readonly ReadOnlySpan<byte> bytes;
    readonly SymbolModel model;
    readonly Span<uint> states;
    readonly bool isWide;
    int at = 4 * Lanes;

    /// <param name="bytes">16 states and the words.</param>
    /// <param name="model">The model of the symbols.</param>
    /// <param name="states">Memory for the 16 states.</param>
    /// <param name="vectors">Whether eight states may be stepped at once; the result is the same.</param>
    public RansDecoder(ReadOnlySpan<byte> bytes, SymbolModel model, Span<uint> states, bool vectors)
    {
        this.bytes = bytes;
        this.model = model;
        this.states = states[..Lanes];
        isWide = vectors && Avx2.IsSupported && BitConverter.IsLittleEndian;
        IsBroken = bytes.Length < 4 * Lanes || bytes.Length % 2 != 0;
        for (var lane = 0; lane < Lanes; lane++)
            states[lane] = IsBroken ? RansEncoder.LowestState : BinaryPrimitives.ReadUInt32LittleEndian(bytes[(4 * lane)..]);
    }

    /// <summary>Whether the bytes turned out to be none that an encoder writes.</summary>
    public bool IsBroken { get; private set; }

    /// <summary>Whether everything was used up and nothing is missing.</summary>
    public readonly bool Ended
    {
        get
        {
            foreach (var state in states)
                if (state != RansEncoder.LowestState)
                    return false;
            return !IsBroken && at == bytes.Length;
        }
    }

    /// <summary>Reads the next symbols.</summary>
    /// <param name="contexts">One context per symbol.</param>
    /// <param name="symbols">Overwritten. A multiple of 16 for all windows but the last.</param>
    /// <returns>False when the bytes are not what an encoder writes.</returns>
    public bool Decode(ReadOnlySpan<byte> contexts, Span<byte> symbols)
    {
        if (IsBroken || contexts.Length < symbols.Length)
            return false;
        var done = isWide
            ? DecodeWide(bytes, ref at, states, contexts, model, symbols)
            : DecodeGroups(bytes, ref at, states, contexts, model, symbols);
        IsBroken = !DecodeRest(bytes, ref at, states, contexts, model, symbols, done);
        return !IsBroken;
    }

    /// <summary>Groups of sixteen symbols while at least sixteen words are left, so that no read needs its own check.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static int DecodeGroups(
        ReadOnlySpan<byte> bytes, ref int at, Span<uint> states, ReadOnlySpan<byte> contexts, SymbolModel model, Span<byte> symbols)
    {
        ref var slots = ref MemoryMarshal.GetArrayDataReference(model.Slots);
        ref var map = ref MemoryMarshal.GetReference(model.Map);
        ref var context = ref MemoryMarshal.GetReference(contexts);
        ref var symbol = ref MemoryMarshal.GetReference(symbols);
        ref var words = ref MemoryMarshal.GetReference(bytes);
        var last = bytes.Length - 2 * Lanes;
        var (s0, s1, s2, s3, s4, s5, s6, s7) = (states[0], states[1], states[2], states[3], states[4], states[5], states[6], states[7]);
        var (t0, t1, t2, t3, t4, t5, t6, t7) = (states[8], states[9], states[10], states[11], states[12], states[13], states[14], states[15]);
        var i = 0;
        var position = at;
        for (; i + Lanes <= symbols.Length && position <= last; i += Lanes)
        {
            Step(ref s0, i, ref position, ref slots, ref map, ref context, ref symbol, ref words);
            Step(ref s1, i + 1, ref position, ref slots, ref map, ref context, ref symbol, ref words);
            Step(ref s2, i + 2, ref position, ref slots, ref map, ref context, ref symbol, ref words);
            Step(ref s3, i + 3, ref position, ref slots, ref map, ref context, ref symbol, ref words);
            Step(ref s4, i + 4, ref position, ref slots, ref map, ref context, ref symbol, ref words);
            Step(ref s5, i + 5, ref position, ref slots, ref map, ref context, ref symbol, ref words);
            Step(ref s6, i + 6, ref position, ref slots, ref map, ref context, ref symbol, ref words);
            Step(ref s7, i + 7, ref position, ref slots, ref map, ref context, ref symbol, ref words);
            Step(ref t0, i + 8, ref position, ref slots, ref map, ref context, ref symbol, ref words);
            Step(ref t1, i + 9, ref position, ref slots, ref map, ref context, ref symbol, ref words);
            Step(ref t2, i + 10, ref position, ref slots, ref map, ref context, ref symbol, ref words);
            Step(ref t3, i + 11, ref position, ref slots, ref map, ref context, ref symbol, ref words);
            Step(ref t4, i + 12, ref position, ref slots, ref map, ref context, ref symbol, ref words);
            Step(ref t5, i + 13, ref position, ref slots, ref map, ref context, ref symbol, ref words);
            Step(ref t6, i + 14, ref position, ref slots, ref map, ref context, ref symbol, ref words);
            Step(ref t7, i + 15, ref position, ref slots, ref map, ref context, ref symbol, ref words);
        }
        (states[0], states[1], states[2], states[3], states[4], states[5], states[6], states[7]) = (s0, s1, s2, s3, s4, s5, s6, s7);
        (states[8], states[9], states[10], states[11], states[12], states[13], states[14], states[15]) = (t0, t1, t2, t3, t4, t5, t6, t7);
        at = position;
        return i;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Step(
        ref uint state, int i, ref int position, ref uint slots, ref byte map, ref byte context, ref byte symbol, ref byte words)
    {
        // Bounds hold: a map entry is below the number of tables, and the caller has left room for sixteen words.
        var table = (uint)Unsafe.Add(ref map, (nint)Unsafe.Add(ref context, i)) << SymbolModel.ScaleBits;
        var entry = Unsafe.Add(ref slots, (nint)(table | (state & SlotMask)));
        Unsafe.Add(ref symbol, i) = (byte)entry;
        var next = (((entry >> 8) & 0xFFF) + 1) * (state >> SymbolModel.ScaleBits) + (entry >> 20);
        var word = Unsafe.ReadUnaligned<ushort>(ref Unsafe.Add(ref words, position));
        var low = next < RansEncoder.LowestState;
        state = low ? next << 16 | (BitConverter.IsLittleEndian ? word : BinaryPrimitives.ReverseEndianness(word)) : next;
        position += low ? 2 : 0;
    }

    /// <summary>Eight states at once, twice: table entries are picked one by one, and the lanes that run low take the next words in lane order.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static int DecodeWide(
        ReadOnlySpan<byte> bytes, ref int at, Span<uint> states, ReadOnlySpan<byte> contexts, SymbolModel model, Span<byte> symbols)
    {
        ref var slots = ref MemoryMarshal.GetArrayDataReference(model.Slots);
        ref var start = ref MemoryMarshal.GetArrayDataReference(model.SlotStarts); // 256 of them: any byte is inside
        ref var context = ref MemoryMarshal.GetReference(contexts);
        ref var symbol = ref MemoryMarshal.GetReference(symbols);
        ref var words = ref MemoryMarshal.GetReference(bytes);
        ref var spread = ref MemoryMarshal.GetArrayDataReference(LaneSpread);
        var last = bytes.Length - 2 * Lanes;
        var (first, second) = (Vector256.Create<uint>(states), Vector256.Create<uint>(states[Half..]));
        var i = 0;
        var position = at;
        for (; i + Lanes <= symbols.Length && position <= last; i += Lanes)
        {
            // Entries of both halves are under way before either is used.
            var one = Entries(ref slots, ref start, ref Unsafe.Add(ref context, i), first & SlotMasks);
            var two = Entries(ref slots, ref start, ref Unsafe.Add(ref context, i + Half), second & SlotMasks);
            Unsafe.WriteUnaligned(ref Unsafe.Add(ref symbol, i), Symbols(one));
            Unsafe.WriteUnaligned(ref Unsafe.Add(ref symbol, i + Half), Symbols(two));
            (one, two) = (Next(first, one), Next(second, two));
            first = Refill(one, ref position, ref words, ref spread);
            second = Refill(two, ref position, ref words, ref spread);
        }
        first.CopyTo(states);
        second.CopyTo(states[Half..]);
        at = position;
        return i;
    }

    /// <summary>The table entries of eight states.</summary>
    /// <remarks>Loads by index one by one: while the states wait for each other there is time for them, and for finding where each context's table begins; an instruction that gathers is no faster.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector256<uint> Entries(ref uint slots, ref int start, ref byte context, Vector256<uint> slot)
    {
        var (low, high) = (slot.GetLower().AsUInt64(), slot.GetUpper().AsUInt64());
        var (a, b, c, d) = (low.ToScalar(), low.GetElement(1), high.ToScalar(), high.GetElement(1));
        return Vector256.Create(
            Vector128.Create(Entry(ref slots, ref start, context, (uint)a), Entry(ref slots, ref start, Unsafe.Add(ref context, 1), a >> 32),
                Entry(ref slots, ref start, Unsafe.Add(ref context, 2), (uint)b), Entry(ref slots, ref start, Unsafe.Add(ref context, 3), b >> 32)),
            Vector128.Create(Entry(ref slots, ref start, Unsafe.Add(ref context, 4), (uint)c), Entry(ref slots, ref start, Unsafe.Add(ref context, 5), c >> 32),
                Entry(ref slots, ref start, Unsafe.Add(ref context, 6), (uint)d), Entry(ref slots, ref start, Unsafe.Add(ref context, 7), d >> 32)));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static uint Entry(ref uint slots, ref int start, byte context, ulong slot) =>
        Unsafe.Add(ref slots, (nint)slot + Unsafe.Add(ref start, (nint)context));

    const int Half = Lanes / 2;

    static Vector256<uint> SlotMasks
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Vector256.Create(SlotMask);
    }

    /// <summary>The lowest byte of every entry, packed to eight bytes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static ulong Symbols(Vector256<uint> entry)
    {
        var picked = Avx2.Shuffle(entry.AsByte(), LowBytes).AsUInt32();
        return Sse2.UnpackLow(picked.GetLower(), picked.GetUpper()).AsUInt64().ToScalar();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector256<uint> Next(Vector256<uint> state, Vector256<uint> entry) =>
        (((entry >> 8) & Vector256.Create(0xFFFu)) + Vector256<uint>.One) * (state >> SymbolModel.ScaleBits) + (entry >> 20);

    /// <summary>Gives the lanes that run low their words.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector256<uint> Refill(Vector256<uint> state, ref int position, ref byte words, ref ulong spread)
    {
        var low = Vector256.Equals(state >> 16, Vector256<uint>.Zero);
        var lanes = low.ExtractMostSignificantBits();
        var fresh = Avx2.ConvertToVector256Int32(Unsafe.ReadUnaligned<Vector128<ushort>>(ref Unsafe.Add(ref words, position)));
        var order = Unsafe.Add(ref spread, (nint)lanes);
        var word = Avx2.PermuteVar8x32(fresh, Avx2.ConvertToVector256Int32(Vector128.CreateScalarUnsafe(order).AsByte())).AsUInt32();
        position += 2 * BitOperations.PopCount(lanes);
        return Vector256.ConditionalSelect(low, state << 16 | word, state);
    }

    static readonly Vector256<byte> LowBytes = Vector256.Create(
        (byte)0, 4, 8, 12, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128,
        0, 4, 8, 12, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128);

    /// <summary>For each set of lanes that run low: which of the next words each lane takes, a byte per lane.</summary>
    static readonly ulong[] LaneSpread = MakeLaneSpread();

    static ulong[] MakeLaneSpread()
    {
        var table = new ulong[1 << Half];
        for (var lanes = 0; lanes < table.Length; lanes++)
            for (int lane = 0, word = 0; lane < Half; lane++)
                if ((lanes >> lane & 1) != 0)
                    table[lanes] |= (ulong)word++ << (8 * lane);
        return table;
    }

    static bool DecodeRest(
        ReadOnlySpan<byte> bytes, ref int at, Span<uint> states, ReadOnlySpan<byte> contexts, SymbolModel model, Span<byte> symbols, int from)
    {
        var slots = model.Slots;
        for (var i = from; i < symbols.Length; i++)
        {
            ref var state = ref states[i & (Lanes - 1)];
            var entry = slots[model.Map[contexts[i]] << SymbolModel.ScaleBits | (int)(state & SlotMask)];
            symbols[i] = (byte)entry;
            state = (((entry >> 8) & 0xFFF) + 1) * (state >> SymbolModel.ScaleBits) + (entry >> 20);
            if (state >= RansEncoder.LowestState)
                continue;
            if (at + 2 > bytes.Length)
                return false;
            state = state << 16 | BinaryPrimitives.ReadUInt16LittleEndian(bytes[at..]);
            at += 2;
        }
        return true;
    }
}
