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
using Coppice.Rollouts;

namespace Coppice.Agent.Tests;

/// <summary>One life of the process of a device with several models: each with its own runner, stepped when its wait is over, as the agent's loops do.</summary>
public sealed class SetDevice : IDisposable
{
    static readonly FactSet Facts = new([new("os", "linux"), new("runtime.text", "1.0.0"), new("disk.free", "1000000000"), new("ram.free", "1000000000")]);

    readonly Dictionary<ModelName, long> due = [];
    readonly HashSet<ModelName> nudged = [];
    readonly Dictionary<ModelName, UpdateContext> contexts = [];
    readonly Random chance;

    public SetDevice(IDisk disk, SetShop shop, ManualTime time, string boot = "boot", int seed = 1, long quota = 1 << 20, IReadOnlyList<ModelName>? models = null)
    {
        (Disk, Time, chance) = (disk, time, new(seed));
        var names = models ?? SetShop.Models;
        var blobs = new BlobStore(disk, quota);
        var needs = new BlobNeeds(names);
        Queue = new(disk);
        Sets = new(disk) { Nudge = name => nudged.Add(name) };
        foreach (var name in names)
        {
            var slots = new SlotStore(disk, blobs, name);
            var host = new ModelHost(name);
            var runtime = new TextRuntime { Serving = () => host.Serving is { } serving ? $"{name} {serving.Slot.Release}" : null };
            Hosts[name] = host;
            Runners[name] = new(contexts[name] = new()
            {
                Model = name,
                Device = "d-1",
                Boot = boot,
                Disk = disk,
                Blobs = blobs,
                Slots = slots,
                Loader = new(disk, slots, [runtime], SessionLimits.None, time),
                Host = host,
                Repository = shop,
                Puller = new(disk, blobs, [new WholeBlob(disk, shop, new(0, time), TimeSpan.FromSeconds(30), time)]),
                Reports = Queue,
                Trial = new TrialRunner(time).Run,
                Facts = () => Facts,
                Time = time,
                Random = new(seed),
                Tell = Events.Add,
                Needs = needs,
                Sets = Sets,
                Others = () => Runners.Values.Where(other => other.State.Model != name && other.State.Serving is not null).ToImmutableDictionary(other => other.State.Model, other => other.State.Serving!.Release),
                NeededBy = () => [.. Hosts.Values.Select(other => other.Serving).OfType<LoadedRelease>().SelectMany(other => ModelNeed.Of(other.Manifest, name))],
                Policy = Device.Policy,
            });
        }
    }

    public IDisk Disk { get; }

    public ManualTime Time { get; }

    public DeviceSets Sets { get; }

    public ReportQueue Queue { get; }

    public Dictionary<ModelName, UpdateRunner> Runners { get; } = [];

    public Dictionary<ModelName, ModelHost> Hosts { get; } = [];

    public List<AgentEvent> Events { get; } = [];

    /// <summary>Told after each step.</summary>
    public Action AfterStep { get; set; } = () => { };

    /// <summary>Why a model does what it does, as people see it.</summary>
    public IReadOnlyList<string> WhyOf(ModelName model) => contexts[model].Live.Why;

    /// <summary>What serves, in the order of the models; '-' for nothing.</summary>
    public string Serving => string.Join(" ", Hosts.Values.Select(host => host.Serving?.Slot.Release.ToString() ?? "-"));

    public async Task StartAsync()
    {
        await UpdateRunner.StartAsync([.. Runners.Values], default);
        AfterStep();
    }

    /// <summary>The next step of the model whose wait is over first.</summary>
    public async Task StepAsync()
    {
        foreach (var name in nudged)
            due[name] = Math.Min(due.GetValueOrDefault(name), Time.GetTimestamp());
        nudged.Clear();
        var first = Runners.Keys.Min(name => due.GetValueOrDefault(name));
        var next = Runners.Keys.Where(name => due.GetValueOrDefault(name) == first).OrderBy(_ => chance.Next()).First();
        if (first > Time.GetTimestamp())
            Time.Advance(TimeSpan.FromTicks(first - Time.GetTimestamp()));
        var wait = await Runners[next].StepAsync(default);
        due[next] = Time.GetTimestamp() + wait.Ticks;
        AfterStep();
    }

    /// <summary>Runs until every model waits for a poll.</summary>
    public async Task RestAsync(int most = 3_000)
    {
        foreach (var name in Runners.Keys)
            due[name] = Time.GetTimestamp();
        for (var i = 0; i < most; i++)
        {
            await StepAsync();
            if (nudged.Count == 0 && Runners.All(model => model.Value.State.Step == UpdateStep.Idle && due[model.Key] - Time.GetTimestamp() >= Device.Policy.Poll.Ticks / 2))
                return;
        }

        throw new InvalidOperationException($"did not come to rest: {string.Join(", ", Runners.Select(model => $"{model.Key} {model.Value.State.Step}"))}; {string.Join("; ", Events.TakeLast(6).Select(told => told.Text))}");
    }

    /// <summary>Runs until something is so.</summary>
    public async Task UntilAsync(Func<bool> so, int most = 3_000)
    {
        for (var i = 0; i < most && !so(); i++)
            await StepAsync();
        if (!so())
            throw new InvalidOperationException($"did not come about: {string.Join(", ", Runners.Select(model => $"{model.Key} {model.Value.State.Step}"))}; {string.Join("; ", Events.TakeLast(6).Select(told => told.Text))}");
    }

    /// <summary>What it would send to a server that has nothing of it yet.</summary>
    public ImmutableArray<Report> Reports()
    {
        Queue.Confirm(0);
        return Queue.Next();
    }

    public void Dispose() => Sets.Dispose();
}
