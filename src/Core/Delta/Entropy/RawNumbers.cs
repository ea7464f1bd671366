using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

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
        var window = Window(ref MemoryMarshal.GetReference(raw), position);
        position += bits;
        return Token.Base[token] + Low(window, bits);
    }

    /// <summary>The numbers of many tokens, small ones among them, which have no raw bits.</summary>
    /// <param name="symbols">Tokens below <see cref="Token.Count"/>.</param>
    /// <param name="numbers">Overwritten, as many as there are tokens.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void NextAll(ReadOnlySpan<byte> symbols, Span<uint> numbers)
    {
        ref var symbol = ref MemoryMarshal.GetReference(symbols);
        ref var number = ref MemoryMarshal.GetReference(numbers);
        ref var bytes = ref MemoryMarshal.GetReference(raw);
        ref var parts = ref MemoryMarshal.GetReference(Token.Parts); // 256 of them: any byte is inside
        var count = inTail || !BitConverter.IsLittleEndian ? 0 : Math.Min(symbols.Length, numbers.Length) & ~3;
        var at = position;
        nint i = 0;
        for (; i < count && (int)(at >> 3) <= lastWindow - 16; i += 4)
        {
            // Four tokens reach at most 4 × 29 bits further, which the loop's condition leaves room for.
            var (t0, t1, t2, t3) = (
                Unsafe.Add(ref parts, (nint)Unsafe.Add(ref symbol, i)), Unsafe.Add(ref parts, (nint)Unsafe.Add(ref symbol, i + 1)),
                Unsafe.Add(ref parts, (nint)Unsafe.Add(ref symbol, i + 2)), Unsafe.Add(ref parts, (nint)Unsafe.Add(ref symbol, i + 3)));
            Unsafe.Add(ref number, i) = (uint)t0 + Low(Window(ref bytes, at), (int)(t0 >> 32));
            at += (int)(t0 >> 32);
            Unsafe.Add(ref number, i + 1) = (uint)t1 + Low(Window(ref bytes, at), (int)(t1 >> 32));
            at += (int)(t1 >> 32);
            Unsafe.Add(ref number, i + 2) = (uint)t2 + Low(Window(ref bytes, at), (int)(t2 >> 32));
            at += (int)(t2 >> 32);
            Unsafe.Add(ref number, i + 3) = (uint)t3 + Low(Window(ref bytes, at), (int)(t3 >> 32));
            at += (int)(t3 >> 32);
        }
        position = at;
        for (var rest = (int)i; rest < symbols.Length; rest++)
            numbers[rest] = symbols[rest] < Token.Literals ? symbols[rest] : Next(symbols[rest]);
    }

    /// <summary>The same for tokens below <see cref="Token.Narrow"/>, which have at most 13 raw bits, so that four are taken from one word.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void NextAll(ReadOnlySpan<byte> symbols, Span<ushort> numbers)
    {
        ref var bytes = ref MemoryMarshal.GetReference(raw);
        var at = position;
        var i = 0;
        if (!inTail && BitConverter.IsLittleEndian && Processor.DepositsBits)
        {
            for (; i + 16 <= symbols.Length && (int)(at >> 3) <= lastWindow - 32; i += 16)
                Deposit(Vector128.Create(symbols[i..]), ref bytes, ref at).CopyTo(numbers[i..]);
        }
        else if (!inTail && BitConverter.IsLittleEndian)
        {
            var parts = Token.Parts;
            for (; i + 4 <= symbols.Length && (int)(at >> 3) <= lastWindow - 8; i += 4)
            {
                var (t0, t1, t2, t3) = (parts[symbols[i]], parts[symbols[i + 1]], parts[symbols[i + 2]], parts[symbols[i + 3]]);
                var (b0, b1, b2, b3) = ((int)(t0 >> 32), (int)(t1 >> 32), (int)(t2 >> 32), (int)(t3 >> 32));
                var window = Window(ref bytes, at);
                numbers[i] = (ushort)((uint)t0 + Low(window, b0));
                window >>= b0;
                numbers[i + 1] = (ushort)((uint)t1 + Low(window, b1));
                window >>= b1;
                numbers[i + 2] = (ushort)((uint)t2 + Low(window, b2));
                window >>= b2;
                numbers[i + 3] = (ushort)((uint)t3 + Low(window, b3));
                at += b0 + b1 + b2 + b3;
            }
        }
        position = at;
        for (; i < symbols.Length; i++)
            numbers[i] = symbols[i] < Token.Literals ? symbols[i] : (ushort)Next(symbols[i]);
    }

    /// <summary>Sixteen numbers: their raw bits are spread over four words at once, by masks that say how many each has.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector256<ushort> Deposit(Vector128<byte> tokens, ref byte bytes, ref long at)
    {
        // A token's upper bits say how many raw bits it has; its two lower ones are the number's bits below the highest.
        var length = (tokens.AsUInt16() >>> 2).AsByte() & Vector128.Create((byte)15);
        var (low, high) = (Ssse3.Shuffle(PowersLow, length), Ssse3.Shuffle(PowersHigh, length));
        var powers = Vector256.Create(Sse2.UnpackLow(low, high), Sse2.UnpackHigh(low, high)).AsUInt16();
        var leading = Avx2.ConvertToVector256Int16(Ssse3.Shuffle(Leading, length) + (tokens & Vector128.Create((byte)3))).AsUInt16();
        var masks = (powers - Vector256<ushort>.One).AsUInt64();
        return leading * powers + Vector256.Create(
            Spread(masks.ToScalar(), ref bytes, ref at), Spread(masks.GetElement(1), ref bytes, ref at),
            Spread(masks.GetElement(2), ref bytes, ref at), Spread(masks.GetElement(3), ref bytes, ref at)).AsUInt16();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static ulong Spread(ulong mask, ref byte bytes, ref long at)
    {
        var spread = Bmi2.X64.ParallelBitDeposit(Window(ref bytes, at), mask);
        at += BitOperations.PopCount(mask);
        return spread;
    }

    /// <summary>Two to the power of a length's raw bits, by the token's upper bits: lower bytes.</summary>
    static Vector128<byte> PowersLow => Vector128.Create((byte)1, 1, 1, 1, 4, 8, 16, 32, 64, 128, 0, 0, 0, 0, 0, 0);

    /// <summary>Higher bytes.</summary>
    static Vector128<byte> PowersHigh => Vector128.Create((byte)0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32);

    /// <summary>A number's highest bit in units of the power; tokens without raw bits are numbers themselves.</summary>
    static Vector128<byte> Leading => Vector128.Create((byte)0, 4, 8, 12, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4);

    /// <summary>The bits from a place on; 57 of them at least.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static ulong Window(ref byte bytes, long at) => Unsafe.ReadUnaligned<ulong>(ref Unsafe.Add(ref bytes, (nint)(at >> 3))) >> (int)(at & 7);

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
