using Coppice.Inference;

namespace Coppice.Runtimes.OnnxRuntime;

/// <summary>A LoRA adapter in ONNX Runtime's own format: values for initialisers that the model lets a run replace.</summary>
/// <remarks>It is put in force by <see cref="OrtRunOptions.Activate"/>, so by run: sessions need not be loaded again.</remarks>
public sealed unsafe class LoraAdapter : IDisposable
{
    LoraAdapter(OrtLoraAdapterHandle handle, string name) => (Handle, Name) = (handle, name);

    /// <summary>Its path, or what it is when it came from memory.</summary>
    public string Name { get; }

    internal OrtLoraAdapterHandle Handle { get; }

    /// <summary>Loads an adapter from a file, which is mapped.</summary>
    /// <exception cref="InferenceException">The file is missing or no adapter.</exception>
    public static LoraAdapter Load(string path)
    {
        path = Path.GetFullPath(path);
        if (!File.Exists(path))
            throw new InferenceException($"there is no adapter file '{path}'; give the path of one.") { Fault = InferenceFault.Model };
        using var text = OrtText.OfPath(path);
        _ = OrtEnvironment.Handle;
        nint created;
        OrtStatus.Check(Ort.CreateLoraAdapter(text.Pointer, 0, &created), OrtStep.LoadAdapter, path);
        return Own(created, path);
    }

    /// <summary>Loads an adapter from memory, which is copied.</summary>
    /// <exception cref="InferenceException">The bytes are no adapter.</exception>
    public static LoraAdapter Load(ReadOnlySpan<byte> bytes)
    {
        var name = $"adapter in memory, {bytes.Length} bytes";
        if (bytes.IsEmpty)
            throw new InferenceException("the adapter has no bytes; fetch it again.") { Fault = InferenceFault.Model };
        _ = OrtEnvironment.Handle;
        nint created;
        fixed (byte* first = bytes)
            OrtStatus.Check(Ort.CreateLoraAdapterFromArray(first, (nuint)bytes.Length, 0, &created), OrtStep.LoadAdapter, name);
        return Own(created, name);
    }

    /// <summary>Lets go of it; the memory goes when the last options that it was put in force for are disposed of.</summary>
    public void Dispose() => Handle.Dispose();

    static LoraAdapter Own(nint created, string name)
    {
        var handle = new OrtLoraAdapterHandle();
        handle.Own(created);
        return new(handle, name);
    }
}
