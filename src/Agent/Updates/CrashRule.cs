namespace Coppice.Agent.Updates;

/// <summary>When a release is held to crash its host.</summary>
/// <remarks>
/// The process that ends inside a load may have been killed, or the power may have gone; one time condemns nobody. On probation a
/// process that ends while the machine runs on has crashed, and once is enough. The same end with the machine is counted like a load's.
/// </remarks>
public static class CrashRule
{
    /// <summary>Crashes in loading that are too many.</summary>
    public const int Limit = 2;

    /// <summary>Counts the end of a process, found at the next start.</summary>
    /// <param name="exposure">As it was saved.</param>
    /// <returns>The exposure, closed, with the crash counted when there was one.</returns>
    public static Exposure Count(Exposure exposure) =>
        exposure.Open ? exposure with { Crashes = exposure.Crashes + 1, Open = false } : exposure;

    /// <summary>Whether a slot is not loaded again.</summary>
    /// <param name="before">As it was saved.</param>
    /// <param name="probation">Whether the slot was on probation.</param>
    /// <param name="boot">The machine's boot now.</param>
    public static bool Condemns(Exposure before, bool probation, string boot) =>
        Count(before).Crashes >= Limit || (before.Open && probation && before.Boot == boot);
}
