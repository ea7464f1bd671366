using Coppice.Delta.Entropy;
using Coppice.Formats;

namespace Coppice.Delta.Tensors;

/// <summary>Records of one length, such as blocks of a quantised tensor: each byte less the old one, or by itself, in context of its place.</summary>
static class Strided
{
    public static void Contexts(TensorRecord tensor, long first, int count, Span<byte> contexts)
    {
        var place = (int)(first % tensor.Columns);
        for (var i = 0; i < count; i++)
        {
            contexts[i] = (byte)Math.Min(place, 255);
            place = place + 1 == tensor.Columns ? 0 : place + 1;
        }
    }

    /// <returns>False when the symbols are not what an encoder writes.</returns>
    public static bool Decode(
        TensorRecord tensor, long first, IByteSource old, ReadOnlySpan<byte> main, SymbolModel model, FrameScratch scratch, bool coded, Span<byte> output)
    {
        if (tensor.HasOld)
            old.Read(tensor.OldOffset + first, output);
        else
            output.Clear();
        if (!coded)
            return true;
        var decoder = new RansDecoder(main, model, scratch.States, vectors: false);
        for (var start = 0; start < output.Length; start += scratch.Elements)
        {
            var part = output[start..Math.Min(output.Length, start + scratch.Elements)];
            var symbols = scratch.Symbols.AsSpan(0, part.Length);
            Contexts(tensor, first + start, part.Length, scratch.Contexts);
            if (!decoder.Decode(scratch.Contexts, symbols))
                return false;
            for (var i = 0; i < part.Length; i++)
                part[i] += symbols[i];
        }
        return decoder.Ended;
    }
}
