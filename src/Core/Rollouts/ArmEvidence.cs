using System.Collections.Immutable;

namespace Coppice.Rollouts;

/// <summary>What the devices of one arm have said in a phase: gates hold for each release by itself, since a good one among several would hide a bad one.</summary>
/// <param name="Arm">Its name.</param>
/// <param name="Counts">Its devices that came to what they say in this phase.</param>
public sealed record ArmEvidence(string Arm, RolloutCounts Counts)
{
    /// <summary>Whether its release runs without answering; null for no.</summary>
    public bool? Shadow { get; init; }

    /// <summary>Figures of the metric gates.</summary>
    public ImmutableArray<GateFigures> Figures { get; init => field = value.IsDefault ? [] : value; } = [];
}
