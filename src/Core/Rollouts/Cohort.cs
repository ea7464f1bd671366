using System.Globalization;
using System.Text;

namespace Coppice.Rollouts;

/// <summary>The place of a device in a rollout: a number that stays the same over restarts and differs between rollouts.</summary>
/// <remarks>GrowthBook's hash version 2: FNV-1a, 32 bits, of salt + id, once more of its decimal text, modulo 10,000.</remarks>
public static class Cohort
{
    /// <summary>Number of places; a share of 0.25 reaches places 0 to 2,499.</summary>
    public const int Places = 10_000;

    /// <summary>The place of a device, 0 to 9,999.</summary>
    public static int Of(string salt, string device) =>
        (int)(Fnv1a(Fnv1a(salt + device).ToString(CultureInfo.InvariantCulture)) % Places);

    /// <summary>Whether a share (0 to 1) reaches a place.</summary>
    public static bool Reaches(double share, int place) => place < Math.Round(share * Places);

    static uint Fnv1a(string text)
    {
        var hash = 2166136261u;
        foreach (var b in Encoding.UTF8.GetBytes(text))
            hash = (hash ^ b) * 16777619u;
        return hash;
    }
}
