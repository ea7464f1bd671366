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
        if (mode > FrameMode.Stored || mode != FrameMode.Coded && !tensor.HasOld || mode == FrameMode.Corrected && tensor.Technique is Technique.FloatFields or Technique.Strided)
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
        {
            Strided.Decode(tensor, first, count, old, main, models[tensor.Slot]!, scratch, coded, output, payload);
            return output.Length;
        }

        OldElements.Read(tensor, first, count, old, scratch);
        if (!FrameSide.Read(tensor, first, count, mode, ref side, models, scratch))
            throw payload.Wrong("the scales or factors of a frame do not decode; fetch the patch again.");
        if (tensor.Technique == Technique.FloatFields)
        {
            FloatFields.Contexts(tensor, scratch, 0, count);
            if (!side.Ended || RansDecoder.Decode(main, scratch.Contexts, models[tensor.Slot]!, scratch.Symbols.AsSpan(0, count), scratch.Large, vectors) < 0
                || !FloatFields.Rebuild(tensor, scratch, count, raw))
                throw payload.Wrong("the elements of a frame do not decode; fetch the patch again.");
            Packing.Pack(tensor.Lattice, scratch.New.AsSpan(0, count), scratch.NewSteps, output);
            return output.Length;
        }

        if (tensor.Technique == Technique.FloatDifference)
            FloatPrediction.Predict(tensor, scratch, 0, count, vectors);
        else
            IntegerPrediction.Predict(tensor, scratch, 0, count, vectors);
        var symbols = scratch.Symbols.AsSpan(0, count);
        var large = 0;
        if (coded)
            large = side.Ended ? RansDecoder.Decode(main, scratch.Contexts, models[tensor.Slot]!, symbols, scratch.Large, vectors) : -1;
        else
            symbols.Clear();
        if (large < 0 || !Rebuild(tensor, scratch, count, symbols, scratch.Large.AsSpan(0, large), raw, vectors))
            throw payload.Wrong("the elements of a frame do not decode; fetch the patch again.");
        if (mode == FrameMode.Corrected)
            Correct(tensor, count, ref side, models[SideModels.Slot]!, scratch, payload);
        Packing.Pack(tensor.Lattice, scratch.New.AsSpan(0, count), scratch.NewSteps, output);
        return output.Length;
    }

    static bool Rebuild(
        TensorRecord tensor, FrameScratch scratch, int count, ReadOnlySpan<byte> symbols, ReadOnlySpan<ushort> large, ReadOnlySpan<byte> raw, bool vectors) =>
        tensor.Technique == Technique.FloatDifference
            ? FloatDifference.Rebuild(tensor.Lattice, scratch.Predicted.AsSpan(0, count), symbols, large, raw, scratch.New.AsSpan(0, count), vectors)
            : IntegerPrediction.Rebuild(tensor.Lattice, scratch.Predicted.AsSpan(0, count), symbols, large, raw, scratch.New.AsSpan(0, count), vectors);

    static void Correct(TensorRecord tensor, int count, ref SideReader side, SymbolModel model, FrameScratch scratch, RecordReader payload)
    {
        var corrections = side.Number(model, SideModels.Gap);
        var at = -1L;
        for (var i = 0U; i < corrections && at < count; i++)
        {
            at += 1 + side.Number(model, SideModels.Gap);
            var difference = side.Signed(model, SideModels.Correction);
            if (at < count)
                scratch.New[at] = tensor.Technique == Technique.FloatDifference
                    ? FloatDifference.Add(tensor.Lattice, scratch.Predicted[at], difference)
                    : IntegerPrediction.Add(tensor.Lattice, scratch.Predicted[at], difference);
        }
        if (at >= count || !side.Ended)
            throw payload.Wrong("the corrections of a frame do not decode; fetch the patch again.");
    }
}
