using System.Buffers.Binary;
using System.Runtime.CompilerServices;

namespace Coppice.Delta.Bytes;

/// <summary>Tells frames in which there is nothing to find: as even as noise by every simple measure, and without a string that came before.</summary>
/// <remarks>Compressed or encrypted files would else be searched for minutes, to be stored as they are.</remarks>
static class Noise
{
    /// <summary>A shorter frame costs little, and its histograms say little.</summary>
    public const int ShortestFrame = 1 << 14;

    /// <summary>Bits a byte from which on it is noise: coding could save less than 1 %.</summary>
    const double Bits = 7.95;

    const int Lanes = 4;
    const int Distances = 4;
    const int StringLength = 32;
    const int Step = 16;
    const int TableBits = 16;

    /// <summary>Whether coding the frame can save next to nothing.</summary>
    /// <param name="text">A text whose last part holds the frame; indexed before it.</param>
    /// <param name="place">Where the frame begins in the text.</param>
    /// <param name="length">Its bytes.</param>
    public static bool Is(MatchText text, int place, int length) =>
        length >= ShortestFrame && IsEven(text.Slice(place, length)) && !ComesAgain(text.Slice(place, length)) && !CameBefore(text, place, length);

    /// <summary>Whether bytes are evenly spread: at each place of a word, and as differences to those one to four before.</summary>
    static bool IsEven(ReadOnlySpan<byte> frame)
    {
        Span<int> counts = stackalloc int[256];
        for (var lane = 0; lane < Lanes; lane++)
        {
            counts.Clear();
            for (var i = lane; i < frame.Length; i += Lanes)
                counts[frame[i]]++;
            if (Entropy(counts) < Bits)
                return false;
        }

        for (var distance = 1; distance <= Distances; distance++)
        {
            counts.Clear();
            for (var i = distance; i < frame.Length; i++)
                counts[(byte)(frame[i] - frame[i - distance])]++;
            if (Entropy(counts) < Bits)
                return false;
        }

        return true;
    }

    static double Entropy(ReadOnlySpan<int> counts)
    {
        var (total, sum) = (0L, 0.0);
        foreach (var count in counts)
        {
            total += count;
            if (count > 0)
                sum += count * Math.Log2(count);
        }

        // A sample looks less even than what it is of: Miller and Madow's correction for 256 values.
        return Math.Log2(total) - sum / total + 255 / (2 * Math.Log(2) * total);
    }

    /// <summary>Whether a string of the frame is in it twice; found from <see cref="StringLength"/> bytes on.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static bool ComesAgain(ReadOnlySpan<byte> frame)
    {
        var table = new int[1 << TableBits]; // one more than the place
        for (var i = 0; i + Step <= frame.Length; i++)
        {
            ref var entry = ref table[(int)(BinaryPrimitives.ReadUInt64LittleEndian(frame[i..]) * 0x9E3779B97F4A7C15UL >> (64 - TableBits))];
            if (entry > 0 && frame.Slice(entry - 1, Step).SequenceEqual(frame.Slice(i, Step)))
                return true;
            if (i % Step == 0)
                entry = i + 1;
        }

        return false;
    }

    /// <summary>Whether a string of the frame is in the text before it. A run is found when it is as long as two of the text's steps and a string.</summary>
    static bool CameBefore(MatchText text, int place, int length)
    {
        for (var i = place; i + StringLength <= place + length; i++)
        {
            foreach (var at in text.Long(i))
            {
                if (at >= 0 && at < place && text.Equal(at, i, StringLength) == StringLength)
                    return true;
            }
        }

        return false;
    }
}
