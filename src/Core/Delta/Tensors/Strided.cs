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

    public static void Decode(
        TensorRecord tensor, long first, int count, IByteSource old, ReadOnlySpan<byte> main, SymbolModel model, FrameScratch scratch, bool coded,
        Span<byte> output, RecordReader payload)
    {
        var symbols = scratch.Symbols.AsSpan(0, count);
        if (coded)
        {
            Contexts(tensor, first, count, scratch.Contexts);
            if (RansDecoder.Decode(main, scratch.Contexts, model, symbols, scratch.Large, vectors: false) < 0)
                throw payload.Wrong("the bytes of a frame do not decode; fetch the patch again.");
        }
        else
        {
            symbols.Clear();
        }
        if (!tensor.HasOld)
        {
            symbols.CopyTo(output);
            return;
        }
        old.Read(tensor.OldOffset + first, output);
        for (var i = 0; i < count; i++)
            output[i] += symbols[i];
    }
}
