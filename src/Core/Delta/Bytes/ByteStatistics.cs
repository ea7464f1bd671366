using System.Collections.Immutable;

namespace Coppice.Delta.Bytes;

/// <summary>How a frame's bytes were made, and what it costs to send.</summary>
/// <param name="Length">Bytes made.</param>
/// <param name="Payload">Bytes sent.</param>
/// <param name="FromOld">Bytes copied from old files.</param>
/// <param name="FromNew">Bytes copied from earlier in the new file.</param>
/// <param name="Agreeing">Bytes coded as the same as the old byte at their place.</param>
/// <param name="Coded">Bytes coded by themselves, or stored.</param>
/// <param name="Steps">Copies with the coded bytes after them.</param>
public readonly record struct ByteStatistics(long Length, long Payload, long FromOld, long FromNew, long Agreeing, long Coded, long Steps)
{
    /// <summary>The sum of both.</summary>
    public static ByteStatistics operator +(ByteStatistics left, ByteStatistics right) => new(
        left.Length + right.Length, left.Payload + right.Payload, left.FromOld + right.FromOld, left.FromNew + right.FromNew,
        left.Agreeing + right.Agreeing, left.Coded + right.Coded, left.Steps + right.Steps);

    /// <summary>The sum of both.</summary>
    public static ByteStatistics Add(ByteStatistics left, ByteStatistics right) => left + right;
}

/// <summary>A frame as it is sent.</summary>
/// <param name="Payload">What <see cref="ByteDecoder.Decode"/> takes.</param>
/// <param name="Statistics">How it was made.</param>
public readonly record struct ByteFrame(ImmutableArray<byte> Payload, ByteStatistics Statistics);
