using Coppice.Inference;
using Coppice.Registry;

namespace Coppice.Agent.Serving;

/// <summary>The right to run one release until it is given back, whatever the agent switches to meanwhile.</summary>
/// <remarks>A value, so that taking one allocates nothing: use it where it was taken, with <c>using</c>, and do not copy it.</remarks>
public struct Lease : IDisposable
{
    LoadedRelease? loaded;

    internal Lease(LoadedRelease loaded) => this.loaded = loaded;

    readonly LoadedRelease Loaded => loaded ?? throw new ObjectDisposedException(nameof(Lease), "The lease has been given back; take a new one.");

    /// <summary>The release.</summary>
    public readonly SemanticVersion Release => Loaded.Slot.Release;

    /// <summary>The variant.</summary>
    public readonly string Variant => Loaded.Slot.Variant;

    /// <summary>Absolute path of the folder with the release's files, under the names that the manifest gives them.</summary>
    public readonly string? Folder => Loaded.Folder;

    /// <summary>The loaded model. Good until the lease is given back; its runs count in the release's probation.</summary>
    /// <exception cref="InvalidOperationException">The variant names no runtime: the app opens the files in <see cref="Folder"/> itself.</exception>
    public readonly IModelSession Session => Loaded.Metered
        ?? throw new InvalidOperationException($"{Release} ({Variant}) names no runtime; open the files in Folder.");

    /// <summary>Runs a model of one input.</summary>
    /// <exception cref="InferenceException">The input does not fit, or the run failed.</exception>
    public readonly InferenceResult Run(Tensor input, CancellationToken cancel = default) => Session.Run([input], cancel);

    /// <summary>Runs the model.</summary>
    /// <param name="inputs">One tensor for each input, in the model's order.</param>
    /// <param name="cancel">Stops the run at the next node.</param>
    /// <exception cref="InferenceException">An input does not fit, or the run failed.</exception>
    public readonly InferenceResult Run(ReadOnlySpan<Tensor> inputs, CancellationToken cancel = default) => Session.Run(inputs, cancel);

    /// <summary>Gives the lease back. The last one on a release that serves no more unloads it.</summary>
    public void Dispose()
    {
        var held = loaded;
        loaded = null;
        held?.LetGo();
    }
}
