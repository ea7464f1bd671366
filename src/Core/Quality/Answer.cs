using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Coppice.Formats;
using Coppice.Inference;

namespace Coppice.Quality;

/// <summary>Compares what a model answered with what it should have.</summary>
public static class Answer
{
    /// <summary>How far an expected value may be missed and still be right: this much of max(1, |expected|).</summary>
    public const double Tolerance = 1e-3;

    /// <summary>Whether the answer is right: the label's element is the largest (the first of equals), and every expected output is met within <see cref="Tolerance"/>.</summary>
    public static bool IsRight(Sample sample, InferenceResult answer)
    {
        if (sample.Label is { } label && Largest(Values(answer, 0)) != label)
            return false;
        return sample.Expected.IsEmpty ? sample.Label is not null : Error(sample, answer) <= Tolerance;
    }

    /// <summary>Largest difference from the expected outputs, relative to max(1, |expected|); infinite when a size differs, NaN kept as infinite.</summary>
    public static double Error(Sample sample, InferenceResult answer)
    {
        var worst = 0.0;
        foreach (var expected in sample.Expected)
        {
            var values = Values(answer, expected.Output);
            if (values.Length != expected.Values.Length)
                return double.PositiveInfinity;
            for (var i = 0; i < values.Length; i++)
            {
                var (found, wanted) = (values[i], expected.Values[i]);
                if (found.Equals(wanted)) // also the same infinity, and NaN where NaN was recorded
                    continue;
                var error = Math.Abs((double)found - wanted) / Math.Max(1, Math.Abs((double)wanted));
                worst = double.IsNaN(error) ? double.PositiveInfinity : Math.Max(worst, error);
            }
        }

        return worst;
    }

    static int Largest(ReadOnlySpan<float> values)
    {
        var largest = -1;
        for (var i = 0; i < values.Length; i++)
        {
            if (!float.IsNaN(values[i]) && (largest < 0 || values[i] > values[largest]))
                largest = i;
        }

        return largest;
    }

    /// <summary>The elements of an output as 32-bit floats.</summary>
    /// <exception cref="NotSupportedException">The output has no numbers, or of a type that is compared nowhere.</exception>
    public static ReadOnlySpan<float> Values(InferenceResult answer, int output)
    {
        var type = answer.TypeOf(output);
        var bytes = answer.BytesOf(output);
        if (type == ElementType.Float32)
            return MemoryMarshal.Cast<byte, float>(bytes);
        if (type.BitsPerElement() < 8)
            throw new NotSupportedException($"output {output} is {type}; accuracy is measured on plain numbers only.");
        var size = type.BitsPerElement() / 8;
        var values = new float[bytes.Length / size];
        for (var i = 0; i < values.Length; i++)
            values[i] = Value(type, bytes[(i * size)..]);
        return values;
    }

    static float Value(ElementType type, ReadOnlySpan<byte> bytes) => type switch
    {
        ElementType.Float64 => (float)BinaryPrimitives.ReadDoubleLittleEndian(bytes),
        ElementType.Float16 => (float)BinaryPrimitives.ReadHalfLittleEndian(bytes),
        ElementType.BFloat16 => BitConverter.UInt32BitsToSingle((uint)BinaryPrimitives.ReadUInt16LittleEndian(bytes) << 16),
        ElementType.Int8 => (sbyte)bytes[0],
        ElementType.UInt8 or ElementType.Bool => bytes[0],
        ElementType.Int16 => BinaryPrimitives.ReadInt16LittleEndian(bytes),
        ElementType.UInt16 => BinaryPrimitives.ReadUInt16LittleEndian(bytes),
        ElementType.Int32 => BinaryPrimitives.ReadInt32LittleEndian(bytes),
        ElementType.UInt32 => BinaryPrimitives.ReadUInt32LittleEndian(bytes),
        ElementType.Int64 => BinaryPrimitives.ReadInt64LittleEndian(bytes),
        ElementType.UInt64 => BinaryPrimitives.ReadUInt64LittleEndian(bytes),
        _ => throw new NotSupportedException($"{type} outputs are not compared; accuracy is measured on plain numbers only."),
    };
}
