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

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public byte Symbol(SymbolModel model, byte context)
    {
        var entry = model.Slots[model.Map[context] << SymbolModel.ScaleBits | (int)(state & (SymbolModel.Scale - 1))];
        state = (((entry >> 8) & 0xFFF) + 1) * (state >> SymbolModel.ScaleBits) + (entry >> 20);
        if (state < RansEncoder.LowestState)
        {
            if (at + 2 <= words.Length)
                state = state << 16 | BinaryPrimitives.ReadUInt16LittleEndian(words[at..]);
            else
                broken = true; // goes on with whatever the state gives: the caller asks Ended
            at += 2;
        }
        return (byte)entry;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public uint Number(SymbolModel model, byte context)
    {
        var token = Symbol(model, context);
        if (token < Token.Literals)
            return token;
        if (token >= Token.Count)
        {
            broken = true;
            return 0;
        }
        return Token.Base[token] + raw.Read(Token.RawBits[token]);
    }

    public int Signed(SymbolModel model, byte context) => Token.UnZigZag(Number(model, context));
}
