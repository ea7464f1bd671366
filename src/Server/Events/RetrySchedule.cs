namespace Coppice.Server.Events;

/// <summary>When a delivery that failed is tried again: the schedule that Standard Webhooks recommends, given up after two and a half days.</summary>
static class RetrySchedule
{
    static readonly TimeSpan[] Pauses =
    [
        TimeSpan.FromSeconds(5), TimeSpan.FromMinutes(1), TimeSpan.FromMinutes(5), TimeSpan.FromMinutes(30), TimeSpan.FromHours(2),
        TimeSpan.FromHours(5), TimeSpan.FromHours(10), TimeSpan.FromHours(14), TimeSpan.FromHours(28),
    ];

    /// <summary>The pause after a number of failed attempts.</summary>
    /// <param name="attempts">1 and up.</param>
    /// <param name="jitter">0 up to 1, drawn anew each time: receivers that came back are not met by everybody at once.</param>
    /// <param name="wanted">What the receiver asked for; null when it did not. Not beyond a day.</param>
    /// <returns>Null when it is to be given up.</returns>
    public static TimeSpan? After(int attempts, double jitter, TimeSpan? wanted)
    {
        if (attempts > Pauses.Length)
            return null;
        var pause = Pauses[attempts - 1] * (0.8 + (0.4 * jitter));
        return wanted is { } asked && asked > pause ? (asked < TimeSpan.FromDays(1) ? asked : TimeSpan.FromDays(1)) : pause;
    }
}
