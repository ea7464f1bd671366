namespace Coppice.Mirror.Upstream;

/// <summary>Whether upstream answers, as the mirror last saw it.</summary>
public sealed class UpstreamState(TimeProvider time)
{
    readonly Lock gate = new();
    string? trouble;
    DateTimeOffset? since;
    DateTimeOffset? last;

    /// <summary>When upstream last answered; null when it never did.</summary>
    public DateTimeOffset? LastAnswer
    {
        get
        {
            lock (gate)
                return last;
        }
    }

    /// <summary>Why upstream is not reached, and since when; null when it answers.</summary>
    public (string Why, DateTimeOffset Since)? Trouble
    {
        get
        {
            lock (gate)
                return trouble is null ? null : (trouble, since!.Value);
        }
    }

    /// <summary>It answered.</summary>
    /// <returns>Whether it had not before.</returns>
    public bool Answered()
    {
        lock (gate)
        {
            var was = trouble is not null;
            (trouble, since, last) = (null, null, time.GetUtcNow());
            return was;
        }
    }

    /// <summary>It did not answer.</summary>
    /// <returns>Whether it had before.</returns>
    public bool Failed(string why)
    {
        lock (gate)
        {
            var was = trouble is null;
            (trouble, since) = (why, since ?? time.GetUtcNow());
            return was;
        }
    }
}
