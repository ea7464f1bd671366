using Coppice.Delta.Entropy;
using Coppice.Formats;

namespace Coppice.Delta.Tensors;

/// <summary>How the bytes of one frame were made. The values are part of the format.</summary>
enum FrameMode : byte
{
    /// <summary>Every element is as predicted.</summary>
    Exact = 0,
    /// <summary>Symbols of all elements.</summary>
    Coded = 1,
    /// <summary>Every element is as predicted but for those whose places and differences follow.</summary>
    Corrected = 2,
    /// <summary>The bytes as they are.</summary>
    Stored = 3,
}

/// <summary>Makes the elements of a frame from the old ones and the frame's payload.</summary>
static class FrameDecoder
{
    /// <param name="tensor">The tensor of the frame.</param>
    /// <param name="frame">Index of the frame in the tensor.</param>
    /// <param name="payload">What the frame carries.</param>
    /// <param name="old">The old files, one after the other.</param>
    /// <param name="models">The models by their slot.</param>
    /// <param name="scratch">The worker's memory; its <see cref="FrameScratch.NewBytes"/> take the result.</param>
    /// <param name="vectors">Whether vector instructions may be used; the result is the same.</param>
    /// <returns>Number of bytes made.</returns>
    /// <exception cref="MalformedPatchException">The payload breaks a rule.</exception>
    public static int Decode(
        TensorRecord tensor, long frame, RecordReader payload, IByteSource old, ReadOnlySpan<SymbolModel?> models, FrameScratch scratch, bool vectors)
    {
        var first = frame * tensor.ElementsPerFrame;
        var count = (int)Math.Min(tensor.ElementsPerFrame, tensor.Elements - first);
        var mode = (FrameMode)payload.Byte();
        var output = scratch.NewBytes.AsSpan(0, tensor.Technique == Technique.Strided ? count : (int)tensor.Lattice.BytesOf(count));
        if (mode == FrameMode.Stored)
        {
            payload.Bytes(output.Length).CopyTo(output);
            payload.End();
            return output.Length;
        }
        if (mode > FrameMode.Stored || mode != FrameMode.Coded && (!tensor.HasOld || tensor.Technique == Technique.FloatFields) || mode == FrameMode.Corrected && tensor.Technique == Technique.Strided)
            throw payload.Wrong($"frame mode {(byte)mode} does not go with {tensor.Technique}.");

        var coded = mode == FrameMode.Coded;
        var side = default(SideReader);
        ReadOnlySpan<byte> main = default, raw = default;
        if (mode != FrameMode.Exact)
        {
            var sideWords = payload.Bytes((int)payload.Number(payload.Left));
            side = new(sideWords, payload.Bytes((int)payload.Number(payload.Left)));
            main = payload.Bytes(coded ? (int)payload.Number(payload.Left) : 0);
            raw = payload.Bytes(coded ? payload.Left : 0);
        }
        payload.End();

        if (tensor.Technique == Technique.Strided)
            return Strided.Decode(tensor, first, old, main, models[tensor.Slot]!, scratch, coded, output) ? output.Length : throw Undecodable(payload);

        OldElements.Read(tensor, first, count, old, scratch);
        FrameSide.Read(tensor, count, mode, ref side, models, scratch);
        if (coded && !side.Ended)
            throw payload.Wrong("the scales or factors of a frame do not decode; fetch the patch again.");
        var good = mode switch
        {
            FrameMode.Coded when tensor.Technique == Technique.FloatFields => DecodeFields(tensor, count, main, raw, models[tensor.Slot]!, scratch, vectors, output),
            FrameMode.Coded => DecodeDifferences(tensor, count, main, raw, models[tensor.Slot]!, scratch, vectors, output),
            _ => DecodeCorrections(tensor, count, mode == FrameMode.Corrected, ref side, models[SideModels.Slot]!, scratch, vectors, output),
        };
        return good ? output.Length : throw Undecodable(payload);
    }

    static MalformedPatchException Undecodable(RecordReader payload) => payload.Wrong("the elements of a frame do not decode; fetch the patch again.");

    static bool DecodeFields(
        TensorRecord tensor, int count, ReadOnlySpan<byte> main, ReadOnlySpan<byte> raw, SymbolModel model, FrameScratch scratch, bool vectors, Span<byte> output)
    {
        var decoder = new RansDecoder(main, model, scratch.States, vectors);
        var bits = new BitReader(raw);
        for (var start = 0; start < count; start += scratch.Elements)
        {
            var length = Math.Min(scratch.Elements, count - start);
            OldElements.Unpack(tensor, start, length, scratch);
            FloatFields.Contexts(tensor, scratch, start, length);
            if (!decoder.Decode(scratch.Contexts, scratch.Symbols.AsSpan(0, length)))
                return false;
            FloatFields.Rebuild(tensor, scratch, length, ref bits);
            Pack(tensor, start, length, scratch, output);
        }
        return decoder.Ended && !bits.Overrun && bits.BytesUsed == raw.Length;
    }

    static bool DecodeDifferences(
        TensorRecord tensor, int count, ReadOnlySpan<byte> main, ReadOnlySpan<byte> raw, SymbolModel model, FrameScratch scratch, bool vectors, Span<byte> output)
    {
        var decoder = new RansDecoder(main, model, scratch.States, vectors);
        var numbers = new RawNumbers(raw);
        for (var start = 0; start < count; start += scratch.Elements)
        {
            var length = Math.Min(scratch.Elements, count - start);
            var symbols = scratch.Symbols.AsSpan(0, length);
            Predict(tensor, start, length, scratch, vectors);
            if (!decoder.Decode(scratch.Contexts, symbols) || !Rebuild(tensor, scratch, symbols, ref numbers, vectors))
                return false;
            Pack(tensor, start, length, scratch, output);
        }
        return decoder.Ended && numbers.Ended;
    }

    /// <summary>Every element is as predicted, but for those that the side stream names.</summary>
    static bool DecodeCorrections(
        TensorRecord tensor, int count, bool corrected, ref SideReader side, SymbolModel model, FrameScratch scratch, bool vectors, Span<byte> output)
    {
        var left = corrected ? side.Number(model, SideModels.Gap) : 0;
        var next = left > 0 ? (long)side.Number(model, SideModels.Gap) : long.MaxValue;
        for (var start = 0; start < count; start += scratch.Elements)
        {
            var length = Math.Min(scratch.Elements, count - start);
            var symbols = scratch.Symbols.AsSpan(0, length);
            symbols.Clear();
            Predict(tensor, start, length, scratch, vectors);
            var none = new RawNumbers([]);
            Rebuild(tensor, scratch, symbols, ref none, vectors);
            while (next < start + length)
            {
                var difference = side.Signed(model, SideModels.Correction);
                scratch.New[next - start] = tensor.Technique == Technique.FloatDifference
                    ? FloatDifference.Add(tensor.Lattice, scratch.Predicted[next - start], difference)
                    : IntegerPrediction.Add(tensor.Lattice, scratch.Predicted[next - start], difference);
                next = --left > 0 ? next + 1 + side.Number(model, SideModels.Gap) : long.MaxValue;
            }
            Pack(tensor, start, length, scratch, output);
        }
        return left == 0 && (!corrected || side.Ended);
    }

    static void Predict(TensorRecord tensor, int start, int length, FrameScratch scratch, bool vectors)
    {
        OldElements.Unpack(tensor, start, length, scratch);
        if (tensor.Technique == Technique.FloatDifference)
            FloatPrediction.Predict(tensor, scratch, start, length, vectors);
        else
            IntegerPrediction.Predict(tensor, scratch, start, length, vectors);
    }

    static bool Rebuild(TensorRecord tensor, FrameScratch scratch, ReadOnlySpan<byte> symbols, ref RawNumbers numbers, bool vectors) =>
        tensor.Technique == Technique.FloatDifference
            ? FloatDifference.Rebuild(tensor.Lattice, scratch.Predicted.AsSpan(0, symbols.Length), symbols, scratch.Large, ref numbers, scratch.New.AsSpan(0, symbols.Length), vectors)
            : IntegerPrediction.Rebuild(tensor.Lattice, scratch.Predicted.AsSpan(0, symbols.Length), symbols, scratch.Large, ref numbers, scratch.New.AsSpan(0, symbols.Length), vectors);

    static void Pack(TensorRecord tensor, int start, int length, FrameScratch scratch, Span<byte> output) => Packing.Pack(
        tensor.Lattice, scratch.New.AsSpan(0, length), tensor.Lattice.IsBlock ? scratch.NewHeads.AsSpan(BlockHeads.FieldsOf(tensor.Lattice, start)) : default,
        output.Slice((int)tensor.Lattice.BytesOf(start), (int)tensor.Lattice.BytesOf(length)));
}
