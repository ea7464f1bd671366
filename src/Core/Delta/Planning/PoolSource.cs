using Coppice.Formats;

namespace Coppice.Delta.Planning;

/// <summary>The bytes between tensors, joined.</summary>
sealed class PoolSource(IByteSource made, List<(long Offset, long Length)> ranges)
{
    int range;
    long used;

    /// <summary>The next bytes of the pool, at most so many.</summary>
    public (MemorySource Bytes, int Count) Next(int most)
    {
        var bytes = new byte[most];
        var count = 0;
        while (range < ranges.Count && count < most)
        {
            var (offset, length) = ranges[range];
            var part = bytes.AsSpan(count, (int)Math.Min(most - count, length - used));
            made.Read(offset + used, part);
            count += part.Length;
            used += part.Length;
            if (used == length)
                (range, used) = (range + 1, 0);
        }
        return (new(bytes.AsMemory(0, count)), count);
    }
}
