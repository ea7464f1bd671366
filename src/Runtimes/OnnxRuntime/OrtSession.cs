using System.Buffers;
using System.Collections.Immutable;
using Coppice.Inference;

namespace Coppice.Runtimes.OnnxRuntime;

/// <summary>A model that ONNX Runtime has loaded. Any number of threads may run it at once.</summary>
/// <remarks>It may be disposed of while it runs: those runs end well, later ones are refused, and the memory goes with the last.</remarks>
public sealed unsafe class OrtSession : IDisposable
{
    readonly string subject;

    /// <summary>Set by Dispose: the handle alone goes on taking callers while a run or a binding holds it.</summary>
    volatile bool closed;

    OrtSession(OrtSessionHandle handle, string subject)
    {
        (Handle, this.subject) = (handle, subject);
        var session = handle.DangerousGetHandle();
        Inputs = OrtDescription.Inputs(session, subject);
        Outputs = OrtDescription.Outputs(session, subject);
        Overridable = OrtDescription.Overridable(session, subject);
        Metadata = OrtDescription.Metadata(session, subject);
        handle.Names = OrtDescription.NativeNames([.. Inputs, .. Outputs]);
    }

    /// <summary>Makes a native session.</summary>
    delegate nint Creation(nint options, nint* session);

    /// <summary>What a run must be given, in the model's order.</summary>
    public ImmutableArray<TensorSpec> Inputs { get; }

    /// <summary>What a run gives, in the model's order.</summary>
    public ImmutableArray<TensorSpec> Outputs { get; }

    /// <summary>Weights that a run may replace: by an <see cref="OrtBinding"/>, or by a <see cref="LoraAdapter"/>.</summary>
    public ImmutableArray<TensorSpec> Overridable { get; }

    /// <summary>What the model says about itself.</summary>
    public OrtModelMetadata Metadata { get; }

    /// <summary>What the session's arena holds now and held at most.</summary>
    public ArenaStatistics Arena
    {
        get
        {
            ObjectDisposedException.ThrowIf(closed, this);
            var held = false;
            Handle.DangerousAddRef(ref held);
            try
            {
                return OrtArena.Read(Handle.DangerousGetHandle(), subject);
            }
            finally
            {
                Handle.DangerousRelease();
            }
        }
    }

    internal OrtSessionHandle Handle { get; }

    /// <summary>Loads a model file; external data lies beside it.</summary>
    /// <exception cref="InferenceException">The file is missing, damaged, too large for the limit, or nothing this library can run.</exception>
    /// <exception cref="OperationCanceledException">Loading was stopped.</exception>
    public static OrtSession Load(string path, OrtSessionOptions? options = null, CancellationToken cancel = default)
    {
        path = Path.GetFullPath(path);
        if (!File.Exists(path))
            throw new InferenceException($"there is no model file '{path}'; give the path of one.") { Fault = InferenceFault.Model };
        using var text = OrtText.OfPath(path);
        var native = (nint)text.Pointer;
        return Create(path, options, (settings, session) => Ort.CreateSession(OrtEnvironment.Handle, (void*)native, settings, session), cancel);
    }

    /// <summary>Loads a model from memory, which is free again afterwards.</summary>
    /// <exception cref="InferenceException">The bytes are damaged, too large for the limit, or nothing this library can run.</exception>
    /// <exception cref="OperationCanceledException">Loading was stopped.</exception>
    public static OrtSession Load(ReadOnlyMemory<byte> bytes, OrtSessionOptions? options = null, CancellationToken cancel = default)
    {
        if (bytes.IsEmpty)
            throw new InferenceException("the model has no bytes; fetch it again.") { Fault = InferenceFault.Model };
        using var pin = bytes.Pin();
        var (native, length) = ((nint)pin.Pointer, (nuint)bytes.Length);
        return Create(
            $"model in memory, {bytes.Length} bytes", options,
            (settings, session) => Ort.CreateSessionFromArray(OrtEnvironment.Handle, (void*)native, length, settings, session), cancel);
    }

    /// <summary>Runs the model once.</summary>
    /// <param name="inputs">A value for each of <see cref="Inputs"/>, in that order; read in place.</param>
    /// <param name="outputs">A place for each of <see cref="Outputs"/>. A value that is there is written in place and must have the right type
    /// and shape; null is replaced by a new value, which the caller disposes of.</param>
    /// <param name="options">Adapters and settings; null for none.</param>
    /// <param name="cancel">Stops the run at the next operator, with all others that use the same <paramref name="options"/>.</param>
    /// <exception cref="ArgumentException">There are more or fewer values than the model has.</exception>
    /// <exception cref="InferenceException">A value does not fit the model, or the run failed. Places that were null still are.</exception>
    /// <exception cref="OperationCanceledException">The run was stopped.</exception>
    /// <exception cref="ObjectDisposedException">The session or a value was disposed of.</exception>
    public void Run(ReadOnlySpan<OrtValue> inputs, Span<OrtValue?> outputs, OrtRunOptions? options = null, CancellationToken cancel = default)
    {
        if (inputs.Length != Inputs.Length || outputs.Length != Outputs.Length)
        {
            throw new ArgumentException(
                $"{inputs.Length} inputs and {outputs.Length} outputs were given; '{subject}' has {Inputs.Length} ({string.Join("; ", Inputs)}) " +
                $"and {Outputs.Length} ({string.Join("; ", Outputs)}).");
        }

        var nativeInputs = inputs.Length <= 32 ? stackalloc nint[inputs.Length] : new nint[inputs.Length];
        var nativeOutputs = outputs.Length <= 32 ? stackalloc nint[outputs.Length] : new nint[outputs.Length];
        var (heldInputs, heldOutputs) = (0, 0);
        try
        {
            for (; heldInputs < inputs.Length; heldInputs++)
                nativeInputs[heldInputs] = Hold(inputs[heldInputs]);
            for (; heldOutputs < outputs.Length; heldOutputs++)
                nativeOutputs[heldOutputs] = Hold(outputs[heldOutputs]);
            fixed (nint* firstInput = nativeInputs, firstOutput = nativeOutputs)
                Run(new OrtCall(firstInput, firstOutput), options, cancel);
        }
        finally
        {
            Release(inputs[..heldInputs]);
            Release(outputs[..heldOutputs]);
        }
        for (var i = 0; i < outputs.Length; i++)
            outputs[i] ??= OrtValue.Adopt(nativeOutputs[i]);
    }

    /// <summary>Lets go of the model; its memory goes when the last run has ended.</summary>
    public void Dispose()
    {
        closed = true;
        Handle.Dispose();
    }

    /// <summary>Runs the model, while the session is held against being disposed of.</summary>
    internal void Run(in OrtCall call, OrtRunOptions? options, CancellationToken cancel)
    {
        ObjectDisposedException.ThrowIf(closed, this);
        var held = false;
        Handle.DangerousAddRef(ref held);
        try
        {
            if (options is null && !cancel.CanBeCanceled)
                OrtStatus.Check(Invoke(call, 0), OrtStep.Run, subject);
            else
                RunWith(call, options, cancel);
        }
        finally
        {
            Handle.DangerousRelease();
        }
    }

    void RunWith(in OrtCall call, OrtRunOptions? given, CancellationToken cancel)
    {
        cancel.ThrowIfCancellationRequested();
        var options = given ?? OrtRunOptions.Rent();
        var held = false;
        options.Handle.DangerousAddRef(ref held);
        try
        {
            nint status;
            // Leaving the block waits for a stop that is under way, so none comes after Resume.
            using (cancel.UnsafeRegister(static stopped => ((OrtRunOptions)stopped!).Terminate(), options))
                status = Invoke(call, options.Handle.DangerousGetHandle());

            var stopped = options.Terminated;
            if (cancel.IsCancellationRequested)
                options.Resume();
            if (status != 0 && stopped)
            {
                OrtStatus.Forget(status);
                throw new OperationCanceledException($"A run of '{subject}' was stopped.", cancel);
            }
            OrtStatus.Check(status, OrtStep.Run, subject);
        }
        finally
        {
            options.Handle.DangerousRelease();
            if (given is null)
                OrtRunOptions.Return(options);
        }
    }

    nint Invoke(in OrtCall call, nint options)
    {
        var session = Handle.DangerousGetHandle();
        return call.Binding != 0
            ? Ort.RunWithBinding(session, options, call.Binding)
            : Ort.Run(
                session, options, Handle.Names, call.Inputs, (nuint)Inputs.Length,
                Handle.Names + Inputs.Length, (nuint)Outputs.Length, call.Outputs);
    }

    static OrtSession Create(string subject, OrtSessionOptions? options, Creation create, CancellationToken cancel)
    {
        options ??= new();
        options.Validate();
        cancel.ThrowIfCancellationRequested();
        var pins = new List<MemoryHandle>();
        try
        {
            using var settings = options.Build(subject, pins);
            var handle = options.ArenaLimitBytes > 0
                ? OrtArena.Bounded(options.ArenaLimitBytes, () => CreateHandle(subject, settings, create, cancel))
                : CreateHandle(subject, settings, create, cancel);
            try
            {
                var session = new OrtSession(handle, subject);
                if (options.ArenaLimitBytes > 0 && session.Arena.InUseBytes is var taken && taken > options.ArenaLimitBytes)
                {
                    throw new InferenceException(
                        $"'{subject}' takes {taken} bytes for packed weights alone, past the limit of {options.ArenaLimitBytes}; " +
                        "raise the memory limit or take a smaller variant.")
                    { Fault = InferenceFault.Memory };
                }
                return session;
            }
            catch
            {
                handle.Dispose();
                throw;
            }
        }
        finally
        {
            foreach (var pin in pins)
                pin.Dispose();
        }
    }

    static OrtSessionHandle CreateHandle(string subject, OrtSessionOptionsHandle settings, Creation create, CancellationToken cancel)
    {
        nint session, status;
        using (cancel.UnsafeRegister(StopLoading, settings))
            status = create(settings.DangerousGetHandle(), &session);
        if (status != 0 && cancel.IsCancellationRequested)
        {
            OrtStatus.Forget(status);
            throw new OperationCanceledException($"Loading '{subject}' was stopped.", cancel);
        }
        OrtStatus.Check(status, OrtStep.Load, subject);
        var handle = new OrtSessionHandle();
        handle.Own(session);
        return handle;
    }

    static void StopLoading(object? settings) =>
        OrtStatus.Forget(Ort.SessionOptionsSetLoadCancellationFlag(((OrtSessionOptionsHandle)settings!).DangerousGetHandle(), cancel: 1));

    static nint Hold(OrtValue? value)
    {
        if (value is null)
            return 0;
        var held = false;
        value.Handle.DangerousAddRef(ref held);
        return value.Handle.DangerousGetHandle();
    }

    static void Release(ReadOnlySpan<OrtValue?> values)
    {
        foreach (var value in values)
            value?.Handle.DangerousRelease();
    }
}

/// <summary>What a run reads and writes: arrays of native values in the model's order, or a binding.</summary>
readonly unsafe struct OrtCall
{
    public OrtCall(nint* inputs, nint* outputs)
    {
        Inputs = inputs;
        Outputs = outputs;
    }

    public OrtCall(nint binding) => Binding = binding;

    public nint* Inputs { get; }

    public nint* Outputs { get; }

    /// <summary>Zero when there are arrays.</summary>
    public nint Binding { get; }
}
