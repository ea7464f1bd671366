using Coppice.Agent.Serving;
using Coppice.Agent.Updates;
using Coppice.Registry;

namespace Coppice.Agent;

/// <summary>A model that the agent keeps current.</summary>
public sealed class AgentModel
{
    readonly Storage.IDisk disk;

    internal AgentModel(ModelHost host, UpdateRunner runner, Storage.IDisk disk) => (Host, Runner, this.disk) = (host, runner, disk);

    internal ModelHost Host { get; }

    internal UpdateRunner Runner { get; }

    internal SemaphoreSlim Nudge { get; } = new(0, 1);

    /// <summary>The model's name.</summary>
    public ModelName Name => Host.Model;

    /// <summary>The release that serves; null when none does.</summary>
    public SemanticVersion? Release => Host.Serving?.Slot.Release;

    /// <summary>The release that runs beside it on copies of requests, and answers none; null when none does.</summary>
    public SemanticVersion? Shadow => Host.Shadow?.Slot.Release;

    /// <summary>Where its update stands.</summary>
    public UpdateState State => Runner.State;

    /// <summary>What the device's user is asked before the next release may serve; null for nothing.</summary>
    public Question? Question => Runner.State.Question;

    /// <summary>Answers <see cref="Question"/>, and looks at the plan again. No is no until the rollout's next attempt.</summary>
    /// <returns>False when nothing is asked.</returns>
    /// <exception cref="IOException">The answer cannot be written.</exception>
    public bool Answer(bool yes)
    {
        if (Question is not { } question)
            return false;
        UserConsent.Answer(disk, Name, question, yes);
        Poll();
        return true;
    }

    /// <summary>Takes the right to run the serving release until it is given back.</summary>
    /// <exception cref="ModelNotReadyException">Nothing serves.</exception>
    public Lease Lease() => Host.Lease();

    /// <summary>Takes a lease, when something serves.</summary>
    public bool TryLease(out Lease lease) => Host.TryLease(out lease);

    /// <summary>Ends when a release serves.</summary>
    public Task WaitAsync(CancellationToken cancel = default) => Host.WaitAsync(cancel);

    /// <summary>Looks at the repository now rather than at the next poll.</summary>
    public void Poll()
    {
        if (Nudge.CurrentCount == 0)
        {
            try
            {
                Nudge.Release();
            }
            catch (SemaphoreFullException) // somebody else asked at the same moment
            {
            }
        }
    }
}
