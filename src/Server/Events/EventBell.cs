namespace Coppice.Server.Events;

/// <summary>Rings when events were committed, for everybody who waits.</summary>
sealed class EventBell
{
    TaskCompletionSource next = New();

    /// <summary>Done at the next ring. Take it before looking whether there is something, lest a ring in between goes unheard.</summary>
    public Task Next => Volatile.Read(ref next).Task;

    public void Ring() => Interlocked.Exchange(ref next, New()).TrySetResult();

    static TaskCompletionSource New() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
