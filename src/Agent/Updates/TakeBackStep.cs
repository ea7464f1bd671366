using Coppice.Agent.Slots;
using Coppice.Inference;
using Coppice.Protocol;

namespace Coppice.Agent.Updates;

/// <summary>Goes back to the release before, without the network.</summary>
sealed class TakeBackStep(UpdateContext context) : IUpdateStep
{
    readonly SetTakeBack set = new(context);

    public async Task<StepResult> RunAsync(UpdateState state, CancellationToken cancel)
    {
        state = ShadowCare.Pause(context, state);
        if (state.Serving is not { } bad)
            return new(Outcome.Done, state with { Target = null }, "nothing serves that could be taken back");
        if (bad.Set is not null)
            return await set.RunAsync(state, bad, cancel);
        var complaint = state.Complaint ?? new("it crashed its host", Refuse: true, Crash: true);
        var good = state.Previous;
        if (good is not null && state.Revoked.Contains(good.Release))
            good = null;
        if (good is not null && !context.Host.CanServe(good))
        {
            if (state.ExposureOf(good).Crashes >= CrashRule.Limit)
                return Hopeless(state, complaint, good, "the process ended while it was loaded");
            state = context.Expose(state, good);
            try
            {
                var slot = good;
                context.Host.Prepare(await Task.Run(() => context.Loader.Load(slot, cancel), cancel));
                state = context.Unexpose(state, good);
            }
            catch (Exception e) when (e is InferenceException or DamagedSlotException)
            {
                return Hopeless(context.Unexpose(state, good), complaint, good, e.Message);
            }
        }

        if (good is not null)
            good = DeviceSets.Alone(good, context.Sets.Runners.Where(other => other.State.Model != state.Model).Select(other => other.State.Serving));
        var next = After(state, bad, complaint) with { Serving = good };
        var told = $"{bad}: {complaint.Why}; {(good is null ? "nothing serves" : $"{good} serves again")}";
        if (complaint.Refuse)
            next = next.Reporting(state.ReportOf(ReportKind.TakenBack, bad, context.Time.GetUtcNow(), complaint.Why) with { Measures = UpdateState.Crashed(complaint.Crash) });
        return new(Outcome.Done, next, told) { Event = (AgentEventKind.TakenBack, told) };
    }

    /// <summary>The release before is no place to go either.</summary>
    static StepResult Hopeless(UpdateState state, Complaint complaint, Slot good, string why) =>
        new(Outcome.Failed, state with { Previous = null, Complaint = complaint with { Why = $"{complaint.Why}; and {good}: {why}" } }, why);

    static UpdateState After(UpdateState state, Slot bad, Complaint complaint)
    {
        var next = state with { Previous = null, Target = null, Complaint = null, Exposures = state.Exposures.RemoveAll(known => known.Slot == bad.Folder) };
        return complaint.Refuse ? next.Refusing(bad, complaint.Why) : next;
    }
}
