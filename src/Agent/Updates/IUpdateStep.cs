namespace Coppice.Agent.Updates;

/// <summary>One row of <see cref="UpdateTable"/> at work.</summary>
/// <remarks>May be run again after any interruption. Throws <see cref="Link.LinkException"/>, <see cref="IOException"/> and
/// <see cref="Slots.DamagedSlotException"/> for what passes; the runner makes them <see cref="Outcome.Later"/>.</remarks>
interface IUpdateStep
{
    /// <summary>Does the work of the step.</summary>
    /// <param name="state">As it was saved before the step began.</param>
    /// <param name="cancel">The agent is closing.</param>
    Task<StepResult> RunAsync(UpdateState state, CancellationToken cancel);
}

/// <summary>What came of a step.</summary>
/// <param name="Outcome">Decides the next step.</param>
/// <param name="State">To be saved with the next step.</param>
/// <param name="Why">For people: what the outcome rests on.</param>
readonly record struct StepResult(Outcome Outcome, UpdateState State, params IReadOnlyList<string> Why)
{
    /// <summary>How long to wait before the next step; null for the pace of the outcome.</summary>
    public TimeSpan? Wait { get; init; }

    /// <summary>Whether the state is on the disk already, as of a set, whose models' states are written at once.</summary>
    public bool Saved { get; init; }

    /// <summary>What to tell once the state is saved.</summary>
    public (AgentEventKind Kind, string Text)? Event { get; init; }
}
