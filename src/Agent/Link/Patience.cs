namespace Coppice.Agent.Link;

/// <summary>Bounded patience with a source: what it does not give within a time ends the call.</summary>
/// <param name="stall">How long it may give nothing.</param>
/// <param name="time">Measures it.</param>
/// <param name="cancel">Ends the call for another reason.</param>
sealed class Patience(TimeSpan stall, TimeProvider time, CancellationToken cancel) : IDisposable
{
    readonly CancellationTokenSource late = new(stall, time);
    CancellationTokenSource? either;

    /// <summary>For the source's calls.</summary>
    public CancellationToken Token => (either ??= CancellationTokenSource.CreateLinkedTokenSource(late.Token, cancel)).Token;

    /// <summary>Whether it ran out, and nobody else ended the call.</summary>
    public bool RanOut => late.IsCancellationRequested && !cancel.IsCancellationRequested;

    /// <summary>From now on the source has the whole time again.</summary>
    public void Begin() => late.CancelAfter(stall);

    /// <summary>What follows is not the source's to hurry.</summary>
    public void Rest() => late.CancelAfter(Timeout.InfiniteTimeSpan);

    public void Dispose()
    {
        either?.Dispose();
        late.Dispose();
    }
}
