using Coppice.Agent.Slots;
using Coppice.Protocol;

namespace Coppice.Agent.Updates;

/// <summary>What several steps do alike.</summary>
static class Refusing
{
    /// <summary>The release failed before it served.</summary>
    public static StepResult Refuse(this UpdateContext context, UpdateState state, Slot slot, string why, bool crash = false)
    {
        context.Host.DropCandidate();
        var next = state.Refusing(slot, why) with { Exposures = state.Exposures.RemoveAll(known => known.Slot == slot.Folder) };
        next = next.Reporting(state.ReportOf(ReportKind.Refused, slot, context.Time.GetUtcNow(), why) with { Measures = UpdateState.Crashed(crash, state.Target?.Measures) });
        return new(Outcome.Failed, next, why) { Event = (AgentEventKind.Refused, $"{slot}: {why}") };
    }

    /// <summary>Writes down that what ends the process from now on counts against a slot.</summary>
    public static UpdateState Expose(this UpdateContext context, UpdateState state, Slot slot)
    {
        var next = state.With(state.ExposureOf(slot) with { Open = true, Boot = context.Boot });
        context.Save(next);
        return next;
    }

    /// <summary>The danger is over; saved with the step that follows.</summary>
    public static UpdateState Unexpose(this UpdateContext _, UpdateState state, Slot slot) => state.With(state.ExposureOf(slot) with { Open = false });
}
