using System.Collections.Immutable;

namespace Coppice.Rollouts;

/// <summary>A span of the day, on some days, in the device's local time. One that ends before it starts goes over midnight.</summary>
/// <param name="Days">Days on which it starts; empty for every day.</param>
/// <param name="From">First minute.</param>
/// <param name="To">First minute after it.</param>
public sealed record MaintenanceWindow(ImmutableArray<DayOfWeek> Days, TimeOnly From, TimeOnly To)
{
    /// <summary>Whether the window is open at a local time.</summary>
    public bool Contains(DateTime local)
    {
        var time = TimeOnly.FromDateTime(local);
        var overnight = To <= From;
        if (!overnight)
            return StartsOn(local.DayOfWeek) && time >= From && time < To;
        return (StartsOn(local.DayOfWeek) && time >= From) || (StartsOn(local.AddDays(-1).DayOfWeek) && time < To);
    }

    bool StartsOn(DayOfWeek day) => Days.IsEmpty || Days.Contains(day);

    /// <summary>The first moment after which it is open, at most a week on; null when it never opens.</summary>
    public DateTime? OpensAfter(DateTime local)
    {
        for (var day = 0; day <= 8; day++)
        {
            var opens = local.Date.AddDays(day) + From.ToTimeSpan();
            if (opens > local && StartsOn(opens.DayOfWeek))
                return opens;
        }

        return null;
    }
}
