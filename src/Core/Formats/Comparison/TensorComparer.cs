using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace Coppice.Formats.Comparison;

/// <summary>Compares tensors a window at a time: memory is the same for a kilobyte and for ten gigabytes.</summary>
sealed class TensorComparer
{
    const int WindowElements = 16 * 1024; // a multiple of every block
    const int WindowBytes = WindowElements * sizeof(double);
    const int Samples = 256;

    readonly byte[] oldBytes = new byte[WindowBytes], newBytes = new byte[WindowBytes];
    readonly double[] oldValues = new double[WindowElements], newValues = new double[WindowElements];

    public bool AreSame(IByteSource left, IByteSource right)
    {
        if (left.Length != right.Length)
            return false;
        for (var at = 0L; at < left.Length; at += WindowBytes)
        {
            var count = (int)Math.Min(WindowBytes, left.Length - at);
            left.Read(at, oldBytes.AsSpan(0, count));
            right.Read(at, newBytes.AsSpan(0, count));
            if (!oldBytes.AsSpan(0, count).SequenceEqual(newBytes.AsSpan(0, count)))
                return false;
        }
        return true;
    }

    public UInt128 Digest(IByteSource source)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        for (var at = 0L; at < source.Length; at += WindowBytes)
        {
            var count = (int)Math.Min(WindowBytes, source.Length - at);
            source.Read(at, oldBytes.AsSpan(0, count));
            hash.AppendData(oldBytes, 0, count);
        }
        return MemoryMarshal.Read<UInt128>(hash.GetHashAndReset());
    }

    /// <summary>How far the elements moved; null when there is nothing to compare them by.</summary>
    public ValueChange? Measure(TensorEntry left, IByteSource leftBytes, TensorEntry right, IByteSource rightBytes)
    {
        var decodable = ElementValues.IsDecodable(left.Type) && ElementValues.IsDecodable(right.Type);
        if (decodable && left.Elements == right.Elements && left.Elements > 0)
            return MeasureValues(left, leftBytes, right, rightBytes);
        return left.Type == right.Type && left.Length == right.Length && left.Length > 0 ? MeasureBytes(leftBytes, rightBytes) : null;
    }

    ValueChange MeasureValues(TensorEntry left, IByteSource leftBytes, TensorEntry right, IByteSource rightBytes)
    {
        var sameType = left.Type == right.Type;
        var inCodes = sameType && !left.Type.IsFloat() && !left.Type.IsBlock();
        double squares = 0, oldSquares = 0, largest = 0;
        var changed = 0L;
        for (var at = 0L; at < left.Elements; at += WindowElements)
        {
            var count = (int)Math.Min(WindowElements, left.Elements - at);
            var oldRun = Load(left, leftBytes, at, count, oldBytes, oldValues, inCodes || sameType);
            var newRun = Load(right, rightBytes, at, count, newBytes, newValues, inCodes || sameType);
            changed += sameType && !left.Type.IsBlock() && left.Type.Block().Elements == 1
                ? ChangedItems(oldRun, newRun, left.Type.Block().Bytes) : ChangedValues(count);
            for (var i = 0; i < count; i++)
            {
                var step = Math.Abs(newValues[i] - oldValues[i]);
                if (!double.IsFinite(step))
                    continue;
                largest = Math.Max(largest, step);
                squares += step * step;
                oldSquares += oldValues[i] * oldValues[i];
            }
        }
        double? relative = oldSquares > 0 ? Math.Sqrt(squares / oldSquares) : null;
        return new(inCodes ? ChangeUnit.Codes : ChangeUnit.Values, left.Elements, changed, largest, relative is { } share && double.IsFinite(share) ? share : null);
    }

    /// <summary>Reads and decodes a run of elements; codes become real numbers by their scale unless they are compared as codes.</summary>
    static ReadOnlySpan<byte> Load(TensorEntry tensor, IByteSource source, long first, int count, byte[] bytes, double[] values, bool asStored)
    {
        var block = tensor.Type.Block();
        var start = first / block.Elements * block.Bytes;
        var run = bytes.AsSpan(0, (count + block.Elements - 1) / block.Elements * block.Bytes);
        source.Read(start, run);
        ElementValues.Decode(tensor.Type, run, values.AsSpan(0, count));
        if (!asStored && tensor.Quantisation is { Slices: 1 } scale)
        {
            for (var i = 0; i < count; i++)
                values[i] = scale.Scale * (values[i] - scale.ZeroPoint);
        }
        return run;
    }

    long ChangedValues(int count)
    {
        var changed = 0L;
        for (var i = 0; i < count; i++)
            changed += oldValues[i].Equals(newValues[i]) ? 0 : 1;
        return changed;
    }

    static long ChangedItems(ReadOnlySpan<byte> left, ReadOnlySpan<byte> right, int size) => size switch
    {
        1 => Changed(left, right),
        2 => Changed(MemoryMarshal.Cast<byte, ushort>(left), MemoryMarshal.Cast<byte, ushort>(right)),
        4 => Changed(MemoryMarshal.Cast<byte, uint>(left), MemoryMarshal.Cast<byte, uint>(right)),
        _ => Changed(MemoryMarshal.Cast<byte, ulong>(left), MemoryMarshal.Cast<byte, ulong>(right)),
    };

    static long Changed<T>(ReadOnlySpan<T> left, ReadOnlySpan<T> right)
        where T : IEquatable<T>
    {
        var changed = 0L;
        for (var i = 0; i < left.Length; i++)
            changed += left[i].Equals(right[i]) ? 0 : 1;
        return changed;
    }

    ValueChange MeasureBytes(IByteSource left, IByteSource right)
    {
        var changed = 0L;
        for (var at = 0L; at < left.Length; at += WindowBytes)
        {
            var count = (int)Math.Min(WindowBytes, left.Length - at);
            left.Read(at, oldBytes.AsSpan(0, count));
            right.Read(at, newBytes.AsSpan(0, count));
            changed += Changed<byte>(oldBytes.AsSpan(0, count), newBytes.AsSpan(0, count));
        }
        return new(ChangeUnit.Bytes, left.Length, changed, null, null);
    }

    /// <summary>Elements, or bytes where the type is not decoded, at even steps through the tensor.</summary>
    public float[] Sample(TensorEntry tensor, IByteSource source)
    {
        var decodable = ElementValues.IsDecodable(tensor.Type);
        var block = decodable ? tensor.Type.Block() : new BlockLayout(1, 1);
        var blocks = (decodable ? tensor.Length / block.Bytes : tensor.Length);
        var sample = new float[(int)Math.Min(blocks, Samples)];
        for (var i = 0; i < sample.Length; i++)
        {
            var run = oldBytes.AsSpan(0, block.Bytes);
            source.Read((long)((Int128)blocks * i / sample.Length) * block.Bytes, run);
            if (decodable)
                ElementValues.Decode(tensor.Type, run, oldValues.AsSpan(0, block.Elements));
            sample[i] = decodable ? (float)oldValues[0] : run[0];
        }
        return sample;
    }
}
