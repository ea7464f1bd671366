namespace Coppice.Agent.Link.Tuf;

/// <summary>What a repository may cost a client. The defaults are python-tuf's.</summary>
public sealed record TufLimits
{
    /// <summary>Root versions taken in one refresh (Y in 5.3.3).</summary>
    public int RootRotations { get; init; } = 256;

    /// <summary>Roles visited in the search for one target, the top-level one included (5.6.7.1).</summary>
    public int Roles { get; init; } = 33;

    /// <summary>Bytes of a root file.</summary>
    public int RootBytes { get; init; } = 512_000;

    /// <summary>Bytes of the timestamp.</summary>
    public int TimestampBytes { get; init; } = 16_384;

    /// <summary>Bytes of a snapshot, whatever the timestamp says of its length.</summary>
    public int SnapshotBytes { get; init; } = 2_000_000;

    /// <summary>Bytes of the metadata of one targets role, whatever the snapshot says of its length.</summary>
    public int TargetsBytes { get; init; } = 5_000_000;
}
