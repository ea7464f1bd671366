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

        var parts = new List<SetPart>();
        foreach (var member in group)
            parts.Add(await PartAsync(member, recalled, cancel));
        context.Sets.Decide(parts);
        context.Sets.EndRecall(bad);
        return new(Outcome.Done, context.Sets.Find(context.Model)!.State, $"{bad}: {recalled.Why}; the whole set goes back") { Saved = true };
    }

    static async Task<SetPart> PartAsync(UpdateRunner runner, Complaint complaint, CancellationToken cancel)
    {
        var (context, bad) = (runner.Context, runner.State.Serving!);
        var good = bad.Instead ?? runner.State.Previous;
        var why = complaint.Why;
        if (good is not null && runner.State.Revoked.Contains(good.Release))
            good = null;
        if (good is not null && !context.Host.CanServe(good) && await UnusableAsync(runner, good, cancel) is { } unusable)
            (good, why) = (null, $"{why}; and {good}: {unusable}");

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
        if (complaint.Refuse && (bad.Instead is null || bad.Set == state.Model))
            next = next.Reporting(state.ReportOf(ReportKind.TakenBack, bad, now, why) with { Measures = UpdateState.Crashed(complaint.Crash) });
        if (good is not null && (!complaint.Refuse || bad.Instead is not null))
            next = next.Reporting(state.ReportOf(ReportKind.Settled, good, now, $"it serves again: {complaint.Why}"));
        else if (good is null && !complaint.Refuse)
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
