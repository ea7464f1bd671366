namespace Coppice.Server.Patches;

/// <summary>Devices may soon want patches that are not there: a release was published, a rollout began or moved.</summary>
sealed class PatchSignal : Signal;
