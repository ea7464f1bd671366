using System.Collections.Immutable;
using System.Diagnostics;
using Coppice.Protocol;

namespace Coppice.Agent.Updates;

/// <summary>Keeps the release, and frees what neither it nor the one before needs.</summary>
sealed class SettleStep(UpdateContext context) : IUpdateStep
{
    readonly SetSettle set = new(context);

    public Task<StepResult> RunAsync(UpdateState state, CancellationToken cancel)
    {
        var slot = state.Serving ?? throw new UnreachableException("settles nothing");
        if (slot.Set is not null)
            return Task.FromResult(set.Run(state, slot));
        var next = Next(context, state);
        context.Host.DropStandby();
        context.Collect(next);
        return Task.FromResult(new StepResult(Outcome.Done, next, $"{slot} stays") { Event = (AgentEventKind.Settled, $"{slot} stays") });
    }

    /// <summary>A state whose serving release has come through probation.</summary>
    public static UpdateState Next(UpdateContext context, UpdateState state)
    {
        var slot = state.Serving! with { Settled = true };
        var report = state.ReportOf(ReportKind.Settled, slot, context.Time.GetUtcNow());
        if (context.Host.Serving?.Meter.Read() is { Runs: > 0 } counts)
        {
            report = report with
            {
                Measures = ImmutableDictionary<string, double>.Empty
                    .Add("runs", counts.Runs).Add("errors", counts.Errors).Add("latencyP95Ms", counts.LatencyP95.TotalMilliseconds),
            };
        }

        return (state with { Serving = slot, Target = null, Exposures = [] }).Reporting(report);
    }
}
