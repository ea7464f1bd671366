namespace Coppice.Rollouts;

/// <summary>What a rollout goes by where nobody says otherwise.</summary>
public static class RolloutTerms
{
    /// <summary>How sure a gate must be.</summary>
    public const double DefaultConfidence = 0.95;

    /// <summary>How long a device may be silent before it is no longer waited for.</summary>
    public static readonly TimeSpan DefaultDeadline = TimeSpan.FromDays(7);

    /// <summary>Longest spread and deadline.</summary>
    public static readonly TimeSpan Longest = TimeSpan.FromDays(366);

    /// <summary>Longest question to a user, in characters.</summary>
    public const int MaxQuestion = 500;

    /// <summary>Most arms, and most requirements.</summary>
    public const int MaxArms = 8;

    /// <summary>Most models that a rollout brings with its own.</summary>
    public const int MaxMembers = 7;
}
