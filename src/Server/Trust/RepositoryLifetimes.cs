namespace Coppice.Server.Trust;

/// <summary>How long signed metadata is trusted. Shorter finds a mirror that holds updates back sooner; longer forgives a server that is down.</summary>
public sealed record RepositoryLifetimes
{
    public TimeSpan Root { get; init; } = TimeSpan.FromDays(365);

    public TimeSpan Targets { get; init; } = TimeSpan.FromDays(365);

    public TimeSpan Releases { get; init; } = TimeSpan.FromDays(365);

    public TimeSpan Rollouts { get; init; } = TimeSpan.FromDays(30);

    public TimeSpan Snapshot { get; init; } = TimeSpan.FromDays(7);

    public TimeSpan Timestamp { get; init; } = TimeSpan.FromDays(1);
}
