using Coppice.Agent.Slots;
using Coppice.Agent.Storage;
using Coppice.Inference;
using Coppice.Registry;

namespace Coppice.Agent.Serving;

/// <summary>Loads slots: reads every file against the signed manifest first, then hands the first to the runtime it names.</summary>
/// <param name="disk">The data folder.</param>
/// <param name="slots">The model's slots.</param>
/// <param name="runtimes">The runtimes of this process.</param>
/// <param name="limits">What a session may take.</param>
/// <param name="time">Measures runs.</param>
public sealed class ReleaseLoader(IDisk disk, SlotStore slots, IReadOnlyList<IModelRuntime> runtimes, SessionLimits limits, TimeProvider time)
{
    readonly HashSet<string> verified = []; // slots read against their manifest since this process began

    /// <summary>Loads a slot.</summary>
    /// <exception cref="DamagedSlotException">A file is not what was signed.</exception>
    /// <exception cref="InferenceException">The runtime refuses the model, or there is no such runtime.</exception>
    public LoadedRelease Load(Slot slot, CancellationToken cancel)
    {
        var (manifest, variant) = Check(slot, cancel);
        return Wrap(slot, manifest, variant, Open(slot, variant));
    }

    /// <summary>Puts a session that a trial has loaded into the form that is served.</summary>
    public LoadedRelease Wrap(Slot slot, ReleaseManifest manifest, Variant variant, IModelSession? session) =>
        new(slot, manifest, variant, session, disk.FullPath(slots.FolderOf(slot)), time);

    /// <summary>Reads the slot's files against the signed manifest, once for each life of the process.</summary>
    /// <exception cref="DamagedSlotException">A file is not what was signed.</exception>
    public (ReleaseManifest Manifest, Variant Variant) Check(Slot slot, CancellationToken cancel)
    {
        if (verified.Contains(slot.Folder))
            return slots.Read(slot);
        var found = slots.Verify(slot, cancel);
        verified.Add(slot.Folder);
        return found;
    }

    /// <summary>Forgets that a slot was read, as when it is laid out anew.</summary>
    public void Forget(Slot slot) => verified.Remove(slot.Folder);

    /// <summary>Opens a session on a checked slot; null when the variant names no runtime.</summary>
    /// <exception cref="InferenceException">The runtime refuses the model, or there is no such runtime.</exception>
    public IModelSession? Open(Slot slot, Variant variant)
    {
        if (variant.Runtime is not { } name)
            return null;
        var runtime = runtimes.FirstOrDefault(known => known.Name == name)
            ?? throw new InferenceException($"{slot} wants the runtime {name}, which this program does not bring; it has {string.Join(", ", runtimes.Select(known => known.Name))}.");
        if (!runtime.Supports(variant.Format))
            throw new InferenceException($"{slot} is {variant.Format}, which {runtime.Name} {runtime.Version} does not load.");
        var path = $"{slots.FolderOf(slot)}/{variant.Files[0].Name}";
        if (disk.FullPath(path) is { } full)
            return runtime.Load(ModelSource.AtPath(variant.Format, full), limits);
        using var stream = disk.OpenRead(path);
        var bytes = new byte[variant.Files[0].Length];
        stream.ReadExactly(bytes);
        return runtime.Load(ModelSource.InMemory(variant.Format, bytes), limits);
    }
}
