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
/// <param name="MemoryBytes">Upper bound of the runtime's own allocations (its arena); 0 for none. A run beyond it fails.</param>
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
    /// <summary>As <c>x: Float32[-1, 32]</c>.</summary>
    public override string ToString() => $"{Name}: {Type}[{string.Join(", ", Shape)}]";
}

/// <summary>A runtime refused a model or a run. The model or its input is at fault, not the program.</summary>
public sealed class InferenceException(string message, Exception? inner = null) : Exception(message, inner);
