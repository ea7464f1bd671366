using System.Diagnostics;
using Coppice.Inference;
using Coppice.Protocol;
using Coppice.Registry;

namespace Coppice.Agent.Updates;

/// <summary>Names the release as the serving one. Saving that is the switch; the exchange of the session follows it.</summary>
sealed class SwitchStep(UpdateContext context) : IUpdateStep
{
    public async Task<StepResult> RunAsync(UpdateState state, CancellationToken cancel)
    {
        var target = state.Target ?? throw new UnreachableException("switches without a target");
        var slot = target.Slot with { Settled = false };
        if (ModelRequirement.Missing(context.Slots.Read(slot).Manifest.Requires ?? [], context.Others()) is { } missing)
            return new(Outcome.Later, state, $"{slot} {missing} any more");
        if (!context.Host.CanServe(slot))
        {
            if (state.ExposureOf(slot).Crashes >= CrashRule.Limit)
                return context.Refuse(state, slot, $"the process ended {state.ExposureOf(slot).Crashes} times while it was loaded", crash: true);
            state = context.Expose(state, slot);
            try
            {
                context.Host.Prepare(await Task.Run(() => context.Loader.Load(slot, cancel), cancel));
            }
            catch (InferenceException e)
            {
                return context.Refuse(context.Unexpose(state, slot), slot, $"it does not load: {e.Message}");
            }
        }

        var previous = state.Serving is { } before && before.Folder != slot.Folder && !state.Revoked.Contains(before.Release) ? before : null;
        var next = state with { Serving = slot, Previous = previous ?? (state.Previous?.Folder == slot.Folder ? null : state.Previous) };
        next = next.With(next.ExposureOf(slot) with { Open = true, Boot = context.Boot }); // through probation
        var told = previous is null ? $"{slot} serves" : $"{slot} serves instead of {previous}";
        return new(Outcome.Done, next.Reporting(next.ReportOf(ReportKind.Switched, slot, context.Time.GetUtcNow()) with { Measures = target.Measures }), told)
        {
            Event = (AgentEventKind.Switched, told),
        };
    }
}
