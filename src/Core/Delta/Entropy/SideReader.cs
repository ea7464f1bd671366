using System.Buffers.Binary;
using System.Runtime.CompilerServices;

namespace Coppice.Delta.Entropy;

/// <summary>Reads a sequence of numbers of several models, one after the other: scales, factors, positions.</summary>
ref struct SideReader
{
    readonly ReadOnlySpan<byte> words;
    BitReader raw;
    uint state;
    int at;
    bool broken;

    public SideReader(ReadOnlySpan<byte> words, ReadOnlySpan<byte> raw)
    {
        this.words = words;
        this.raw = new(raw);
        broken = words.Length < 4 || words.Length % 2 != 0;
        state = broken ? RansEncoder.LowestState : BinaryPrimitives.ReadUInt32LittleEndian(words);
        at = 4;
    }

    /// <summary>Whether everything was used up and nothing is missing.</summary>
    public readonly bool Ended => !broken && !raw.Overrun && at == words.Length && state == RansEncoder.LowestState;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public byte Symbol(SymbolModel model, byte context)
    {
        var entry = model.Slots[model.SlotStarts[context] | (int)(state & (SymbolModel.Scale - 1))];
        var next = (((entry >> 8) & 0xFFF) + 1) * (state >> SymbolModel.ScaleBits) + (entry >> 20);
        // Whether a state runs low cannot be foreseen: without a branch.
        var low = (uint)((next - (long)RansEncoder.LowestState) >>> 63);
        var isThere = at + 2 <= words.Length;
        var word = isThere ? BinaryPrimitives.ReadUInt16LittleEndian(words[at..]) : 0u;
        state = next << (int)(low << 4) | word & (0 - low);
        at += (int)low << 1;
        broken |= !isThere & low != 0; // goes on with whatever the state gives: the caller asks Ended
        return (byte)entry;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public uint Number(SymbolModel model, byte context)
    {
        var token = Symbol(model, context);
        var parts = Token.Parts[token];
        broken |= token >= Token.Count;
        return (uint)parts + raw.Read((int)(parts >> 32));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int Signed(SymbolModel model, byte context) => Token.UnZigZag(Number(model, context));
}
