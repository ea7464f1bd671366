using Coppice.Formats;
using Coppice.Inference;

namespace Coppice.Runtimes.OnnxRuntime;

/// <summary>Runs ONNX models with Microsoft's ONNX Runtime, on the CPU.</summary>
/// <param name="options">What every session begins with, before its own limits; null for the library's defaults.</param>
public sealed class OnnxRuntime(OrtSessionOptions? options = null) : IModelRuntime
{
    readonly OrtSessionOptions options = options ?? new();

    /// <inheritdoc/>
    public string Name => "onnxruntime";

    /// <inheritdoc/>
    public string Version => OrtEnvironment.Version;

    /// <inheritdoc/>
    public bool Supports(ModelFormat format) => format == ModelFormat.Onnx;

    /// <inheritdoc/>
    /// <remarks>
    /// <see cref="SessionLimits.MemoryBytes"/> bounds the session's arena: the tensors of a run may take so much and no more. Weights that
    /// are packed while loading are compared with it afterwards, so loading may pass it for a moment before it is refused.
    /// Weights kept as the file holds them are outside it, at most the size of the file.
    /// </remarks>
    public IModelSession Load(ModelSource source, SessionLimits limits)
    {
        if (!Supports(source.Format))
            throw new InferenceException($"ONNX Runtime runs ONNX models, not {source.Format}; choose the runtime that the manifest names.") { Fault = InferenceFault.Model };
        var wanted = options with
        {
            IntraOpThreads = limits.IntraOpThreads == 0 ? options.IntraOpThreads : limits.IntraOpThreads,
            ArenaLimitBytes = limits.MemoryBytes == 0 ? options.ArenaLimitBytes : limits.MemoryBytes,
            Optimisation = limits.Optimise ? options.Optimisation : GraphOptimisation.None,
        };
        return new OnnxSession(source.Path is { } path ? OrtSession.Load(path, wanted) : OrtSession.Load(source.Bytes, wanted));
    }
}
