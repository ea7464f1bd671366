using Coppice.Inference;

namespace Coppice.Runtimes.OnnxRuntime;

/// <summary>Values bound to names of a session once and run many times: for loops that feed outputs back as inputs, and to replace weights.</summary>
/// <remarks>For one thread at a time. It holds its session and its values until it is disposed of.</remarks>
public sealed unsafe class OrtBinding : IDisposable
{
    readonly OrtSession session;
    readonly OrtBindingHandle handle = new();

    /// <summary>What is bound, so that it outlives the binding's use of it.</summary>
    readonly Dictionary<string, OrtValue> inputs = [];
    readonly Dictionary<string, OrtValue?> outputs = [];

    /// <summary>A binding without values.</summary>
    public OrtBinding(OrtSession session)
    {
        this.session = session;
        var held = false;
        session.Handle.DangerousAddRef(ref held);
        try
        {
            nint created;
            OrtStatus.Check(Ort.CreateIoBinding(session.Handle.DangerousGetHandle(), &created), OrtStep.Start, "binding");
            handle.Own(created);
        }
        catch
        {
            session.Handle.DangerousRelease();
            throw;
        }
        handle.Session = session.Handle;
    }

    /// <summary>Binds a value to read from, to an input or to a weight in <see cref="OrtSession.Overridable"/>.</summary>
    /// <exception cref="InferenceException">The model has no such input.</exception>
    public void BindInput(string name, OrtValue value)
    {
        ObjectDisposedException.ThrowIf(handle.IsClosed, this);
        ObjectDisposedException.ThrowIf(value.Handle.IsClosed, value);
        if (!session.Inputs.Any(spec => spec.Name == name) && !session.Overridable.Any(spec => spec.Name == name))
            throw Unknown("input", name, string.Join("; ", session.Inputs.AddRange(session.Overridable)));
        using var text = OrtText.Of(name);
        OrtStatus.Check(Ort.BindInput(handle.DangerousGetHandle(), text.Pointer, value.Handle.DangerousGetHandle()), OrtStep.Bind, name);
        inputs[name] = value;
    }

    /// <summary>Binds a value to write to; null lets the run make one of the right shape each time.</summary>
    /// <exception cref="InferenceException">The model has no such output.</exception>
    public void BindOutput(string name, OrtValue? value = null)
    {
        ObjectDisposedException.ThrowIf(handle.IsClosed, this);
        if (!session.Outputs.Any(spec => spec.Name == name))
            throw Unknown("output", name, string.Join("; ", session.Outputs));
        using var text = OrtText.Of(name);
        var binding = handle.DangerousGetHandle();
        if (value is null)
        {
            OrtStatus.Check(Ort.BindOutputToDevice(binding, text.Pointer, OrtEnvironment.CpuMemory), OrtStep.Bind, name);
        }
        else
        {
            ObjectDisposedException.ThrowIf(value.Handle.IsClosed, value);
            OrtStatus.Check(Ort.BindOutput(binding, text.Pointer, value.Handle.DangerousGetHandle()), OrtStep.Bind, name);
        }
        outputs[name] = value;
    }

    /// <summary>Runs the session on what is bound.</summary>
    /// <exception cref="InferenceException">An input is not bound, a value does not fit the model, or the run failed.</exception>
    /// <exception cref="OperationCanceledException">The run was stopped.</exception>
    public void Run(OrtRunOptions? options = null, CancellationToken cancel = default)
    {
        ObjectDisposedException.ThrowIf(handle.IsClosed, this);
        session.Run(new OrtCall(handle.DangerousGetHandle()), options, cancel);
        GC.KeepAlive(this);
    }

    /// <summary>The values of the outputs in the order they were bound in, those that the last run made included. The caller disposes of them.</summary>
    public OrtValue[] TakeOutputs()
    {
        ObjectDisposedException.ThrowIf(handle.IsClosed, this);
        nint* values;
        nuint count;
        OrtStatus.Check(Ort.GetBoundOutputValues(handle.DangerousGetHandle(), OrtEnvironment.DefaultAllocator, &values, &count), OrtStep.Describe, "outputs");
        var taken = new OrtValue[count];
        for (var i = 0; i < taken.Length; i++)
            taken[i] = OrtValue.Adopt(values[i]);
        if (values is not null)
            OrtStatus.Forget(Ort.AllocatorFree(OrtEnvironment.DefaultAllocator, values));
        return taken;
    }

    /// <summary>Unbinds everything.</summary>
    public void Clear()
    {
        ObjectDisposedException.ThrowIf(handle.IsClosed, this);
        Ort.ClearBoundInputs(handle.DangerousGetHandle());
        Ort.ClearBoundOutputs(handle.DangerousGetHandle());
        inputs.Clear();
        outputs.Clear();
    }

    /// <inheritdoc/>
    public void Dispose() => handle.Dispose();

    static InferenceException Unknown(string role, string name, string known) =>
        new($"the model has no {role} '{name}'; it has {known}.") { Fault = InferenceFault.Input };
}
