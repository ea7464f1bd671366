using Coppice.Delta.Tensors;

namespace Coppice.Delta.Planning;

/// <summary>Values of float bits, for measuring.</summary>
static class FloatValue
{
    /// <summary>The value; 0 for infinities and NaN.</summary>
    public static float Finite(Lattice lattice, uint bits)
    {
        switch (lattice.Kind)
        {
            case LatticeKind.Float32:
                return (bits & 0x7F800000) == 0x7F800000 ? 0 : BitConverter.UInt32BitsToSingle(bits);
            case LatticeKind.BFloat16:
                return (bits & 0x7F80) == 0x7F80 ? 0 : BitConverter.UInt32BitsToSingle(bits << 16);
            case LatticeKind.Float16:
                return (bits & 0x7C00) == 0x7C00 ? 0 : (float)BitConverter.UInt16BitsToHalf((ushort)bits);
            default:
                var exponent = (int)(bits >> lattice.Mantissa) & ((1 << lattice.Exponent) - 1);
                var mantissa = bits & ((1u << lattice.Mantissa) - 1);
                var magnitude = exponent == 0
                    ? MathF.ScaleB(mantissa, 1 - lattice.Bias - lattice.Mantissa)
                    : MathF.ScaleB(mantissa | 1u << lattice.Mantissa, exponent - lattice.Bias - lattice.Mantissa);
                return bits >> (lattice.Bits - 1) != 0 ? -magnitude : magnitude;
        }
    }

    /// <summary>The value; 0 where sums of squares of such would be no numbers in binary32.</summary>
    public static float Factorable(float value) => Math.Abs(value) < 1e18f ? value : 0;

    public static float[] Of(Elements elements)
    {
        var values = new float[elements.Words.Length];
        for (var i = 0; i < values.Length; i++)
            values[i] = Finite(elements.Lattice, elements.Words[i]);
        return values;
    }
}
