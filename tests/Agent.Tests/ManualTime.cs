namespace Coppice.Agent.Tests;

/// <summary>A clock that goes when it is told to, and whose wall time can be set apart from it.</summary>
public sealed class ManualTime : TimeProvider
{
    readonly Lock gate = new();
    readonly List<Timer> timers = [];
    long ticks;
    DateTimeOffset wall = new(2026, 11, 22, 8, 0, 0, TimeSpan.Zero);

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override TimeZoneInfo LocalTimeZone => TimeZoneInfo.Utc;

    public override long GetTimestamp() => Interlocked.Read(ref ticks);

    public override DateTimeOffset GetUtcNow() => wall;

    /// <summary>Sets the wall clock, as a network time service does. Intervals do not notice.</summary>
    public void Jump(TimeSpan by) => wall += by;

    public void Advance(TimeSpan span)
    {
        List<Timer> due;
        lock (gate)
        {
            Interlocked.Add(ref ticks, span.Ticks);
            wall += span;
            due = [.. timers.Where(timer => timer.Due <= ticks)];
            foreach (var timer in due)
                timers.Remove(timer);
        }

        foreach (var timer in due)
            timer.Fire();
    }

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = new Timer(this, () => callback(state));
        timer.Change(dueTime, period);
        return timer;
    }

    sealed class Timer(ManualTime time, Action fire) : ITimer
    {
        public long Due { get; private set; }

        public void Fire() => fire();

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            lock (time.gate)
            {
                time.timers.Remove(this);
                if (dueTime == Timeout.InfiniteTimeSpan)
                    return true;
                if (dueTime > TimeSpan.Zero)
                {
                    Due = time.ticks + dueTime.Ticks;
                    time.timers.Add(this);
                    return true;
                }
            }

            fire();
            return true;
        }

        public void Dispose()
        {
            lock (time.gate)
                time.timers.Remove(this);
        }

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
