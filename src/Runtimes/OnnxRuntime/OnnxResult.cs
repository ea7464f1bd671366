using Coppice.Formats;
using Coppice.Inference;

namespace Coppice.Runtimes.OnnxRuntime;

/// <summary>Outputs of a run in ONNX Runtime's memory.</summary>
/// <remarks>
/// It has no finaliser on purpose: one could free memory that a span still reads. A result that is never disposed of costs
/// memory, never safety.
/// </remarks>
sealed unsafe class OnnxResult(OnnxSession session, RunSlot slot) : InferenceResult
{
    RunSlot? held = slot;

    public override int Count => session.Outputs.Length;

    public override ElementType TypeOf(int output) => session.Outputs[output].Type;

    public override ReadOnlySpan<long> ShapeOf(int output)
    {
        int type;
        long* dimensions;
        nuint rank;
        OrtStatus.Check(Ort.GetTensorElementTypeAndShapeDataReference(Value(output), &type, &dimensions, &rank), OrtStep.Describe, Name(output));
        return new(dimensions, (int)rank);
    }

    public override ReadOnlySpan<byte> BytesOf(int output) => TypeOf(output) != ElementType.String
        ? OrtValue.BytesOf(Value(output), TypeOf(output))
        : throw new InvalidOperationException($"output '{Name(output)}' holds strings; read it with {nameof(StringsOf)}.");

    public override string[] StringsOf(int output) => TypeOf(output) == ElementType.String
        ? OrtValue.StringsOf(Value(output), ShapeOf(output))
        : base.StringsOf(output);

    protected override void Dispose(bool disposing)
    {
        if (Interlocked.Exchange(ref held, null) is { } slot)
            session.Return(slot);
    }

    nint Value(int output)
    {
        var slot = held;
        ObjectDisposedException.ThrowIf(slot is null, this);
        return slot.Outputs[output];
    }

    string Name(int output) => session.Outputs[output].Name;
}
