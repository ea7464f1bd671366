namespace Coppice.Agent.Updates;

/// <summary>Switches the models of a set, once the last of them has come through its trial.</summary>
sealed class SetSwitch(UpdateContext context)
{
    long? waitsSince;

    /// <summary>Switches all, or waits for those that are not here yet.</summary>
    /// <param name="state">Its candidate is loaded.</param>
    /// <param name="target">A set's.</param>
    public StepResult Run(UpdateState state, Target target)
    {
        var own = context.Sets.Find(context.Model)!;
        var parts = new List<UpdateRunner> { own };
        foreach (var member in target.With)
        {
            if (context.Sets.Find(member.Model) is not { } other)
                return new(Outcome.Later, state, $"{target.Slot} comes with {member.Model}, which this device does not keep any more");
            if (other.State.Serving is { } serving && serving.IsOfSet(target.Slot) && serving.Manifest == member.Manifest && other.State.Step != UpdateStep.TakeBack && context.Sets.RecallOf(other.State) is null)
                continue; // it was not lost with this one
            if (!other.IsAt(UpdateStep.Switch) || other.State.Target is not { } beside || !beside.Slot.IsOfSet(target.Slot) || beside.Slot.Attempt != target.Slot.Attempt || !other.Context.Host.CanServe(beside.Slot))
                return Wait(state, $"{target.Slot} is ready, and waits for {member.Model} {member.Release}, which is at {other.State.Step.ToString().ToLowerInvariant()}");
            parts.Add(other);
        }

        waitsSince = null;
        context.Sets.Decide([.. parts.Select(part => Part(part, part == own ? state : part.State))]);
        return new(Outcome.Done, own.State, $"{target.Slot} serves, together with {string.Join(" and ", target.With.Select(member => $"{member.Model} {member.Release}"))}") { Saved = true };
    }

    StepResult Wait(UpdateState state, string why)
    {
        waitsSince ??= context.Time.GetTimestamp();
        if (context.Time.GetElapsedTime(waitsSince.Value) < context.Policy.Poll)
            return new(Outcome.Nothing, state, why) { Wait = Pace(context.Policy.Poll) };
        waitsSince = null;
        return new(Outcome.Later, state, why); // the plan may say something else by now
    }

    /// <summary>How often a model that waits for others looks by itself; they end its wait when they come.</summary>
    public static TimeSpan Pace(TimeSpan poll) => TimeSpan.FromSeconds(Math.Clamp(poll.TotalSeconds / 20, 0.05, 30));

    SetPart Part(UpdateRunner runner, UpdateState state)
    {
        var slot = state.Target!.Slot with { Settled = false };
        var here = state.Serving is { } serving && serving.Folder == slot.Folder ? serving : null;
        if (here is not null) // the same files under another order: nothing is exchanged, and nothing new can crash
            slot = slot with { TrialLatency = here.TrialLatency, Instead = here.Instead ?? here };
        if (slot.Set == state.Model)
            state = context.Sets.WithAllBytes(state);
        var (next, told) = SwitchStep.Next(runner.Context, state, slot, expose: here is null);
        return new(runner, next with { Step = UpdateStep.Probation }, (AgentEventKind.Switched, told));
    }
}
