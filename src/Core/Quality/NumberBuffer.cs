using System.Buffers.Binary;
using System.Collections.Immutable;
using Coppice.Formats;
using Coppice.Inference;

namespace Coppice.Quality;

/// <summary>Numbers from a text or another type, put into the element type and shape that a model's input wants.</summary>
public static class NumberBuffer
{
    /// <summary>Makes the tensor for an input; a sample without the batch dimension gets one of 1.</summary>
    /// <param name="spec">What the model wants.</param>
    /// <param name="shape">What the sample has.</param>
    /// <param name="values">Row-major.</param>
    /// <param name="tensor">The tensor when it fits.</param>
    /// <param name="misfit">What does not fit, in words for a person; empty when it fits.</param>
    public static bool TryFit(TensorSpec spec, ReadOnlySpan<long> shape, ReadOnlySpan<double> values, out Tensor tensor, out string misfit)
    {
        tensor = default;
        ImmutableArray<long> full = spec.Shape.Length == shape.Length + 1 && spec.Shape[0] is -1 or 1 ? [1, .. shape] : [.. shape];
        var fits = full.Length == spec.Shape.Length;
        for (var i = 0; fits && i < full.Length; i++)
            fits = spec.Shape[i] < 0 || spec.Shape[i] == full[i];
        if (!fits)
        {
            misfit = $"the sample is [{string.Join(", ", shape.ToArray())}], but the model's input is {spec}.";
            return false;
        }

        var size = spec.Type.BitsPerElement() / 8;
        if (size == 0)
        {
            misfit = $"inputs of type {spec.Type} cannot be given as numbers.";
            return false;
        }

        var bytes = new byte[values.Length * size];
        for (var i = 0; i < values.Length; i++)
        {
            if (!Write(spec.Type, values[i], bytes.AsSpan(i * size)))
            {
                misfit = $"element {i} is {values[i]}, which {spec.Type} cannot hold.";
                return false;
            }
        }

        tensor = Tensor.Of(spec.Type, full.AsSpan(), bytes);
        misfit = "";
        return true;
    }

    static bool Write(ElementType type, double value, Span<byte> bytes)
    {
        switch (type)
        {
            case ElementType.Float32:
                BinaryPrimitives.WriteSingleLittleEndian(bytes, (float)value);
                return true;
            case ElementType.Float64:
                BinaryPrimitives.WriteDoubleLittleEndian(bytes, value);
                return true;
            case ElementType.Float16:
                BinaryPrimitives.WriteHalfLittleEndian(bytes, (Half)value);
                return true;
            case ElementType.BFloat16:
                var bits = BitConverter.SingleToUInt32Bits((float)value);
                BinaryPrimitives.WriteUInt16LittleEndian(bytes, (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16)); // to the nearest, ties to even
                return true;
        }

        if (value != Math.Truncate(value))
            return false;
        switch (type)
        {
            case ElementType.Bool when value is 0 or 1:
            case ElementType.UInt8 when value is >= 0 and <= byte.MaxValue:
                bytes[0] = (byte)value;
                return true;
            case ElementType.Int8 when value is >= sbyte.MinValue and <= sbyte.MaxValue:
                bytes[0] = (byte)(sbyte)value;
                return true;
            case ElementType.Int16 when value is >= short.MinValue and <= short.MaxValue:
                BinaryPrimitives.WriteInt16LittleEndian(bytes, (short)value);
                return true;
            case ElementType.UInt16 when value is >= 0 and <= ushort.MaxValue:
                BinaryPrimitives.WriteUInt16LittleEndian(bytes, (ushort)value);
                return true;
            case ElementType.Int32 when value is >= int.MinValue and <= int.MaxValue:
                BinaryPrimitives.WriteInt32LittleEndian(bytes, (int)value);
                return true;
            case ElementType.UInt32 when value is >= 0 and <= uint.MaxValue:
                BinaryPrimitives.WriteUInt32LittleEndian(bytes, (uint)value);
                return true;
            case ElementType.Int64 when Math.Abs(value) <= 1L << 53: // beyond, a double is no longer the number that was written
                BinaryPrimitives.WriteInt64LittleEndian(bytes, (long)value);
                return true;
            case ElementType.UInt64 when value is >= 0 and <= 1L << 53:
                BinaryPrimitives.WriteUInt64LittleEndian(bytes, (ulong)value);
                return true;
            default:
                return false;
        }
    }
}
