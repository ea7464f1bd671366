using System.Collections.Immutable;
using Coppice.Formats;

namespace Coppice.Inference;

/// <summary>The port that a runtime implements: loads a model file and runs it.</summary>
public interface IModelRuntime
{
    /// <summary>As manifests name it: <c>onnxruntime</c>, <c>llama.cpp</c>.</summary>
    string Name { get; }

    /// <summary>The version of the native library that is really loaded, <c>1.30.0</c>.</summary>
    string Version { get; }

    /// <summary>Whether a file of this format can be loaded.</summary>
    bool Supports(ModelFormat format);

    /// <summary>Loads a model. Blocks for as long as the native library needs; call it off the hot path.</summary>
    /// <exception cref="InferenceException">The runtime refuses the model; says why in its own words and ours.</exception>
    IModelSession Load(ModelSource source, SessionLimits limits);
}

/// <summary>A loaded model. <see cref="Run"/> may be called from many threads at once.</summary>
public interface IModelSession : IDisposable
{
    /// <summary>What a caller must give, in the model's order.</summary>
    ImmutableArray<TensorSpec> Inputs { get; }

    /// <summary>What a run returns, in the model's order.</summary>
    ImmutableArray<TensorSpec> Outputs { get; }

    /// <summary>What the session's own allocations take now and took at most, as the runtime counts them.</summary>
    SessionMemory Memory { get; }

    /// <summary>Runs the model once.</summary>
    /// <param name="inputs">One tensor for each of <see cref="Inputs"/>, in that order. Read in place, not copied, while the call lasts.</param>
    /// <param name="cancel">Stops the run at the next node.</param>
    /// <exception cref="InferenceException">An input does not fit the model, or the run failed.</exception>
    /// <exception cref="OperationCanceledException">The run was stopped.</exception>
    InferenceResult Run(ReadOnlySpan<Tensor> inputs, CancellationToken cancel = default);
}

/// <summary>Where the bytes of a model are: a path that the runtime opens and maps itself, or memory.</summary>
/// <remarks>A path is preferred: external data is found beside it, and the file can be mapped rather than copied.</remarks>
public sealed record ModelSource
{
    ModelSource(ModelFormat format, string? path, ReadOnlyMemory<byte> bytes) => (Format, Path, Bytes) = (format, path, bytes);

    /// <summary>The format of the file.</summary>
    public ModelFormat Format { get; }

    /// <summary>Absolute path, or null when the model is in <see cref="Bytes"/>.</summary>
    public string? Path { get; }

    /// <summary>The whole file; empty when there is a <see cref="Path"/>.</summary>
    public ReadOnlyMemory<byte> Bytes { get; }

    /// <summary>A model file on disk.</summary>
    public static ModelSource AtPath(ModelFormat format, string path) => new(format, path, default);

    /// <summary>A model file in memory; the runtime takes its own copy where it needs one.</summary>
    public static ModelSource InMemory(ModelFormat format, ReadOnlyMemory<byte> bytes) => new(format, null, bytes);
}

/// <summary>What a session may take of the machine.</summary>
/// <param name="IntraOpThreads">Threads inside one operator; 0 leaves it to the runtime.</param>
/// <param name="MemoryBytes">Upper bound of the runtime's own allocations (its arena); 0 for none. A load or run beyond it fails.</param>
/// <param name="Optimise">False loads the graph as it is written: slower to run, faster to load.</param>
public sealed record SessionLimits(int IntraOpThreads = 0, long MemoryBytes = 0, bool Optimise = true)
{
    /// <summary>The runtime's own choice everywhere.</summary>
    public static SessionLimits None { get; } = new();
}

/// <summary>An input or output of a model.</summary>
/// <param name="Name">As the graph names it.</param>
/// <param name="Type">Element type.</param>
/// <param name="Shape">Dimensions; -1 where the model leaves one free.</param>
public sealed record TensorSpec(string Name, ElementType Type, ImmutableArray<long> Shape)
{
    /// <summary>Whether the model leaves even the number of dimensions free; <see cref="Shape"/> is empty then.</summary>
    public bool AnyRank { get; init; }

    /// <summary>Whether a tensor of this shape can stand here.</summary>
    public bool Fits(ReadOnlySpan<long> shape)
    {
        if (AnyRank)
            return true;
        if (shape.Length != Shape.Length)
            return false;
        for (var i = 0; i < shape.Length; i++)
        {
            if (Shape[i] >= 0 && Shape[i] != shape[i])
                return false;
        }
        return true;
    }

    /// <summary>As <c>x: Float32[-1, 32]</c>, or <c>x: Float32[...]</c> when any rank fits.</summary>
    public override string ToString() => AnyRank ? $"{Name}: {Type}[...]" : $"{Name}: {Type}[{string.Join(", ", Shape)}]";
}

/// <summary>Memory that a session takes from its runtime's allocator: packed weights and the tensors between operators.</summary>
/// <remarks>Weights that the runtime maps or keeps as the file holds them come on top, at most the size of the file.</remarks>
/// <param name="InUseBytes">Taken by tensors now.</param>
/// <param name="PeakBytes">The most that was ever taken at once, loading included.</param>
/// <param name="ReservedBytes">Held from the system, whether in use or kept for the next run.</param>
public readonly record struct SessionMemory(long InUseBytes, long PeakBytes, long ReservedBytes);

/// <summary>Who is at fault when a runtime refuses.</summary>
public enum InferenceFault
{
    /// <summary>The run failed inside the model, for instance an index out of range in one of its operators.</summary>
    Run,

    /// <summary>The model file is damaged, or this runtime cannot run what is in it.</summary>
    Model,

    /// <summary>An input does not fit the model.</summary>
    Input,

    /// <summary>More memory was wanted than the limit or the machine gives.</summary>
    Memory,

    /// <summary>The native library is missing, too old, or the process that holds it is set up wrongly.</summary>
    Runtime,
}

/// <summary>A runtime refused a model or a run. The model or its input is at fault, not the program.</summary>
public sealed class InferenceException(string message, Exception? inner = null) : Exception(message, inner)
{
    /// <summary>Who is at fault; <see cref="InferenceFault.Run"/> when nothing better is known.</summary>
    public InferenceFault Fault { get; init; }
}
