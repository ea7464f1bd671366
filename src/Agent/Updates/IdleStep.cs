namespace Coppice.Agent.Updates;

/// <summary>The wait for the next poll is over.</summary>
sealed class IdleStep : IUpdateStep
{
    public Task<StepResult> RunAsync(UpdateState state, CancellationToken cancel) => Task.FromResult(new StepResult(Outcome.Done, state));
}
