using System.Buffers.Binary;

namespace Coppice.Delta.Entropy;

/// <summary>Writes symbols with the lengths that a model gives them: range variant of asymmetric numeral systems, static tables.</summary>
/// <remarks>
/// States have 32 bits and stay at or above 2^16; they are renormalised by 16-bit words. A decoder runs forwards, so symbols
/// are taken here from the last to the first and words are put in front of those already there.
/// </remarks>
static class RansEncoder
{
    /// <summary>States that take turns: two vectors of eight, because one alone would wait for its own table entries.</summary>
    public const int Lanes = 16;
    public const uint LowestState = 1 << 16;

    /// <summary>Symbol i belongs to state i mod 16. The result starts with the 16 states, 4 bytes each.</summary>
    public static byte[] Encode(ReadOnlySpan<byte> contexts, ReadOnlySpan<byte> symbols, SymbolModel model)
    {
        var words = new ushort[symbols.Length + 2 * Lanes];
        var at = words.Length;
        Span<uint> states = stackalloc uint[Lanes];
        states.Fill(LowestState);
        for (var i = symbols.Length - 1; i >= 0; i--)
            Put(ref states[i & (Lanes - 1)], model.Of(model.Map[contexts[i]], symbols[i]), words, ref at);
        return Finish(states, words, at);
    }

    /// <summary>Symbols of several models in one sequence, with one state.</summary>
    public static byte[] Encode(ReadOnlySpan<SideSymbol> sequence, ReadOnlySpan<SymbolModel?> models)
    {
        var words = new ushort[sequence.Length + 2];
        var at = words.Length;
        Span<uint> state = [LowestState];
        for (var i = sequence.Length - 1; i >= 0; i--)
        {
            var model = models[sequence[i].Slot]!;
            Put(ref state[0], model.Of(model.Map[sequence[i].Context], sequence[i].Symbol), words, ref at);
        }
        return Finish(state, words, at);
    }

    static void Put(ref uint state, (int Frequency, int Start) of, ushort[] words, ref int at)
    {
        var frequency = (uint)of.Frequency;
        if (state >= (ulong)frequency << (32 - SymbolModel.ScaleBits))
        {
            words[--at] = (ushort)state;
            state >>= 16;
        }
        var quotient = state / frequency;
        state = (quotient << SymbolModel.ScaleBits) + (state - quotient * frequency) + (uint)of.Start;
    }

    static byte[] Finish(ReadOnlySpan<uint> states, ushort[] words, int at)
    {
        for (var lane = states.Length - 1; lane >= 0; lane--)
        {
            words[--at] = (ushort)(states[lane] >> 16);
            words[--at] = (ushort)states[lane];
        }
        var bytes = new byte[(words.Length - at) * 2];
        for (var i = 0; i < bytes.Length; i += 2)
            BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(i), words[at++]);
        return bytes;
    }
}

/// <param name="Slot">The model that codes the symbol.</param>
/// <param name="Context">The context in that model.</param>
/// <param name="Symbol">What is coded.</param>
readonly record struct SideSymbol(byte Slot, byte Context, byte Symbol);
