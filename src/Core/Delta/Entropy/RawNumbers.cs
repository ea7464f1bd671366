using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Coppice.Delta.Entropy;

/// <summary>Puts the numbers of large tokens together from their raw bits, one after the other.</summary>
ref struct RawNumbers
{
    readonly ReadOnlySpan<byte> raw;
    readonly int lastWindow;
    long position;
    BitReader tail;
    bool inTail;

    public RawNumbers(ReadOnlySpan<byte> raw)
    {
        this.raw = raw;
        lastWindow = raw.Length - 8;
    }

    /// <summary>Whether all raw bytes were used and none is missing.</summary>
    public readonly bool Ended => inTail ? !tail.Overrun && tail.BytesUsed == raw.Length : (position + 7) / 8 == raw.Length;

    /// <param name="token">16 to 127.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public uint Next(byte token)
    {
        int bits = Token.RawBits[token];
        var at = (int)(position >> 3);
        if (inTail || at > lastWindow || !BitConverter.IsLittleEndian)
            return Slow(token);
        var window = Unsafe.ReadUnaligned<ulong>(ref Unsafe.Add(ref MemoryMarshal.GetReference(raw), at)) >> (int)(position & 7);
        position += bits;
        return Token.Base[token] + ((uint)window & ((1u << bits) - 1));
    }

    /// <summary>The numbers of many tokens, small ones among them, which have no raw bits: where most are large, looking at all costs less than picking.</summary>
    /// <param name="symbols">Tokens below 128.</param>
    /// <param name="numbers">Overwritten, as many as there are tokens.</param>
    /// <param name="narrow">Whether no token has more than 14 raw bits, as where all numbers are below 2^17; then four are taken from one word.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void NextAll(ReadOnlySpan<byte> symbols, Span<uint> numbers, bool narrow)
    {
        ref var symbol = ref MemoryMarshal.GetReference(symbols);
        ref var number = ref MemoryMarshal.GetReference(numbers);
        ref var bytes = ref MemoryMarshal.GetReference(raw);
        ref var parts = ref MemoryMarshal.GetReference(Token.Parts);
        var count = inTail || !BitConverter.IsLittleEndian ? 0 : Math.Min(symbols.Length, numbers.Length) & ~3;
        var at = position;
        nint i = 0;
        for (; i < count && (int)(at >> 3) <= lastWindow - 16; i += 4)
        {
            // Four tokens reach at most 4 × 29 bits further, which the loop's condition leaves room for.
            var (t0, t1, t2, t3) = (
                Unsafe.Add(ref parts, (nint)Unsafe.Add(ref symbol, i)), Unsafe.Add(ref parts, (nint)Unsafe.Add(ref symbol, i + 1)),
                Unsafe.Add(ref parts, (nint)Unsafe.Add(ref symbol, i + 2)), Unsafe.Add(ref parts, (nint)Unsafe.Add(ref symbol, i + 3)));
            var (b0, b1, b2, b3) = ((int)(t0 >> 32), (int)(t1 >> 32), (int)(t2 >> 32), (int)(t3 >> 32));
            var window = Unsafe.ReadUnaligned<ulong>(ref Unsafe.Add(ref bytes, (nint)(at >> 3))) >> (int)(at & 7);
            if (narrow)
            {
                Unsafe.Add(ref number, i) = (uint)t0 + Low(window, b0);
                window >>= b0;
                Unsafe.Add(ref number, i + 1) = (uint)t1 + Low(window, b1);
                window >>= b1;
                Unsafe.Add(ref number, i + 2) = (uint)t2 + Low(window, b2);
                window >>= b2;
                Unsafe.Add(ref number, i + 3) = (uint)t3 + Low(window, b3);
                at += b0 + b1 + b2 + b3;
                continue;
            }

            Unsafe.Add(ref number, i) = (uint)t0 + Low(window, b0);
            at += b0;
            window = Unsafe.ReadUnaligned<ulong>(ref Unsafe.Add(ref bytes, (nint)(at >> 3))) >> (int)(at & 7);
            Unsafe.Add(ref number, i + 1) = (uint)t1 + Low(window, b1);
            at += b1;
            window = Unsafe.ReadUnaligned<ulong>(ref Unsafe.Add(ref bytes, (nint)(at >> 3))) >> (int)(at & 7);
            Unsafe.Add(ref number, i + 2) = (uint)t2 + Low(window, b2);
            at += b2;
            window = Unsafe.ReadUnaligned<ulong>(ref Unsafe.Add(ref bytes, (nint)(at >> 3))) >> (int)(at & 7);
            Unsafe.Add(ref number, i + 3) = (uint)t3 + Low(window, b3);
            at += b3;
        }

        position = at;
        for (var rest = (int)i; rest < symbols.Length; rest++)
            numbers[rest] = symbols[rest] < Token.Literals ? symbols[rest] : Next(symbols[rest]);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static uint Low(ulong window, int bits) => (uint)window & ((1u << bits) - 1);

    [MethodImpl(MethodImplOptions.NoInlining)]
    uint Slow(byte token)
    {
        if (!inTail)
        {
            inTail = true;
            tail = new(raw);
            tail.Skip(position);
        }
        return Token.Base[token] + tail.Read(Token.RawBits[token]);
    }
}
