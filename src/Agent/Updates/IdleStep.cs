namespace Coppice.Agent.Updates;

/// <summary>The wait for the next poll is over. What runs beside the serving release is looked after while nothing else is done.</summary>
sealed class IdleStep(UpdateContext context) : IUpdateStep
{
    readonly ShadowCare shadow = new(context);

    public Task<StepResult> RunAsync(UpdateState state, CancellationToken cancel) => shadow.RestAsync(state, cancel);
}
