using System.Buffers;
using System.Runtime.InteropServices;

namespace Coppice.Runtimes.OnnxRuntime;

/// <summary>An object of ONNX Runtime: freed once, when the last call that uses it has ended.</summary>
abstract class OrtHandle() : SafeHandle(0, ownsHandle: true)
{
    public override bool IsInvalid => handle == 0;

    /// <summary>Takes over an object that a call has just created.</summary>
    public void Own(nint created) => SetHandle(created);

    protected sealed override bool ReleaseHandle()
    {
        Release(handle);
        return true;
    }

    protected abstract void Release(nint owned);
}

/// <summary>A session, the zero-terminated names that every run passes, and nothing that a run could miss after the session was disposed of.</summary>
sealed unsafe class OrtSessionHandle : OrtHandle
{
    /// <summary>Names of inputs, then of outputs; one block of native memory.</summary>
    public byte** Names { get; set; }

    protected override void Release(nint owned)
    {
        Ort.ReleaseSession(owned);
        NativeMemory.Free(Names);
    }
}

sealed class OrtSessionOptionsHandle : OrtHandle
{
    protected override void Release(nint owned) => Ort.ReleaseSessionOptions(owned);
}

/// <summary>A tensor, and the pin on the caller's memory if it lies there.</summary>
sealed class OrtValueHandle : OrtHandle
{
    public MemoryHandle Pin { get; set; }

    protected override void Release(nint owned)
    {
        Ort.ReleaseValue(owned);
        Pin.Dispose();
    }
}

/// <summary>Options of a run, and the adapters they point to.</summary>
sealed class OrtRunOptionsHandle : OrtHandle
{
    public List<OrtLoraAdapterHandle> Adapters { get; } = [];

    protected override void Release(nint owned)
    {
        Ort.ReleaseRunOptions(owned);
        foreach (var adapter in Adapters)
            adapter.DangerousRelease();
    }
}

sealed class OrtLoraAdapterHandle : OrtHandle
{
    protected override void Release(nint owned) => Ort.ReleaseLoraAdapter(owned);
}

/// <summary>A binding, and a hold on the session whose state it points into.</summary>
sealed class OrtBindingHandle : OrtHandle
{
    public OrtSessionHandle? Session { get; set; }

    protected override void Release(nint owned)
    {
        Ort.ReleaseIoBinding(owned);
        Session?.DangerousRelease();
    }
}
