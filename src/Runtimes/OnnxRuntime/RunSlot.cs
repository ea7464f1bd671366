using System.Buffers;
using Coppice.Formats;
using Coppice.Inference;

namespace Coppice.Runtimes.OnnxRuntime;

/// <summary>What one run needs besides the model, kept for the next: arrays, pins, and the native values over the caller's memory.</summary>
/// <remarks>
/// A native value is an address, a type and a shape, so it is used again when the next tensor lies at the same place with the same form;
/// the memory need only be pinned while a run reads it.
/// </remarks>
sealed unsafe class RunSlot(int inputs, int outputs)
{
    readonly MemoryHandle[] pins = new MemoryHandle[inputs];
    readonly Source[] sources = new Source[inputs];

    /// <summary>Native values to read, in the model's order.</summary>
    public nint[] Inputs { get; } = new nint[inputs];

    /// <summary>Native values that the last run made, in the model's order; zero before.</summary>
    public nint[] Outputs { get; } = new nint[outputs];

    /// <summary>Pins a tensor and has a native value for it.</summary>
    /// <exception cref="InferenceException">ONNX Runtime refuses a tensor of this form.</exception>
    public void SetInput(int index, in Tensor tensor, string name)
    {
        ref var source = ref sources[index];
        if (tensor.Type == ElementType.String)
        {
            Forget(index);
            Inputs[index] = OrtValue.CreateStrings(tensor.Strings, tensor.Shape);
            return;
        }

        ref var pin = ref pins[index];
        pin = tensor.Bytes.Pin();
        if (Inputs[index] != 0 && source.Address == pin.Pointer && source.Shape.AsSpan().SequenceEqual(tensor.Shape))
            return;
        Forget(index);
        Inputs[index] = OrtValue.Create(pin.Pointer, tensor.Bytes.Length, tensor.Shape, OrtElementTypes.NumberOf(tensor.Type), name);
        source.Address = pin.Pointer;
        if (source.Shape?.Length != tensor.Shape.Length)
            source.Shape = new long[tensor.Shape.Length];
        tensor.Shape.CopyTo(source.Shape);
    }

    /// <summary>Lets the caller's memory move again.</summary>
    public void Unpin()
    {
        for (var i = 0; i < pins.Length; i++)
        {
            pins[i].Dispose();
            pins[i] = default;
        }
    }

    /// <summary>Frees what the last run made.</summary>
    public void ReleaseOutputs()
    {
        for (var i = 0; i < Outputs.Length; i++)
        {
            if (Outputs[i] != 0)
                Ort.ReleaseValue(Outputs[i]);
            Outputs[i] = 0;
        }
    }

    /// <summary>Frees everything; the slot is not used again.</summary>
    public void Free()
    {
        ReleaseOutputs();
        for (var i = 0; i < Inputs.Length; i++)
            Forget(i);
    }

    void Forget(int index)
    {
        if (Inputs[index] != 0)
            Ort.ReleaseValue(Inputs[index]);
        Inputs[index] = 0;
    }

    /// <summary>Where and of what form the tensor is that a native value was made for. Its type is the model's, always the same.</summary>
    struct Source
    {
        public void* Address;
        public long[]? Shape;
    }
}
