using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using Coppice.Rollouts;

namespace Coppice.Protocol;

/// <summary>Maintenance windows as people write them: <c>22:00-04:00</c>, <c>sat,sun:06:00-18:00</c>.</summary>
public static class MaintenanceWindowText
{
    /// <summary>Reads a window.</summary>
    public static bool TryParse(string text, [NotNullWhen(true)] out MaintenanceWindow? window, [NotNullWhen(false)] out string? problem)
    {
        (window, problem) = (null, null);
        var times = text;
        var days = ImmutableArray.CreateBuilder<DayOfWeek>();
        if (text.Length > 0 && char.IsAsciiLetter(text[0]) && text.IndexOf(':', StringComparison.Ordinal) is > 0 and var colon)
        {
            times = text[(colon + 1)..];
            foreach (var day in text[..colon].Split(',', StringSplitOptions.TrimEntries))
            {
                if (Day(day) is not { } found)
                {
                    problem = $"'{day}' is not a day; write mon, tue, wed, thu, fri, sat or sun.";
                    return false;
                }

                days.Add(found);
            }
        }

        if (times.Split('-') is [var from, var to] && Time(from) is { } first && Time(to) is { } last)
        {
            window = new(days.ToImmutable(), first, last);
            return true;
        }

        problem = $"'{text}' is not a window; write 22:00-04:00, or sat,sun:06:00-18:00.";
        return false;
    }

    /// <summary>A day by its name or the name's beginning, of at least three letters.</summary>
    public static DayOfWeek? Day(string text) =>
        Enum.GetValues<DayOfWeek>().Where(known => text.Length >= 3 && known.ToString().StartsWith(text, StringComparison.OrdinalIgnoreCase)).ToArray() is [var found] ? found : null;

    /// <summary>A time of day, to the minute or second.</summary>
    public static TimeOnly? Time(string text) =>
        TimeOnly.TryParseExact(text.Trim(), ["HH:mm", "HH:mm:ss"], CultureInfo.InvariantCulture, DateTimeStyles.None, out var time) ? time : null;
}
