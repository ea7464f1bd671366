namespace Coppice.Server.Rollouts;

/// <summary>Something came that may move a rollout.</summary>
sealed class RolloutSignal : Signal;
