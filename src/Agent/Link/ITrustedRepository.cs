namespace Coppice.Agent.Link;

/// <summary>The small signed documents of a repository. What it returns is trusted.</summary>
public interface ITrustedRepository
{
    /// <summary>Looks for newer metadata, with one conditional request when there is none.</summary>
    /// <exception cref="LinkException">It could not be read, or offers what is not to be trusted; what was trusted before stays.</exception>
    Task RefreshAsync(CancellationToken cancel);

    /// <summary>The bytes of a target as they were signed; null when the repository has no such target.</summary>
    /// <param name="target">The path of the target: <c>rollouts/plant/bearing/plan.json</c>.</param>
    /// <param name="most">A longer one is refused before it is read.</param>
    /// <param name="cancel">Ends the call.</param>
    /// <exception cref="LinkException">It could not be read, or is not what was signed.</exception>
    Task<ReadOnlyMemory<byte>?> FindAsync(string target, int most, CancellationToken cancel);
}
