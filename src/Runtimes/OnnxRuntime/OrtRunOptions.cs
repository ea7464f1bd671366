using System.Collections.Concurrent;

namespace Coppice.Runtimes.OnnxRuntime;

/// <summary>What holds for one run, or for many: adapters in force, settings, and a way to stop it.</summary>
/// <remarks>Runs may share options. Stopping them stops every run that uses them.</remarks>
public sealed unsafe class OrtRunOptions : IDisposable
{
    /// <summary>Options without settings, for runs that only want to be stopped; as many as ran so at once.</summary>
    static readonly ConcurrentQueue<OrtRunOptions> Idle = new();

    volatile bool terminated;

    /// <summary>Options as the library has them by default.</summary>
    public OrtRunOptions()
    {
        _ = OrtEnvironment.Handle;
        nint created;
        OrtStatus.Check(Ort.CreateRunOptions(&created), OrtStep.Start, "run options");
        Handle.Own(created);
    }

    /// <summary>Whether <see cref="Terminate"/> was called and <see cref="Resume"/> not since.</summary>
    public bool Terminated => terminated;

    internal OrtRunOptionsHandle Handle { get; } = new();

    /// <summary>Sets what the key of ONNX Runtime's <c>onnxruntime_run_options_config_keys.h</c> stands for.</summary>
    /// <remarks><c>memory.enable_memory_arena_shrinkage = cpu:0</c> gives the arena's memory back after the run.</remarks>
    public void Set(string key, string value)
    {
        using var nativeKey = OrtText.Of(key);
        using var nativeValue = OrtText.Of(value);
        using var hold = new Hold(Handle);
        OrtStatus.Check(Ort.AddRunConfigEntry(Handle.DangerousGetHandle(), nativeKey.Pointer, nativeValue.Pointer), OrtStep.Bind, key);
    }

    /// <summary>Puts an adapter in force for every run with these options. Not while one runs.</summary>
    public void Activate(LoraAdapter adapter)
    {
        using var hold = new Hold(Handle);
        var held = false;
        adapter.Handle.DangerousAddRef(ref held); // the options point to it; given back when they are freed
        try
        {
            OrtStatus.Check(
                Ort.RunOptionsAddActiveLoraAdapter(Handle.DangerousGetHandle(), adapter.Handle.DangerousGetHandle()), OrtStep.LoadAdapter, adapter.Name);
        }
        catch
        {
            adapter.Handle.DangerousRelease();
            throw;
        }
        Handle.Adapters.Add(adapter.Handle);
    }

    /// <summary>Stops the runs that use these options at their next operator, and lets none begin, until <see cref="Resume"/>.</summary>
    public void Terminate()
    {
        using var hold = new Hold(Handle);
        terminated = true;
        OrtStatus.Check(Ort.RunOptionsSetTerminate(Handle.DangerousGetHandle()), OrtStep.Bind, "stop");
    }

    /// <summary>Lets runs begin again.</summary>
    public void Resume()
    {
        using var hold = new Hold(Handle);
        OrtStatus.Check(Ort.RunOptionsUnsetTerminate(Handle.DangerousGetHandle()), OrtStep.Bind, "resume");
        terminated = false;
    }

    /// <inheritdoc/>
    public void Dispose() => Handle.Dispose();

    /// <summary>Options for one run that may be stopped.</summary>
    internal static OrtRunOptions Rent() => Idle.TryDequeue(out var idle) ? idle : new();

    /// <summary>Gives rented options back; they have been resumed.</summary>
    internal static void Return(OrtRunOptions rented) => Idle.Enqueue(rented);

    /// <summary>Keeps a native object for the length of a call, though another thread disposes of it.</summary>
    readonly ref struct Hold
    {
        readonly OrtHandle handle;

        public Hold(OrtHandle handle)
        {
            var held = false;
            handle.DangerousAddRef(ref held);
            this.handle = handle;
        }

        public void Dispose() => handle.DangerousRelease();
    }
}
