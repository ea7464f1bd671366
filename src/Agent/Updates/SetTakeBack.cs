using Coppice.Agent.Slots;
using Coppice.Inference;
using Coppice.Protocol;

namespace Coppice.Agent.Updates;

/// <summary>Takes the models of a set back together, to what each of them served before.</summary>
sealed class SetTakeBack(UpdateContext context)
{
    static readonly TimeSpan Pace = TimeSpan.FromSeconds(1);

    /// <summary>Goes back with all, or waits for those that are in a step of their own.</summary>
    public async Task<StepResult> RunAsync(UpdateState state, Slot bad, CancellationToken cancel)
    {
        var complaint = state.Complaint ?? new("it crashed its host", Refuse: true, Crash: true);
        if (context.Sets.RecallOf(state) is not { } recalled)
            context.Sets.Recall(bad, recalled = context.Model == bad.Set ? complaint : complaint with { Why = $"{context.Model} {bad}: {complaint.Why}" });
        var group = context.Sets.GroupOf(bad);
        if (group.FirstOrDefault(other => !other.IsAt(UpdateStep.TakeBack)) is { } busy)
            return new(Outcome.Nothing, state, $"{bad} goes back as soon as {busy.State.Model} is ready to, which is at {busy.State.Step.ToString().ToLowerInvariant()}") { Wait = Pace };

        var places = new List<(UpdateRunner Runner, Slot? Good, string? Why)>();
        foreach (var member in group)
            places.Add(await PlaceAsync(member, cancel));
        // What served before may be a set too: whole, or not there.
        foreach (var (runner, _, why) in places.Where(place => place.Why is not null).ToList())
        {
            var lost = runner.State.Serving!.Instead ?? runner.State.Previous!;
            for (var i = 0; i < places.Count; i++)
            {
                if (places[i].Good is { } good && good.IsOfSet(lost))
                    places[i] = (places[i].Runner, null, $"{runner.State.Model} {why}");
            }
        }

        var others = context.Sets.Runners.Except(group).Select(other => other.State.Serving).ToList();
        places = places.ConvertAll(place => (place.Runner, place.Good is { } good ? DeviceSets.Alone(good, others.Concat(places.Where(other => other.Runner != place.Runner).Select(other => other.Good))) : null, place.Why));
        var parts = places.ConvertAll(place => Part(place.Runner, place.Good, place.Why is { } why ? recalled with { Why = $"{recalled.Why}; and {why}" } : recalled));
        context.Sets.Decide(parts);
        context.Sets.EndRecall(bad);
        return new(Outcome.Done, context.Sets.Find(context.Model)!.State, $"{bad}: {recalled.Why}; the whole set goes back") { Saved = true };
    }

    /// <summary>Where a model goes back to, loaded; null with why when that is no place to go, and without when there is none.</summary>
    static async Task<(UpdateRunner Runner, Slot? Good, string? Why)> PlaceAsync(UpdateRunner runner, CancellationToken cancel)
    {
        var good = runner.State.Serving!.Instead ?? runner.State.Previous;
        if (good is null || runner.Context.Host.CanServe(good) && !runner.State.Revoked.Contains(good.Release))
            return (runner, good, null);
        if (runner.State.Revoked.Contains(good.Release))
            return (runner, null, $"{good} is revoked");
        return await UnusableAsync(runner, good, cancel) is { } unusable ? (runner, null, $"{good}: {unusable}") : (runner, good, null);
    }

    static SetPart Part(UpdateRunner runner, Slot? good, Complaint complaint)
    {
        var (context, bad, why) = (runner.Context, runner.State.Serving!, complaint.Why);
        var state = runner.State;
        var next = state with
        {
            Step = UpdateStep.Report,
            Serving = good,
            Previous = bad.Instead is null ? null : state.Previous,
            Target = null,
            Complaint = null,
            Exposures = state.Exposures.RemoveAll(known => known.Slot == bad.Folder),
        };
        var now = context.Time.GetUtcNow();
        if (complaint.Refuse)
            next = next.Refusing(bad, complaint.Why, complaint.Crash);
        var told = complaint.Refuse && (bad.Instead is null || bad.Set == state.Model);
        if (told)
            next = next.Reporting(state.ReportOf(ReportKind.TakenBack, bad, now, why) with { Measures = UpdateState.Crashed(complaint.Crash) });
        if (good is not null && (!complaint.Refuse || bad.Instead is not null))
            next = next.Reporting(state.ReportOf(ReportKind.Settled, good, now, $"it serves again: {complaint.Why}"));
        else if (good is null && !told)
            next = next.Reporting(state.ReportOf(ReportKind.Stopped, bad, now, why));
        return new(runner, next, (good is null ? AgentEventKind.Stopped : AgentEventKind.TakenBack, $"{bad}: {why}; {(good is null ? "nothing serves" : $"{good} serves again")}"));
    }

    /// <summary>Loads what served before; returns why that cannot be.</summary>
    static async Task<string?> UnusableAsync(UpdateRunner runner, Slot good, CancellationToken cancel)
    {
        var context = runner.Context;
        if (runner.State.ExposureOf(good).Crashes >= CrashRule.Limit)
            return "the process ended while it was loaded";
        runner.Adopt(context.Expose(runner.State, good));
        try
        {
            context.Host.Prepare(await Task.Run(() => context.Loader.Load(good, cancel), cancel));
            return null;
        }
        catch (Exception e) when (e is InferenceException or DamagedSlotException)
        {
            return e.Message;
        }
        finally
        {
            runner.Adopt(context.Unexpose(runner.State, good));
        }
    }
}
