using System.Collections.Immutable;
using Coppice.Agent.Slots;
using Coppice.Registry;

namespace Coppice.Agent.Serving;

/// <summary>Holds the serving release of one model and hands out leases on it. Taking a lease locks nothing and allocates nothing.</summary>
public sealed class ModelHost(ModelName model) : IDisposable
{
    readonly Lock gate = new(); // for those who change what is held; leases do not take it
    LoadedRelease? serving;
    LoadedRelease? candidate;
    LoadedRelease? standby;
    ShadowRun? shadow;
    readonly List<LoadedRelease> leased = []; // let go of, with leases that are still out
    TaskCompletionSource ready = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>The model.</summary>
    public ModelName Model => model;

    /// <summary>What serves now; null when nothing does.</summary>
    public LoadedRelease? Serving => Volatile.Read(ref serving);

    /// <summary>What was loaded beside it; null when nothing was.</summary>
    public LoadedRelease? Candidate => Volatile.Read(ref candidate);

    /// <summary>The release before, kept loaded through probation; null when it is not.</summary>
    public LoadedRelease? Standby => Volatile.Read(ref standby);

    /// <summary>What runs beside the serving release without answering; null when nothing does.</summary>
    public ShadowRun? Shadow => Volatile.Read(ref shadow);

    /// <summary>Every slot that is in memory, or whose folder a lease names: none of their files may go.</summary>
    public ImmutableArray<Slot> Held()
    {
        lock (gate)
        {
            leased.RemoveAll(loaded => loaded.IsUnloaded);
            return [.. ((LoadedRelease?[])[serving, candidate, standby, shadow?.Loaded, .. leased]).OfType<LoadedRelease>().Select(loaded => loaded.Slot)];
        }
    }

    /// <summary>Takes a lease on the serving release.</summary>
    /// <exception cref="ModelNotReadyException">Nothing serves.</exception>
    public Lease Lease() => TryLease(out var lease)
        ? lease
        : throw new ModelNotReadyException($"{model}: no release serves on this device; wait for one with WaitForModelAsync, or ask why with 'coppice agent explain'.");

    /// <summary>Takes a lease on the serving release, when there is one.</summary>
    public bool TryLease(out Lease lease)
    {
        // A release that was let go of between the two lines is not the serving one any more: look again.
        while (Volatile.Read(ref serving) is { } loaded)
        {
            if (loaded.TryHold())
            {
                lease = new(loaded);
                return true;
            }
        }

        lease = default;
        return false;
    }

    /// <summary>Ends when a release serves.</summary>
    public Task WaitAsync(CancellationToken cancel) => Volatile.Read(ref serving) is null ? Volatile.Read(ref ready).Task.WaitAsync(cancel) : Task.CompletedTask;

    /// <summary>Holds a loaded release beside the serving one, in place of any other.</summary>
    public void Prepare(LoadedRelease loaded)
    {
        lock (gate)
            Exchange(ref candidate, loaded);
    }

    /// <summary>Lets go of what was prepared.</summary>
    public void DropCandidate()
    {
        lock (gate)
            Exchange(ref candidate, null);
    }

    /// <summary>Lets go of the release before, which was kept loaded through probation.</summary>
    public void DropStandby()
    {
        lock (gate)
            Exchange(ref standby, null);
    }

    /// <summary>Gives a loaded shadow copies of the serving release's requests, in place of any other shadow. It ends when another release serves.</summary>
    /// <exception cref="InvalidOperationException">Nothing serves that it could run beside.</exception>
    public void RunBeside(ShadowRun run)
    {
        lock (gate)
        {
            var answers = serving ?? throw new InvalidOperationException($"{model}: nothing serves that {run.Slot} could run beside.");
            EndShadow();
            shadow = run;
            answers.CopyTo(run);
        }
    }

    /// <summary>Ends the shadow. It is unloaded when its run has stopped.</summary>
    public void DropShadow()
    {
        lock (gate)
            EndShadow();
    }

    void EndShadow()
    {
        if (shadow is null)
            return;
        serving?.CopyTo(null);
        var ended = Interlocked.Exchange(ref shadow, null);
        ended.End();
        LetGo(ended.Loaded);
    }

    /// <summary>Whether a slot serves, or can at once.</summary>
    public bool CanServe(Slot slot)
    {
        lock (gate)
            return Find(slot) is not null;
    }

    /// <summary>Serves a slot that is loaded already. Every lease taken after this returns is on it.</summary>
    /// <param name="slot">The slot; null to serve nothing.</param>
    /// <param name="keep">Whether to keep the release before loaded, so that going back to it is instant.</param>
    /// <exception cref="InvalidOperationException">The slot is not loaded.</exception>
    public void Serve(Slot? slot, bool keep)
    {
        lock (gate)
        {
            var next = slot is null ? null : Find(slot) ?? throw new InvalidOperationException($"{model}: {slot} is not loaded.");
            if (next == serving)
                return;
            EndShadow();
            if (next == candidate)
                candidate = null;
            if (next == standby)
                standby = null;
            var before = Interlocked.Exchange(ref serving, next);
            if (keep && before is not null)
                Exchange(ref standby, before);
            else
                LetGo(before);
            if (next is not null)
                ready.TrySetResult();
            else if (ready.Task.IsCompleted)
                ready = new(TaskCreationOptions.RunContinuationsAsynchronously);
        }
    }

    LoadedRelease? Find(Slot slot) => ((LoadedRelease?[])[serving, candidate, standby]).FirstOrDefault(loaded => loaded?.Slot.Folder == slot.Folder);

    void Exchange(ref LoadedRelease? place, LoadedRelease? loaded)
    {
        if (place != loaded)
            LetGo(Interlocked.Exchange(ref place, loaded));
    }

    void LetGo(LoadedRelease? loaded)
    {
        loaded?.LetGo();
        leased.RemoveAll(known => known.IsUnloaded);
        if (loaded is { IsUnloaded: false })
            leased.Add(loaded);
    }

    /// <summary>Lets go of everything; leases that are out stay good until they come back.</summary>
    public void Dispose()
    {
        var last = Shadow;
        lock (gate)
        {
            EndShadow();
            Exchange(ref candidate, null);
            Exchange(ref standby, null);
            Exchange(ref serving, null);
        }

        last?.Dispose(); // a native run that goes on while the process ends would take it down
    }
}

/// <summary>No release of the model serves on this device.</summary>
public sealed class ModelNotReadyException(string message) : Exception(message);
