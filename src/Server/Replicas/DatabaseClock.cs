namespace Coppice.Server.Replicas;

/// <summary>The clock that all servers on a database have alike: the database's. How long a phase has soaked and when metadata expires does not depend on which server looks.</summary>
/// <param name="own">This machine's, whose speed is trusted and whose time is not.</param>
sealed class DatabaseClock(TimeProvider own) : TimeProvider
{
    long ahead; // of the machine's clock, in ticks

    /// <summary>How far the database's clock is ahead of this machine's.</summary>
    public TimeSpan Ahead => new(Interlocked.Read(ref ahead));

    public override DateTimeOffset GetUtcNow() => own.GetUtcNow() + Ahead;

    public override long TimestampFrequency => own.TimestampFrequency;

    public override TimeZoneInfo LocalTimeZone => own.LocalTimeZone;

    public override long GetTimestamp() => own.GetTimestamp();

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) => own.CreateTimer(callback, state, dueTime, period);

    /// <summary>Asks for something with which the database's time comes, and takes that: exact to half of what the question took.</summary>
    public async Task<T> AskAsync<T>(Func<Task<T>> ask, Func<T, long> now)
    {
        var before = own.GetUtcNow();
        var started = own.GetTimestamp();
        var answer = await ask();
        var middle = before + (own.GetElapsedTime(started) / 2);
        Interlocked.Exchange(ref ahead, (DateTimeOffset.FromUnixTimeMilliseconds(now(answer)) - middle).Ticks);
        return answer;
    }
}
