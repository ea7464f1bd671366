namespace Coppice.Delta;

/// <summary>How hard the encoder tries.</summary>
public enum PatchLevel
{
    /// <summary>No low-rank prediction.</summary>
    Fast,
    /// <summary>Low-rank prediction up to rank 32.</summary>
    Default,
    /// <summary>More ranks and roundings are tried, on more rows.</summary>
    Max,
}

/// <summary>How a patch is made.</summary>
public sealed record PatchOptions
{
    /// <summary>How hard to try.</summary>
    public PatchLevel Level { get; init; } = PatchLevel.Default;

    /// <summary>Tensors that are worked on at once, 1 to 64. Sources must then be readable by several threads.</summary>
    public int Workers { get; init; } = 1;

    /// <summary>Runs work at once when there are several workers; one after the other if it is not given.</summary>
    public ForEach? Run { get; init; }

    /// <summary>Told the bytes of the new file that are done, now and then.</summary>
    public Action<long>? Progress { get; init; }
}
