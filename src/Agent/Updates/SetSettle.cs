using Coppice.Agent.Slots;

namespace Coppice.Agent.Updates;

/// <summary>Keeps the releases of a set, once the last of them has come through probation.</summary>
sealed class SetSettle(UpdateContext context)
{
    /// <summary>Keeps all, or waits for those that are watched still.</summary>
    public StepResult Run(UpdateState state, Slot slot)
    {
        var group = context.Sets.GroupOf(slot).Where(other => other.State.Serving is { Settled: false }).ToList();
        if (group.Find(other => !other.IsAt(UpdateStep.Settle)) is { } watched)
            return new(Outcome.Nothing, state, $"{slot} stays once {watched.State.Model} {watched.State.Serving} has come through probation") { Wait = SetSwitch.Pace(context.Policy.Probation.Time) };

        var parts = new List<SetPart>();
        foreach (var member in group)
        {
            var next = SettleStep.Next(member.Context, member.State) with { Step = UpdateStep.Report };
            member.Context.Host.DropStandby();
            member.Context.Collect(next);
            parts.Add(new(member, next, (AgentEventKind.Settled, $"{next.Serving} stays")));
        }

        context.Sets.Decide(parts);
        return new(Outcome.Done, context.Sets.Find(context.Model)!.State, $"{slot} stays") { Saved = true };
    }
}
