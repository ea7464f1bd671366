using Coppice.Delta.Entropy;
using Coppice.Delta.Tensors;

namespace Coppice.Delta.Planning;

/// <summary>Codes records of one length by the byte, against the old ones or by themselves.</summary>
static class StridedWork
{
    public static CodedTensor Code(ReadOnlySpan<byte> bytes, ReadOnlySpan<byte> old, long oldOffset, int stride)
    {
        var differences = Differences(bytes, old);
        var useOld = differences.Length != 0 && Cost(differences, stride) < Cost(bytes, stride);
        var tensor = new TensorRecord
        {
            Technique = Technique.Strided,
            Lattice = Lattice.Of(LatticeKind.UInt8),
            Elements = bytes.Length,
            Columns = stride,
            Flags = useOld ? TensorFlags.Old : TensorFlags.None,
            OldOffset = useOld ? oldOffset : 0,
            OldLattice = Lattice.Of(LatticeKind.UInt8),
        };
        var frames = new List<CodedFrame>();
        for (var start = 0; start < bytes.Length; start += tensor.ElementsPerFrame)
        {
            var count = Math.Min(tensor.ElementsPerFrame, bytes.Length - start);
            var made = bytes.Slice(start, count);
            if (useOld && made.SequenceEqual(old.Slice(start, count)))
            {
                frames.Add(new(FrameMode.Exact, null, [], [], [], Checksum.Of(made)));
                continue;
            }
            var contexts = new byte[count];
            Strided.Contexts(tensor, start, count, contexts);
            frames.Add(new(FrameMode.Coded, new(), contexts, useOld ? differences.AsSpan(start, count).ToArray() : made.ToArray(), [], Checksum.Of(made)));
        }
        return new(tensor, new(), frames);
    }

    /// <summary>About the bits that the records take.</summary>
    public static double Bits(ReadOnlySpan<byte> bytes, ReadOnlySpan<byte> old, int stride)
    {
        var differences = Differences(bytes, old);
        return differences.Length == 0 ? Cost(bytes, stride) : Math.Min(Cost(bytes, stride), Cost(differences, stride));
    }

    /// <summary>New less old bytes; empty when there are not as many old ones.</summary>
    static byte[] Differences(ReadOnlySpan<byte> bytes, ReadOnlySpan<byte> old)
    {
        if (old.Length != bytes.Length)
            return [];
        var differences = new byte[bytes.Length];
        for (var i = 0; i < bytes.Length; i++)
            differences[i] = (byte)(bytes[i] - old[i]);
        return differences;
    }

    static double Cost(ReadOnlySpan<byte> symbols, int stride)
    {
        var counts = new Histogram();
        for (var i = 0; i < symbols.Length; i++)
            counts.Add((byte)Math.Min(255, i % stride), symbols[i]);
        return counts.Entropy(6);
    }
}
