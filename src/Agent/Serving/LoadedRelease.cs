using System.Collections.Immutable;
using Coppice.Agent.Slots;
using Coppice.Inference;
using Coppice.Registry;

namespace Coppice.Agent.Serving;

/// <summary>A release in memory. It is unloaded when its host has let go of it and the last lease has come back.</summary>
public sealed class LoadedRelease
{
    readonly IModelSession? session;
    readonly MeteredSession? metered;
    int holders = 1; // the host; each lease adds one

    /// <param name="slot">What was loaded.</param>
    /// <param name="manifest">Its signed manifest.</param>
    /// <param name="variant">The variant of the slot.</param>
    /// <param name="session">The session; null when no runtime of this process loads the format, and the app opens the files itself.</param>
    /// <param name="folder">Where its files lie; null when the data folder is in memory only.</param>
    /// <param name="time">Measures runs.</param>
    public LoadedRelease(Slot slot, ReleaseManifest manifest, Variant variant, IModelSession? session, string? folder, TimeProvider time)
    {
        this.session = session;
        (Slot, Manifest, Variant, Folder) = (slot, manifest, variant, folder);
        metered = session is null ? null : new MeteredSession(session, Meter, time);
    }

    /// <summary>What was loaded.</summary>
    public Slot Slot { get; }

    /// <summary>Its signed manifest.</summary>
    public ReleaseManifest Manifest { get; }

    /// <summary>The variant that was loaded.</summary>
    public Variant Variant { get; }

    /// <summary>Absolute path of the folder with its files; null when there is none.</summary>
    public string? Folder { get; }

    /// <summary>Its runs.</summary>
    public RunMeter Meter { get; } = new();

    /// <summary>The session without counting, for trials.</summary>
    internal IModelSession? Session => session;

    /// <summary>The session as leases give it.</summary>
    internal IModelSession? Metered => metered;

    /// <summary>Gives copies of requests to a shadow from now on; to none with null.</summary>
    internal void CopyTo(ShadowRun? shadow)
    {
        if (metered is not null)
            metered.Shadow = shadow;
    }

    /// <summary>Whether it has been unloaded.</summary>
    public bool IsUnloaded => Volatile.Read(ref holders) == 0;

    /// <summary>Takes hold of it, unless it is unloaded already.</summary>
    internal bool TryHold()
    {
        for (var seen = Volatile.Read(ref holders); seen > 0;)
        {
            var found = Interlocked.CompareExchange(ref holders, seen + 1, seen);
            if (found == seen)
                return true;
            seen = found;
        }

        return false;
    }

    /// <summary>Lets go of it; the last one to do so unloads it.</summary>
    internal void LetGo()
    {
        if (Interlocked.Decrement(ref holders) == 0)
            session?.Dispose();
    }
}

/// <summary>A session whose runs are counted. Disposing of it does nothing: the lease is what is given back.</summary>
sealed class MeteredSession(IModelSession inner, RunMeter meter, TimeProvider time) : IModelSession
{
    ShadowRun? shadow;

    /// <summary>Is given copies of requests; null for nobody.</summary>
    public ShadowRun? Shadow
    {
        set => Volatile.Write(ref shadow, value);
    }

    public ImmutableArray<TensorSpec> Inputs => inner.Inputs;

    public ImmutableArray<TensorSpec> Outputs => inner.Outputs;

    public SessionMemory Memory => inner.Memory;

    public InferenceResult Run(ReadOnlySpan<Tensor> inputs, CancellationToken cancel = default)
    {
        var start = time.GetTimestamp();
        try
        {
            var result = inner.Run(inputs, cancel);
            var took = time.GetElapsedTime(start);
            meter.Count(took, failed: false);
            Volatile.Read(ref shadow)?.Offer(inputs, result, took);
            return result;
        }
        catch (InferenceException e) when (e.Fault != InferenceFault.Input) // a caller's mistake is not the release's
        {
            meter.Count(time.GetElapsedTime(start), failed: true);
            throw;
        }
    }

    public void Dispose()
    {
    }
}
