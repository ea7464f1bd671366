using System.Diagnostics;
using Coppice.Agent.Slots;
using Coppice.Inference;
using Coppice.Protocol;
using Coppice.Registry;

namespace Coppice.Agent.Updates;

/// <summary>Names the release as the serving one. Saving that is the switch; the exchange of the session follows it.</summary>
sealed class SwitchStep(UpdateContext context) : IUpdateStep
{
    readonly SetSwitch set = new(context);

    public async Task<StepResult> RunAsync(UpdateState state, CancellationToken cancel)
    {
        var target = state.Target ?? throw new UnreachableException("switches without a target");
        var slot = target.Slot with { Settled = false };
        if (context.RefusedBeside(state, target) is { } refused)
            return refused;
        var beside = context.Others().SetItems(target.With.Select(member => KeyValuePair.Create(member.Model, member.Release)));
        if (ModelRequirement.Missing(context.Slots.Read(slot).Manifest.Requires ?? [], beside) is { } missing)
            return new(Outcome.Later, state, $"{slot} {missing} any more");
        if (target.Shadow is { } terms)
            return Beside(state, target, terms);
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

            if (slot.Set is not null)
                state = context.Unexpose(state, slot); // it may wait for others, and serves only after another write
        }

        if (slot.Set is not null)
            return set.Run(state, target);
        var (next, told) = Next(context, state, slot, expose: true);
        return new(Outcome.Done, next, told) { Event = (AgentEventKind.Switched, told) };
    }

    /// <summary>It answers nobody: what serves goes on, and it is loaded when the model rests.</summary>
    StepResult Beside(UpdateState state, Target target, ShadowTerms terms)
    {
        var slot = target.Slot with { Settled = false };
        var next = state with { Shadow = new(slot, terms) { Measures = target.Measures } };
        return new(Outcome.Beside, next.Reporting(next.ReportOf(ReportKind.Switched, slot, context.Time.GetUtcNow()) with { Measures = target.Measures }), $"{slot} is to run beside {state.Serving}");
    }

    /// <summary>A state in which a slot that can serve does, and what to tell of it.</summary>
    /// <param name="context">Of the model.</param>
    /// <param name="state">With the target.</param>
    /// <param name="slot">What is to serve.</param>
    /// <param name="expose">Whether what ends the process from here on counts against it.</param>
    public static (UpdateState Next, string Told) Next(UpdateContext context, UpdateState state, Slot slot, bool expose)
    {
        var previous = state.Serving is { } before && before.Folder != slot.Folder && !state.Revoked.Contains(before.Release) ? before : null;
        var next = state with { Serving = slot, Previous = previous ?? (state.Previous?.Folder == slot.Folder ? null : state.Previous) };
        if (expose)
            next = next.With(next.ExposureOf(slot) with { Open = true, Boot = context.Boot }); // through probation
        return (next.Reporting(next.ReportOf(ReportKind.Switched, slot, context.Time.GetUtcNow()) with { Measures = state.Target?.Measures }), previous is null ? $"{slot} serves" : $"{slot} serves instead of {previous}");
    }
}
