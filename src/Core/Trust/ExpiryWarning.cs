namespace Coppice.Trust;

/// <summary>When somebody must be told that metadata is to be signed anew: a quarter of its life before the end.</summary>
public static class ExpiryWarning
{
    const double Share = 0.25;

    /// <summary>One sentence; null while there is time.</summary>
    /// <param name="role">The role.</param>
    /// <param name="expires">When it stops being trusted.</param>
    /// <param name="life">How long a version of it is trusted.</param>
    /// <param name="now">The time of asking.</param>
    /// <param name="who">Who is to do what.</param>
    public static string? Of(string role, DateTimeOffset expires, TimeSpan life, DateTimeOffset now, string who)
    {
        var left = expires - now;
        if (left <= TimeSpan.Zero)
            return $"'{role}' expired at {expires:u}, and devices refuse it; {who}.";
        return left < life * Share ? $"'{role}' expires in {Words(left)}, at {expires:u}; {who}." : null;
    }

    static string Words(TimeSpan left) => left.TotalDays >= 2 ? $"{(int)left.TotalDays} days" : left.TotalHours >= 2 ? $"{(int)left.TotalHours} hours" : $"{(int)left.TotalMinutes} minutes";
}
