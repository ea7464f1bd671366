using System.Collections.Immutable;
using Coppice.Agent.Link;
using Coppice.Agent.Link.Sealing;
using Coppice.Agent.Quality;
using Coppice.Agent.Serving;
using Coppice.Agent.Slots;
using Coppice.Agent.Storage;
using Coppice.Fleet;
using Coppice.Inference;
using Coppice.Registry;
using Coppice.Rollouts;

namespace Coppice.Agent.Updates;

/// <summary>Loads and measures a candidate; see <see cref="TrialRunner.Run"/>.</summary>
public delegate TrialReport TrialMeasurement(Func<IModelSession> load, IModelSession? serving, TrialData data, CancellationToken cancel);

/// <summary>Looks into a file before a runtime opens it; null when there is nothing against it. A problem refuses the release.</summary>
public delegate string? FileCheck(ReleaseFile file, Variant variant, Stream bytes);

/// <summary>How an agent paces itself.</summary>
public sealed record UpdatePolicy
{
    /// <summary>Between two looks at the repository, give or take a tenth.</summary>
    public TimeSpan Poll { get; init; } = TimeSpan.FromHours(1);

    /// <summary>The first wait after a failure; doubles up to <see cref="Poll"/>.</summary>
    public TimeSpan Retry { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>When probation ends.</summary>
    public ProbationPolicy Probation { get; init; } = new();

    /// <summary>Whether the release before stays loaded through probation, so that taking back costs no load.</summary>
    public bool KeepLoaded { get; init; } = true;
}

/// <summary>What the steps of one model's update work with.</summary>
public sealed class UpdateContext
{
    byte[]? saved;

    /// <summary>The model.</summary>
    public required ModelName Model { get; init; }

    /// <summary>The device's id.</summary>
    public required string Device { get; init; }

    /// <summary>The machine's boot now; the same text as long as it runs on.</summary>
    public required string Boot { get; init; }

    /// <summary>The data folder.</summary>
    public required IDisk Disk { get; init; }

    /// <summary>Blobs of all models.</summary>
    public required BlobStore Blobs { get; init; }

    /// <summary>The model's slots.</summary>
    public required SlotStore Slots { get; init; }

    /// <summary>Loads slots.</summary>
    public required ReleaseLoader Loader { get; init; }

    /// <summary>Serves them.</summary>
    public required ModelHost Host { get; init; }

    /// <summary>Plans and manifests.</summary>
    public required ITrustedRepository Repository { get; init; }

    /// <summary>Gets files.</summary>
    public required FilePuller Puller { get; init; }

    /// <summary>Content keys of sealed files; null where none is sealed.</summary>
    public KeyRing? Keys { get; init; }

    /// <summary>Takes reports over.</summary>
    public required ReportQueue Reports { get; init; }

    /// <summary>Measures candidates.</summary>
    public required TrialMeasurement Trial { get; init; }

    /// <summary>Facts and labels, measured now.</summary>
    public required Func<FactSet> Facts { get; init; }

    /// <summary>Monotonic for intervals; wall clock for windows and dates.</summary>
    public required TimeProvider Time { get; init; }

    /// <summary>Jitter.</summary>
    public required Random Random { get; init; }

    /// <summary>Told what happened.</summary>
    public required Action<AgentEvent> Tell { get; init; }

    /// <summary>What other models of this device need of the blobs.</summary>
    public required BlobNeeds Needs { get; init; }

    /// <summary>Pace.</summary>
    public UpdatePolicy Policy { get; init; } = new();

    /// <summary>What serves of the device's other models.</summary>
    public Func<ImmutableDictionary<ModelName, SemanticVersion>> Others { get; init; } = () => ImmutableDictionary<ModelName, SemanticVersion>.Empty;

    /// <summary>What the releases that serve of the device's other models need of this one.</summary>
    public Func<ImmutableArray<ModelNeed>> NeededBy { get; init; } = () => [];

    /// <summary>What the device's user answered, as it lies on the disk.</summary>
    public ImmutableArray<ConsentAnswer> Answers() =>
        Disk.ReadSmall(DataFolder.Answers(Model), StateJson.MaxBytes) is { } bytes && StateJson.TryRead(bytes, out AnswerBox? box) ? box.Answers : [];

    /// <summary>The device's own labelled samples; null when it has none.</summary>
    public Func<byte[]?> DeviceData { get; init; } = () => null;

    /// <summary>Run on every file of a slot before a runtime opens it.</summary>
    public ImmutableArray<FileCheck> Checks { get; init; } = [];

    /// <summary>What people see of the update while it goes on.</summary>
    public LiveModel Live { get; set; } = new(UpdateStep.Idle, [], 0, 0);

    /// <summary>What the device's models do together; of its own where nobody gives one.</summary>
    public DeviceSets Sets { get => field ??= new(Disk); init; }

    /// <summary>Asks for a step before the wait is over.</summary>
    public Action Nudge { get; init; } = () => { };

    /// <summary>Told when <see cref="Live"/> changed.</summary>
    public Action Shown { get; init; } = () => { };

    /// <summary>Tells what happened to this model.</summary>
    public void Happened(AgentEventKind kind, string text, SemanticVersion? release = null) =>
        Tell(new(Time.GetUtcNow(), kind, text) { Model = Model, Release = release });

    /// <summary>What the present step has saved by itself; null when nothing.</summary>
    internal UpdateState? SavedInStep { get; set; }

    /// <summary>Keeps a state. Safe from a power cut on return.</summary>
    public void Save(UpdateState state)
    {
        var bytes = StateJson.Write(state with { Step = UpdateTable.Saved(state.Step) });
        if (saved is not null && bytes.AsSpan().SequenceEqual(saved))
        {
            SavedInStep = state;
            return; // a poll that finds nothing wears no flash
        }

        saved = null; // until it is known to be there
        Disk.MakeFolder(DataFolder.Of(Model));
        Disk.Replace(DataFolder.State(Model), bytes);
        (saved, SavedInStep) = (bytes, state);
    }

    /// <summary>Bytes of blobs that would be deleted by <see cref="Collect"/> with another state.</summary>
    public long FreedBy(UpdateState state)
    {
        return Needs.AllWith(Model, Slots.Needed(Kept(state))) is { } wanted ? Blobs.Unwanted(wanted) : 0;
    }

    /// <summary>Bytes of blobs that would be deleted if models had other states.</summary>
    internal long FreedBy(IEnumerable<(UpdateContext Context, UpdateState State)> others)
    {
        var needs = others.ToDictionary(other => other.Context.Model, other => other.Context.Slots.Needed(other.Context.Kept(other.State)));
        return Needs.AllWith(needs) is { } wanted ? Blobs.Unwanted(wanted) : 0;
    }

    /// <summary>Slots whose files may not go: the state's, and those that are in memory or leased.</summary>
    ImmutableArray<Slot> Kept(UpdateState state) => [.. state.Slots(), .. Host.Held()];

    /// <summary>Why there is no room for bytes; null when there is.</summary>
    /// <param name="missing">Bytes that are wanted.</param>
    /// <param name="freed">Bytes that could be freed first.</param>
    internal string? Short(long missing, long freed)
    {
        // Beginnings of these very files count as used and as missing: that is on the safe side.
        var (used, free) = (Blobs.Used() - freed, Disk.FreeBytes + freed);
        if (missing > 0 && used + missing > Blobs.Quota)
            return $"{ByteSize.Format(missing)} would go beyond the quota of {ByteSize.Format(Blobs.Quota)}, of which {ByteSize.Format(used)} are taken{(freed > 0 ? " without the release before" : "")}; raise it";
        return missing > 0 && free < missing
            ? $"{ByteSize.Format(missing)} are wanted, and the disk has {ByteSize.Format(free)} free{(freed > 0 ? " without the release before" : "")}; free some"
            : null;
    }

    /// <summary>Deletes what neither this model's slots, nor leases that are out, nor other models need.</summary>
    public void Collect(UpdateState state)
    {
        Needs.Set(Model, Slots.Collect(Kept(state)));
        if (Needs.All() is { } wanted)
        {
            Blobs.Collect(wanted);
            Keys?.Collect(wanted);
        }
    }
}

/// <summary>Which blobs each model of the device needs, so that none collects another's.</summary>
/// <param name="models">All models of the device.</param>
public sealed class BlobNeeds(IEnumerable<ModelName> models)
{
    readonly Lock gate = new();
    readonly Dictionary<ModelName, ImmutableHashSet<Trust.Sha256Digest>?> needs = models.ToDictionary(model => model, _ => (ImmutableHashSet<Trust.Sha256Digest>?)null);

    /// <summary>Says what a model needs.</summary>
    public void Set(ModelName model, ImmutableHashSet<Trust.Sha256Digest> digests)
    {
        lock (gate)
            needs[model] = digests;
    }

    /// <summary>What all models need; null as long as one has not said.</summary>
    public ImmutableHashSet<Trust.Sha256Digest>? All()
    {
        lock (gate)
            return All(needs.Values);
    }

    /// <summary>What all models would need if one needed something else.</summary>
    public ImmutableHashSet<Trust.Sha256Digest>? AllWith(ModelName model, ImmutableHashSet<Trust.Sha256Digest> digests)
    {
        lock (gate)
            return All(needs.Select(need => need.Key == model ? digests : need.Value));
    }

    /// <summary>What all models would need if some needed something else.</summary>
    public ImmutableHashSet<Trust.Sha256Digest>? AllWith(IReadOnlyDictionary<ModelName, ImmutableHashSet<Trust.Sha256Digest>> others)
    {
        lock (gate)
            return All(needs.Select(need => others.TryGetValue(need.Key, out var digests) ? digests : need.Value));
    }

    static ImmutableHashSet<Trust.Sha256Digest>? All(IEnumerable<ImmutableHashSet<Trust.Sha256Digest>?> each) =>
        each.Aggregate(ImmutableHashSet<Trust.Sha256Digest>.Empty, (all, one) => all is null || one is null ? null! : all.Union(one));
}
