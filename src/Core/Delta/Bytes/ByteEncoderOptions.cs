namespace Coppice.Delta.Bytes;

/// <summary>How much time at the device a smaller frame is worth.</summary>
public enum ByteEffort
{
    /// <summary>The fast coding, unless the frame's coded bytes are few or the strong one saves <see cref="ByteEncoderOptions.StrongGain"/>.</summary>
    Balanced,
    /// <summary>Always what is fastest to apply.</summary>
    Fast,
    /// <summary>Always what is smallest.</summary>
    Small,
}

/// <summary>What an encoder may spend.</summary>
public sealed record ByteEncoderOptions
{
    /// <summary>How the coding of a frame is chosen.</summary>
    public ByteEffort Effort { get; init; }

    /// <summary>Coded bytes per frame up to which the strong coding is used whenever it is smaller: at about 1 MB/s they take so many microseconds.</summary>
    public int StrongBytes { get; init; } = 1 << 15;

    /// <summary>Share of the fast payload that the strong coding must save in frames with more coded bytes, 0 to 1.</summary>
    public double StrongGain { get; init; } = 0.025;
}
