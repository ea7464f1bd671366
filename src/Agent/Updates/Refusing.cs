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
        var next = state.Refusing(slot, why, crash) with { Exposures = state.Exposures.RemoveAll(known => known.Slot == slot.Folder) };
        if (slot.Set is null || slot.Set == context.Model) // a set is refused once, by its leading model
        {
            var told = context.Sets.WithAllBytes(state);
            next = next.Reporting(told.ReportOf(ReportKind.Refused, slot, context.Time.GetUtcNow(), why) with { Measures = UpdateState.Crashed(crash, state.Target?.Measures) });
        }

        return new(Outcome.Failed, next, why) { Event = (AgentEventKind.Refused, $"{slot}: {why}") };
    }

    /// <summary>What comes of a set's target when another model of the set was refused; null when none was.</summary>
    public static StepResult? RefusedBeside(this UpdateContext context, UpdateState state, Target target)
    {
        if (target.With.IsEmpty || context.Sets.RefusedBeside(target) is not var (model, refusal))
            return null;
        var why = $"{model} {refusal.Release}: {refusal.Why}";
        return target.Slot.Set == context.Model
            ? context.Refuse(state, target.Slot, why, refusal.Crash)
            : new(Outcome.Failed, state, $"{target.Slot} is not taken without {why}");
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
