using Coppice.Protocol;

namespace Coppice.Agent.Updates;

/// <summary>Serves nothing any more: what serves is revoked, or fails with nothing good before it.</summary>
sealed class WithdrawStep(UpdateContext context) : IUpdateStep
{
    public Task<StepResult> RunAsync(UpdateState state, CancellationToken cancel)
    {
        state = ShadowCare.Without(ShadowCare.Pause(context, state));
        if (state.Serving is not { } bad)
            return Task.FromResult(new StepResult(Outcome.Done, state with { Target = null, Complaint = null }, "nothing serves"));
        var complaint = state.Complaint ?? new("it may serve no more", Refuse: false);
        var next = state with { Serving = null, Previous = null, Target = null, Complaint = null, Exposures = [] };
        if (complaint.Refuse)
            next = next.Refusing(bad, complaint.Why);
        var kind = complaint.Refuse ? ReportKind.TakenBack : ReportKind.Stopped;
        next = next.Reporting(state.ReportOf(kind, bad, context.Time.GetUtcNow(), complaint.Why) with { Measures = UpdateState.Crashed(complaint.Crash) });
        return Task.FromResult(new StepResult(Outcome.Done, next, complaint.Why) { Event = (AgentEventKind.Stopped, $"{bad}: {complaint.Why}") });
    }
}
