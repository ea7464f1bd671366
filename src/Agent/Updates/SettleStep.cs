using System.Collections.Immutable;
using System.Diagnostics;
using Coppice.Protocol;

namespace Coppice.Agent.Updates;

/// <summary>Keeps the release, and frees what neither it nor the one before needs.</summary>
sealed class SettleStep(UpdateContext context) : IUpdateStep
{
    public Task<StepResult> RunAsync(UpdateState state, CancellationToken cancel)
    {
        var slot = (state.Serving ?? throw new UnreachableException("settles nothing")) with { Settled = true };
        var report = state.ReportOf(ReportKind.Settled, slot, context.Time.GetUtcNow());
        if (context.Host.Serving?.Meter.Read() is { Runs: > 0 } counts)
        {
            report = report with
            {
                Measures = ImmutableDictionary<string, double>.Empty
                    .Add("runs", counts.Runs).Add("errors", counts.Errors).Add("latencyP95Ms", counts.LatencyP95.TotalMilliseconds),
            };
        }

        var next = state with { Serving = slot, Target = null, Exposures = [] };
        context.Host.DropStandby();
        context.Collect(next);
        return Task.FromResult(new StepResult(Outcome.Done, next.Reporting(report), $"{slot} stays") { Event = (AgentEventKind.Settled, $"{slot} stays") });
    }
}
