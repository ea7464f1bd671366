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
            worst = Math.Max(worst, Difference(expected.Values.AsSpan(), values));
        }

        return worst;
    }

    /// <summary>Compares what two releases answered to the same inputs.</summary>
    /// <param name="answered">What was answered.</param>
    /// <param name="other">What the other release would have answered.</param>
    /// <returns>Null where they cannot be compared: another number of outputs, or of another type or shape, or with no plain numbers in the first.</returns>
    public static AnswerComparison? Compare(InferenceResult answered, InferenceResult other)
    {
        if (answered.Count != other.Count || answered.Count == 0)
            return null;
        var (agrees, largest) = (false, 0.0);
        for (var output = 0; output < answered.Count; output++)
        {
            var type = answered.TypeOf(output);
            if (type != other.TypeOf(output) || !answered.ShapeOf(output).SequenceEqual(other.ShapeOf(output)))
                return null;
            if (type.BitsPerElement() < 8)
            {
                if (output == 0)
                    return null;
                continue; // strings and packed numbers beside an answer that can be compared
            }

            var wanted = Values(answered, output);
            var found = Values(other, output);
            var difference = Difference(wanted, found);
            largest = Math.Max(largest, difference);
            if (output == 0)
                agrees = difference <= Tolerance || (IsFloat(type) && SameLargest(wanted, found, answered.ShapeOf(0)));
        }

        return new(agrees, largest);
    }

    static bool IsFloat(ElementType type) => type is ElementType.Float32 or ElementType.Float64 or ElementType.Float16 or ElementType.BFloat16;

    /// <summary>Whether each row, along the last dimension, has its largest element at the same place; false where rows have one element.</summary>
    static bool SameLargest(ReadOnlySpan<float> a, ReadOnlySpan<float> b, ReadOnlySpan<long> shape)
    {
        if (shape.Length == 0 || shape[^1] < 2)
            return false;
        var row = (int)shape[^1];
        for (; !a.IsEmpty; a = a[row..], b = b[row..])
        {
            if (Largest(a[..row]) != Largest(b[..row]))
                return false;
        }

        return true;
    }

    /// <summary>Largest difference relative to max(1, |wanted|); NaN kept as infinite.</summary>
    static double Difference(ReadOnlySpan<float> wanted, ReadOnlySpan<float> found)
    {
        var worst = 0.0;
        for (var i = 0; i < wanted.Length; i++)
        {
            if (found[i].Equals(wanted[i])) // also the same infinity, and NaN where NaN was wanted
                continue;
            var error = Math.Abs((double)found[i] - wanted[i]) / Math.Max(1, Math.Abs((double)wanted[i]));
            worst = double.IsNaN(error) ? double.PositiveInfinity : Math.Max(worst, error);
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

/// <summary>How an answer compares with the one that was given.</summary>
/// <param name="Agrees">Whether the first output says the same: each row's largest element at the same place, or every value within <see cref="Answer.Tolerance"/>.</param>
/// <param name="Difference">Largest difference over all outputs, relative to max(1, |answered|); infinite for NaN.</param>
public readonly record struct AnswerComparison(bool Agrees, double Difference);
