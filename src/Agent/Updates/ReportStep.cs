namespace Coppice.Agent.Updates;

/// <summary>Hands what happened to the device's queue; the link delivers it when there is one.</summary>
sealed class ReportStep(UpdateContext context) : IUpdateStep
{
    public Task<StepResult> RunAsync(UpdateState state, CancellationToken cancel)
    {
        context.Reports.Take(state.Model, state.Outbox);
        context.Host.DropCandidate();
        return Task.FromResult(new StepResult(Outcome.Done, state with { Outbox = [], Target = null, Complaint = null }, []) { Wait = TimeSpan.Zero });
    }
}
