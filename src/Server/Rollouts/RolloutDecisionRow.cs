using System.Text.Json;
using Coppice.Protocol;
using Coppice.Rollouts;

namespace Coppice.Server.Rollouts;

/// <summary>Something that the server decided by itself, with all that it rested on; never changed.</summary>
sealed class RolloutDecisionRow
{
    public long Id { get; set; }
    public required long Rollout { get; set; }
    public required DateTimeOffset At { get; set; }
    public required PhaseAction Action { get; set; }
    public required string Why { get; set; }
    public required string Evidence { get; set; }

    public static RolloutDecisionRow Of(long rollout, PhaseEvidence evidence, PhaseVerdict verdict, DateTimeOffset now) => new()
    {
        Rollout = rollout,
        At = now,
        Action = verdict.Action,
        Why = verdict.Why,
        Evidence = JsonSerializer.Serialize(evidence, ControlContext.Default.PhaseEvidence),
    };

    public RolloutDecision View() => new(Id, At, Action, Why, JsonSerializer.Deserialize(Evidence, ControlContext.Default.PhaseEvidence)!);
}
