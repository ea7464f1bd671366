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
