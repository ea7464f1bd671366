using System.Collections.Concurrent;
using System.Collections.Immutable;
using Coppice.Inference;

namespace Coppice.Runtimes.OnnxRuntime;

/// <summary>The port's view of an <see cref="OrtSession"/>: checks inputs against the model, and runs on memory it keeps between runs.</summary>
sealed unsafe class OnnxSession(OrtSession session) : IModelSession
{
    /// <summary>Slots that no run and no result holds; as many as were in use at once.</summary>
    readonly ConcurrentQueue<RunSlot> idle = new();
    volatile bool closed;

    public ImmutableArray<TensorSpec> Inputs => session.Inputs;

    public ImmutableArray<TensorSpec> Outputs => session.Outputs;

    public SessionMemory Memory
    {
        get
        {
            var arena = session.Arena;
            return new(arena.InUseBytes, arena.MaxInUseBytes, arena.TotalBytes);
        }
    }

    public InferenceResult Run(ReadOnlySpan<Tensor> inputs, CancellationToken cancel = default)
    {
        ObjectDisposedException.ThrowIf(closed, this);
        CheckInputs(inputs);
        if (!idle.TryDequeue(out var slot))
            slot = new(Inputs.Length, Outputs.Length);
        try
        {
            for (var i = 0; i < inputs.Length; i++)
                slot.SetInput(i, inputs[i], Inputs[i].Name);
            fixed (nint* nativeInputs = slot.Inputs, nativeOutputs = slot.Outputs)
                session.Run(new OrtCall(nativeInputs, nativeOutputs), null, cancel);
            slot.Unpin();
            return new OnnxResult(this, slot);
        }
        catch
        {
            slot.Unpin();
            Return(slot);
            throw;
        }
    }

    /// <summary>Takes a slot back, its outputs included.</summary>
    internal void Return(RunSlot slot)
    {
        slot.ReleaseOutputs();
        idle.Enqueue(slot);
        if (closed) // perhaps after Dispose looked
            Drain();
    }

    /// <summary>Lets go of the model. Runs under way end well, and results stay readable until they are disposed of.</summary>
    public void Dispose()
    {
        closed = true;
        Drain();
        session.Dispose();
    }

    void Drain()
    {
        while (idle.TryDequeue(out var slot))
            slot.Free();
    }

    void CheckInputs(ReadOnlySpan<Tensor> inputs)
    {
        if (inputs.Length != Inputs.Length)
            throw Unfit($"{inputs.Length} inputs were given; the model takes {Inputs.Length}: {string.Join("; ", Inputs)}.");
        for (var i = 0; i < inputs.Length; i++)
        {
            var spec = Inputs[i];
            if (inputs[i].Type != spec.Type)
                throw Unfit($"input '{spec.Name}' is {inputs[i].Type}; the model takes {spec}. Convert the elements.");
            if (!spec.Fits(inputs[i].Shape))
                throw Unfit($"input '{spec.Name}' has the shape [{string.Join(", ", inputs[i].Shape.ToArray())}]; the model takes {spec}, where -1 is any size.");
        }
    }

    static InferenceException Unfit(string problem) => new(problem) { Fault = InferenceFault.Input };
}
