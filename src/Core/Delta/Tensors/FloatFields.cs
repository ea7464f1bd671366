using System.Runtime.CompilerServices;
using Coppice.Delta.Entropy;

namespace Coppice.Delta.Tensors;

/// <summary>Floats coded by themselves: exponent relative to the scales of row and column, sign and two mantissa bits as one symbol, the rest raw.</summary>
/// <remarks>
/// A symbol is class × 8 + leading mantissa bits × 2 + sign. Class 0 is zero, class 1 an element whose bits follow as they are,
/// 2 to 31 the exponent less the scale's, plus 24. With an old tensor the sign is that of new × old, and the context is the
/// old exponent less the scale's (16 classes), its two leading mantissa bits and the scale's half octave.
/// </remarks>
static class FloatFields
{
    const int Leading = 2;
    const int ZeroClass = 0;
    const int EscapeClass = 1;
    const int ClassOfScale = 24;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Contexts(TensorRecord tensor, FrameScratch scratch, int first, int count)
    {
        var lattice = tensor.Lattice;
        for (int start = 0, row = first / tensor.Columns, column = first % tensor.Columns; start < count; row++, column = 0)
        {
            var length = Math.Min(count - start, tensor.Columns - column);
            for (var i = 0; i < length; i++)
            {
                var scale = scratch.RowScales[row] + tensor.ScaleBase + (tensor.ColumnScales.Length == 0 ? 0 : tensor.ColumnScales[column + i]);
                // The prediction is the scale itself; it is kept for the second pass.
                scratch.Predicted[start + i] = (uint)(scale >> 1);
                scratch.Contexts[start + i] = Context(lattice, tensor.HasOld, scratch.Old[start + i], scale);
            }
            start += length;
        }
    }

    static byte Context(Lattice lattice, bool hasOld, uint old, int scale)
    {
        if (!hasOld)
            return (byte)(scale & 1);
        var exponent = (int)(old >> lattice.Mantissa) & ((1 << lattice.Exponent) - 1);
        var size = Math.Clamp(exponent - (scale >> 1), -12, 3) + 12;
        return (byte)(size << 3 | (int)(old >> (lattice.Mantissa - Leading) & 3) << 1 | (scale & 1));
    }

    public static void Code(TensorRecord tensor, FrameScratch scratch, int count, BitWriter raw)
    {
        var lattice = tensor.Lattice;
        for (var i = 0; i < count; i++)
        {
            var bits = scratch.New[i];
            scratch.Symbols[i] = Symbol(tensor, bits, scratch.Old[i], (int)scratch.Predicted[i]);
            switch (scratch.Symbols[i] >> 3)
            {
                case ZeroClass:
                    break;
                case EscapeClass:
                    raw.Write(bits, lattice.Bits);
                    break;
                default:
                    raw.Write(bits & ((1u << (lattice.Mantissa - Leading)) - 1), lattice.Mantissa - Leading);
                    break;
            }
        }
    }

    static byte Symbol(TensorRecord tensor, uint bits, uint old, int scale)
    {
        var lattice = tensor.Lattice;
        var sign = (tensor.HasOld ? bits ^ old : bits) >> (lattice.Bits - 1) & 1;
        var magnitude = bits & lattice.Mask >> 1;
        if (magnitude == 0)
            return (byte)(ZeroClass << 3 | sign);
        var kind = (int)(magnitude >> lattice.Mantissa) - scale + ClassOfScale;
        return kind is > EscapeClass and < 32
            ? (byte)(kind << 3 | (int)(magnitude >> (lattice.Mantissa - Leading) & 3) << 1 | (int)sign)
            : (byte)(EscapeClass << 3);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Rebuild(TensorRecord tensor, FrameScratch scratch, int count, ref BitReader bits)
    {
        var lattice = tensor.Lattice;
        var reader = bits;
        var signShift = lattice.Bits - 1;
        var low = lattice.Mantissa - Leading;
        for (var i = 0; i < count; i++)
        {
            var symbol = scratch.Symbols[i];
            var sign = (uint)(symbol & 1) ^ (tensor.HasOld ? scratch.Old[i] >> signShift & 1 : 0);
            var kind = symbol >> 3;
            scratch.New[i] = kind switch
            {
                ZeroClass => sign << signShift,
                EscapeClass => reader.Read(lattice.Bits),
                _ => (sign << signShift | ((uint)(kind - ClassOfScale + (int)scratch.Predicted[i]) << Leading | (uint)(symbol >> 1 & 3)) << low | reader.Read(low)) & lattice.Mask,
            };
        }
        bits = reader;
    }
}
