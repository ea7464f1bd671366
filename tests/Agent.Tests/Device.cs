using System.Collections.Immutable;
using Coppice.Agent.Link;
using Coppice.Agent.Quality;
using Coppice.Agent.Serving;
using Coppice.Agent.Slots;
using Coppice.Agent.Storage;
using Coppice.Agent.Updates;
using Coppice.Fleet;
using Coppice.Inference;
using Coppice.Protocol;
using Coppice.Registry;

namespace Coppice.Agent.Tests;

/// <summary>One life of the agent's process on a disk: the runner of one model with everything around it.</summary>
public sealed class Device
{
    static readonly FactSet Facts = new([new("os", "linux"), new("runtime.text", "1.0.0"), new("disk.free", "1000000000"), new("ram.free", "1000000000")]);

    public Device(IDisk disk, Shop shop, ManualTime time, string boot = "boot", int seed = 1, long quota = 1 << 20, UpdatePolicy? policy = null)
    {
        (Disk, Time) = (disk, time);
        var blobs = new BlobStore(disk, quota);
        var slots = new SlotStore(disk, blobs, Shop.Model);
        Host = new(Shop.Model);
        Runtime.Serving = () => Serving;
        Queue = new(disk);
        var history = new HistoryLog(disk);
        Runner = new(Context = new()
        {
            Model = Shop.Model,
            Device = "d-1",
            Boot = boot,
            Disk = disk,
            Blobs = blobs,
            Slots = slots,
            Loader = new(disk, slots, [Runtime], SessionLimits.None, time),
            Host = Host,
            Repository = shop,
            Puller = new(disk, blobs,
            [
                new WholeBlob(disk, shop, new(0, time), TimeSpan.FromSeconds(30), time),
                new PatchedBlob(disk, shop, new(0, time), TimeSpan.FromSeconds(30), time),
                new RangedBlob(disk, blobs, shop, () => slots.Files(((Slot?[])[Runner!.State.Serving, Runner.State.Previous]).OfType<Slot>()), new(0, time), TimeSpan.FromSeconds(30), time),
            ]),
            Reports = Queue,
            Trial = new TrialRunner(time).Run,
            Facts = () => Facts,
            Time = time,
            Random = new(seed),
            Tell = happened =>
            {
                Events.Add(happened);
                try
                {
                    history.Add(happened);
                }
                catch (IOException) // as the agent does
                {
                }
            },
            Needs = new([Shop.Model]),
            Others = () => Others,
            NeededBy = () => NeededBy,
            Policy = policy ?? Policy,
            Nudge = () => Nudges++,
        });
    }

    public static UpdatePolicy Policy { get; } = new()
    {
        Poll = TimeSpan.FromMinutes(10),
        Retry = TimeSpan.FromSeconds(5),
        Probation = new() { Time = TimeSpan.FromMinutes(1) },
    };

    /// <summary>What those need of this one.</summary>
    public ImmutableArray<Coppice.Rollouts.ModelNeed> NeededBy { get; set; } = [];

    /// <summary>What serves of the device's other models.</summary>
    public ImmutableDictionary<ModelName, SemanticVersion> Others { get; set; } = ImmutableDictionary<ModelName, SemanticVersion>.Empty;

    public IDisk Disk { get; }

    public ManualTime Time { get; }

    public TextRuntime Runtime { get; } = new();

    public ModelHost Host { get; }

    public ReportQueue Queue { get; }

    public UpdateContext Context { get; }

    public UpdateRunner Runner { get; }

    public List<AgentEvent> Events { get; } = [];

    /// <summary>Steps that were asked for before the wait was over.</summary>
    public int Nudges { get; private set; }

    public string? Serving => Host.Serving?.Slot.Release.ToString();

    public Task StartAsync() => Runner.StartAsync(default);

    /// <summary>Runs until the agent would wait for a poll, and says for how long.</summary>
    public async Task<TimeSpan> SettleAsync(int most = 400)
    {
        for (var i = 0; i < most; i++)
        {
            var wait = await Runner.StepAsync(default);
            if (Runner.State.Step == UpdateStep.Idle && wait > TimeSpan.Zero)
                return wait;
            Time.Advance(wait);
        }

        throw new InvalidOperationException($"still at {Runner.State.Step} after {most} steps: {string.Join("; ", Events.TakeLast(5).Select(e => e.Text))}");
    }

    /// <summary>What it would send to a server that has nothing of it yet.</summary>
    public ImmutableArray<Report> Reports()
    {
        Queue.Confirm(0);
        return Queue.Next();
    }

    /// <summary>One poll: the wait for it is over.</summary>
    public Task<TimeSpan> PollAsync() => SettleAsync();
}
