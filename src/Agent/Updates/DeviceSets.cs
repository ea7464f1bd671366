using System.Collections.Immutable;
using Coppice.Agent.Link;
using Coppice.Agent.Slots;
using Coppice.Agent.Storage;
using Coppice.Registry;
using Coppice.Rollouts;

namespace Coppice.Agent.Updates;

/// <summary>What was decided for several models at once: their next states. Once it is on the disk it holds for all of them, whatever ends the process then.</summary>
public sealed record SetRecord(ImmutableArray<UpdateState> States);

/// <summary>A model's part of a decision.</summary>
/// <param name="Runner">Whose update it is; it is not in a step of its own.</param>
/// <param name="State">Its next state.</param>
/// <param name="Event">What to tell once sessions are exchanged.</param>
sealed record SetPart(UpdateRunner Runner, UpdateState State, (AgentEventKind Kind, string Text)? Event);

/// <summary>The models of one device, and what sets of them do together: switch, settle and go back by one durable write each.</summary>
/// <remarks>
/// Each model runs its own update. Where a set has to act as one, its models come together in the same step (<see cref="UpdateStep.Switch"/>,
/// <see cref="UpdateStep.Settle"/>, <see cref="UpdateStep.TakeBack"/>), which they run one at a time under <see cref="HoldAsync"/>; the last to come acts for all.
/// It writes one record with every next state: that is the moment. The record is then carried out, each state into its model's own file, and removed, and only
/// after that sessions are exchanged. No model of it goes on before; a start carries out a record that it finds.
/// </remarks>
/// <param name="disk">The data folder.</param>
public sealed class DeviceSets(IDisk disk) : IDisposable
{
    readonly SemaphoreSlim gate = new(1, 1);
    readonly List<UpdateRunner> runners = [];
    ImmutableDictionary<(ModelName? Lead, string Rollout), Complaint> recalls = ImmutableDictionary<(ModelName?, string), Complaint>.Empty;
    ImmutableArray<SetPart> pending = [];
    ImmutableArray<UpdateState> found = []; // at start
    long epoch;

    /// <summary>Ends a model's wait for its next step.</summary>
    public Action<ModelName> Nudge { get; set; } = _ => { };

    /// <summary>Odd while sessions of a set are exchanged, and another number afterwards.</summary>
    public long Epoch => Volatile.Read(ref epoch);

    /// <summary>All models, in the order in which they were given.</summary>
    internal IReadOnlyList<UpdateRunner> Runners => runners;

    internal void Add(UpdateRunner runner) => runners.Add(runner);

    internal UpdateRunner? Find(ModelName model) => runners.Find(runner => runner.State.Model == model);

    /// <summary>Whether a model's next step is one that its set takes together.</summary>
    public bool Concerns(UpdateState state) => IsPending(state.Model) || state.Step switch
    {
        UpdateStep.Switch => state.Target?.Slot.Set is not null,
        UpdateStep.Settle or UpdateStep.TakeBack => state.Serving?.Set is not null,
        _ => false,
    };

    /// <summary>Whether something was decided for a model that its own file does not say yet.</summary>
    public bool IsPending(ModelName model) => pending.Any(part => part.State.Model == model);

    /// <summary>Waits for its turn in what sets do together. One step holds it at a time.</summary>
    internal async Task<IDisposable> HoldAsync(CancellationToken cancel)
    {
        await gate.WaitAsync(cancel);
        return new Held(gate);
    }

    sealed class Held(SemaphoreSlim gate) : IDisposable
    {
        public void Dispose() => gate.Release();
    }

    /// <summary>The models that serve by the order that a slot came by.</summary>
    internal IReadOnlyList<UpdateRunner> GroupOf(Slot slot) => [.. runners.Where(runner => runner.State.Serving is { } serving && serving.IsOfSet(slot))];

    /// <summary>A slot that a model goes back to: of a set that none of the others serves by any more, it stands by itself.</summary>
    /// <param name="good">The slot.</param>
    /// <param name="beside">What the other models serve then.</param>
    internal static Slot Alone(Slot good, IEnumerable<Slot?> beside) =>
        good.Set is null || beside.Any(other => other is not null && other.IsOfSet(good)) ? good : good with { Set = null, Instead = null };

    /// <summary>Asks the models of a set to go back with the one that has to.</summary>
    internal void Recall(Slot slot, Complaint complaint)
    {
        if (recalls.ContainsKey(Key(slot)))
            return;
        recalls = recalls.SetItem(Key(slot), complaint);
        Poke(GroupOf(slot).Select(runner => runner.State.Model));
    }

    /// <summary>Why the model has to go back with its set; null when it has not.</summary>
    internal Complaint? RecallOf(UpdateState state) => state.Serving is { Set: not null } serving ? recalls.GetValueOrDefault(Key(serving)) : null;

    internal void EndRecall(Slot slot) => recalls = recalls.Remove(Key(slot));

    static (ModelName? Lead, string Rollout) Key(Slot slot) => (slot.Set, slot.Rollout);

    /// <summary>Ends the waits of models.</summary>
    internal void Poke(IEnumerable<ModelName> models)
    {
        foreach (var model in models)
            Nudge(model);
    }

    /// <summary>Lets the other models of a set know what they wait for: it comes to one of them, is ready to act, or has failed.</summary>
    internal void Moved(UpdateState before, UpdateState after)
    {
        if (before.Step == after.Step || (after.Target ?? before.Target) is not { With.IsEmpty: false } target)
            return;
        var begins = before.Step == UpdateStep.Decide && after.Step == UpdateStep.Fetch && before.Target?.Slot.Rollout != target.Slot.Rollout;
        if (begins || after.Step is UpdateStep.Switch or UpdateStep.Settle or UpdateStep.TakeBack or UpdateStep.Report)
            Poke(target.With.Select(member => member.Model));
    }

    /// <summary>Which other model of a set has refused it, and why; null when none has.</summary>
    internal (ModelName Model, Refusal Refusal)? RefusedBeside(Target target) => (
        from runner in runners
        where target.With.Any(member => member.Model == runner.State.Model)
        from refusal in runner.State.Refusals
        where refusal.Rollout == target.Slot.Rollout && refusal.Attempt >= target.Slot.Attempt
        select ((ModelName, Refusal)?)(runner.State.Model, refusal)).FirstOrDefault();

    /// <summary>A state of the leading model whose target tells the bytes of the whole set: the server counts a device once.</summary>
    internal UpdateState WithAllBytes(UpdateState state)
    {
        if (state.Target is not { With.IsEmpty: false } target)
            return state;
        foreach (var other in runners)
        {
            if (other.State.Model == state.Model || other.State.Target is not { } beside || !beside.Slot.IsOfSet(target.Slot))
                continue;
            var ways = target.BytesByWay;
            foreach (var (way, bytes) in beside.BytesByWay ?? ImmutableSortedDictionary<string, long>.Empty)
                ways = (ways ?? ImmutableSortedDictionary.Create<string, long>(StringComparer.Ordinal)).SetItem(way, (ways?.GetValueOrDefault(way) ?? 0) + bytes);
            target = target with { BytesTotal = target.BytesTotal + beside.BytesTotal, BytesFetched = target.BytesFetched + beside.BytesFetched, BytesByWay = ways };
        }

        return state with { Target = target };
    }

    /// <summary>Decides for several models at once. On return it holds, and sessions are exchanged unless the disk refuses to go on; then the next step does it.</summary>
    /// <exception cref="IOException">The disk refused, and nothing was decided.</exception>
    internal void Decide(IReadOnlyList<SetPart> parts)
    {
        Finish();
        try
        {
            disk.Replace(DataFolder.Set, StateJson.Write(new SetRecord([.. parts.Select(part => part.State)])));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            if (!MayBeThere())
                throw;
        }

        pending = [.. parts];
        foreach (var part in parts)
            part.Runner.Adopt(part.State);
        try
        {
            Finish();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            parts[0].Runner.Context.Happened(AgentEventKind.Trouble, $"what was decided for the set is on the disk, and cannot be carried out yet: {e.Message}");
        }
    }

    /// <summary>Carries out what was decided, once the disk allows: until then what served goes on.</summary>
    /// <exception cref="IOException">The disk refuses.</exception>
    internal void Finish()
    {
        if (pending.IsEmpty)
            return;
        disk.SyncFolder(""); // it may be there by name alone
        foreach (var part in pending)
            part.Runner.Context.Save(part.State);
        Remove();
        var done = pending;
        (pending, found) = ([], []);
        Interlocked.Increment(ref epoch);
        foreach (var part in done)
            part.Runner.Serve();
        Interlocked.Increment(ref epoch);
        foreach (var part in done)
            part.Runner.Tell(part.Event);
        Poke(done.Select(part => part.State.Model));
    }

    /// <summary>Reads what an earlier life decided and did not carry out, and carries it out. Before any model is read.</summary>
    /// <remarks>Its sessions were not exchanged: how that life ended is nothing to hold against the releases.</remarks>
    internal void Recover()
    {
        if (disk.ReadSmall(DataFolder.Set, StateJson.MaxBytes * (RolloutTerms.MaxMembers + 1)) is not { } bytes)
            return;
        if (!StateJson.TryRead(bytes, out SetRecord? record))
        {
            runners[0].Context.Happened(AgentEventKind.Damaged, $"{DataFolder.Set} cannot be read; it is put aside");
            disk.Rename(DataFolder.Set, DataFolder.Set + ".damaged");
            return;
        }

        found = [.. record.States.Select(state => state with { Step = UpdateTable.Saved(state.Step), Exposures = [.. state.Exposures.Select(exposure => exposure with { Open = false })] })];
        try
        {
            foreach (var state in found)
            {
                disk.MakeFolder(DataFolder.Of(state.Model));
                disk.Replace(DataFolder.State(state.Model), StateJson.Write(state));
            }

            Remove();
            found = [];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            runners[0].Context.Happened(AgentEventKind.Trouble, $"what was decided for a set cannot be carried out yet: {e.Message}");
        }
    }

    /// <summary>A model's state as a record that could not be carried out at start says it; null when none does.</summary>
    internal UpdateState? FoundOf(ModelName model) => found.FirstOrDefault(state => state.Model == model);

    /// <summary>What was found at start and could not be carried out is carried out later, with the states that the models have come to since.</summary>
    internal void Started()
    {
        if (!found.IsEmpty)
            pending = [.. from state in found let runner = Find(state.Model) where runner is not null select new SetPart(runner, runner.State, null)];
    }

    void Remove()
    {
        disk.Delete(DataFolder.Set);
        disk.SyncFolder(""); // or it might come back and undo what follows
    }

    bool MayBeThere()
    {
        try
        {
            return disk.LengthOf(DataFolder.Set) is not null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return true;
        }
    }

    /// <summary>Ends it, once no model is in a step.</summary>
    public void Dispose() => gate.Dispose();
}
