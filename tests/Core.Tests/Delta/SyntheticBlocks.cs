using System.Buffers.Binary;
using Coppice.Formats;
using static Coppice.Formats.ElementType;

namespace Coppice.Core.Tests.Delta;

/// <summary>Quantises numbers to GGUF's blocks, laid out as ggml-common.h says, without ggml's search for better scales. Slow and plain: a second account of every layout.</summary>
static class SyntheticBlocks
{
    static readonly int[] nonLinear = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

    /// <summary>Magnitudes of MXFP4, doubled; the fourth bit is the sign.</summary>
    static readonly int[] float4 = [0, 1, 2, 3, 4, 6, 8, 12];

    public static ElementType[] Types => [Q4_1, Q5_0, Q5_1, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, IQ4_NL, IQ4_XS, MXFP4, TQ2_0];

    public static byte[] Encode(ElementType type, float[] values)
    {
        var (elements, size) = (type.Block().Elements, type.Block().Bytes);
        var bytes = new byte[values.Length / elements * size];
        for (var block = 0; block < values.Length / elements; block++)
            Encode(type, values.AsSpan(block * elements, elements), bytes.AsSpan(block * size, size));
        return bytes;
    }

    static void Encode(ElementType type, ReadOnlySpan<float> values, Span<byte> block)
    {
        var group = type is Q2_K or Q3_K or Q6_K ? 16 : type == TQ2_0 ? 256 : 32;
        var bits = type switch { Q2_K => 2, Q3_K => 3, Q5_0 or Q5_1 or Q5_K => 5, Q6_K => 6, TQ2_0 => 2, _ => 4 };
        var (steps, minima) = (new float[values.Length / group], new float[values.Length / group]);
        for (var g = 0; g < steps.Length; g++)
            (steps[g], minima[g]) = Range(type, values.Slice(g * group, group), bits);
        Heads(type, steps, minima, block);
        for (var i = 0; i < values.Length; i++)
        {
            var (step, minimum) = (steps[i / group], minima[i / group]);
            var x = step == 0 ? 0 : (values[i] + minimum) / step;
            var code = type switch
            {
                IQ4_NL or IQ4_XS => Nearest(nonLinear, x),
                MXFP4 => Nearest(float4, Math.Abs(x)) is var magnitude && x < 0 && magnitude != 0 ? magnitude + 8 : magnitude,
                TQ2_0 => (int)Math.Round(x) + 1,
                Q5_0 or Q3_K or Q6_K => (int)Math.Clamp(Math.Round(x) + (1 << bits >> 1), 0, (1 << bits) - 1),
                _ => (int)Math.Clamp(Math.Round(x), 0, (1 << bits) - 1),
            };
            Put(type, block, i, code);
        }
    }

    /// <summary>What a group's step and minimum would be if they could be any numbers.</summary>
    static (float Step, float Minimum) Range(ElementType type, ReadOnlySpan<float> values, int bits)
    {
        var (low, high) = (values.ToArray().Min(), values.ToArray().Max());
        var extreme = -low > high ? low : high;
        return type switch
        {
            Q4_1 or Q5_1 => ((high - low) / ((1 << bits) - 1), -low),
            Q2_K or Q4_K or Q5_K => ((high - Math.Min(0, low)) / ((1 << bits) - 1), -Math.Min(0, low)),
            IQ4_NL or IQ4_XS => (extreme / -127, 0),
            MXFP4 => (extreme == 0 ? 0 : MathF.ScaleB(1, (int)MathF.Floor(MathF.Log2(Math.Abs(extreme))) - 3), 0),
            TQ2_0 => (Math.Abs(extreme), 0),
            _ => (extreme / -(1 << bits >> 1), 0),
        };
    }

    static int Nearest(int[] values, float x)
    {
        var best = 0;
        for (var i = 1; i < values.Length; i++)
            best = Math.Abs(x - values[i]) < Math.Abs(x - values[best]) ? i : best;
        return best;
    }

    /// <summary>Writes steps and minima, and makes them what was written.</summary>
    static void Heads(ElementType type, float[] steps, float[] minima, Span<byte> block)
    {
        switch (type)
        {
            case Q5_0 or IQ4_NL:
                steps[0] = Half(steps[0], block);
                break;
            case TQ2_0:
                steps[0] = Half(steps[0], block[64..]);
                break;
            case Q4_1 or Q5_1:
                (steps[0], minima[0]) = (Half(steps[0], block), -Half(-minima[0], block[2..]));
                break;
            case MXFP4:
                block[0] = (byte)(steps[0] == 0 ? 0 : (int)MathF.Log2(steps[0]) + 128);
                break;
            case Q2_K:
                var (s, m) = (Scales(steps, 15, 0, block[80..]), Scales(minima, 15, 0, block[82..]));
                for (var g = 0; g < 16; g++)
                    block[g] = (byte)(s[g] | m[g] << 4);
                break;
            case Q3_K:
                s = Scales(steps, -32, 32, block[108..]);
                for (var g = 0; g < 16; g++)
                {
                    block[96 + g % 8] |= (byte)((s[g] & 15) << (g / 8 * 4));
                    block[104 + g % 4] |= (byte)((s[g] >> 4) << (g / 4 * 2));
                }
                break;
            case Q4_K or Q5_K:
                (s, m) = (Scales(steps, 63, 0, block), Scales(minima, 63, 0, block[2..]));
                for (var g = 0; g < 4; g++)
                {
                    block[4 + g] = (byte)(s[g] | s[4 + g] >> 4 << 6);
                    block[8 + g] = (byte)(m[g] | m[4 + g] >> 4 << 6);
                    block[12 + g] = (byte)(s[4 + g] & 15 | (m[4 + g] & 15) << 4);
                }
                break;
            case Q6_K:
                s = Scales(steps, -128, 0, block[208..]);
                for (var g = 0; g < 16; g++)
                    block[192 + g] = (byte)s[g];
                break;
            case IQ4_XS:
                s = Scales(steps, -32, 32, block);
                for (var g = 0; g < 8; g++)
                {
                    block[4 + g / 2] |= (byte)((s[g] & 15) << (g % 2 * 4));
                    block[2 + g / 4] |= (byte)((s[g] >> 4) << (g % 4 * 2));
                }
                break;
        }
    }

    /// <summary>Steps as multiples of the largest one's <paramref name="most"/>th part, which is written.</summary>
    static int[] Scales(float[] steps, int most, int zero, Span<byte> block)
    {
        var largest = steps.MaxBy(Math.Abs);
        var unit = Half(largest / most, block);
        var scales = Array.ConvertAll(steps, step => unit == 0 ? 0 : (int)Math.Clamp(Math.Round(step / unit), Math.Min(most, -most - 1), Math.Abs(most) - (most < 0 ? 1 : 0)));
        for (var g = 0; g < steps.Length; g++)
            steps[g] = unit * scales[g];
        return Array.ConvertAll(scales, scale => scale + zero);
    }

    static float Half(float value, Span<byte> block)
    {
        BinaryPrimitives.WriteHalfLittleEndian(block, (Half)value);
        return (float)(Half)value;
    }

    static void Put(ElementType type, Span<byte> block, int i, int code)
    {
        switch (type)
        {
            case Q4_1 or IQ4_NL or MXFP4:
                block[(type == Q4_1 ? 4 : type == IQ4_NL ? 2 : 1) + i % 16] |= (byte)(code << (i / 16 * 4));
                break;
            case Q5_0 or Q5_1:
                var high = type == Q5_0 ? 2 : 4;
                block[high + 4 + i % 16] |= (byte)((code & 15) << (i / 16 * 4));
                block[high + i / 8] |= (byte)(code >> 4 << (i % 8));
                break;
            case Q2_K or TQ2_0:
                block[(type == Q2_K ? 16 : 0) + i / 128 * 32 + i % 32] |= (byte)(code << (i / 32 % 4 * 2));
                break;
            case Q3_K:
                block[32 + i / 128 * 32 + i % 32] |= (byte)((code & 3) << (i / 32 % 4 * 2));
                block[i % 32] |= (byte)(code >> 2 << (i / 32));
                break;
            case Q4_K or Q5_K:
                block[(type == Q4_K ? 16 : 48) + i / 64 * 32 + i % 32] |= (byte)((code & 15) << (i / 32 % 2 * 4));
                if (type == Q5_K)
                    block[16 + i % 32] |= (byte)(code >> 4 << (i / 32));
                break;
            case Q6_K:
                block[i / 128 * 64 + i % 64] |= (byte)((code & 15) << (i / 64 % 2 * 4));
                block[128 + i / 128 * 32 + i % 32] |= (byte)(code >> 4 << (i / 32 % 4 * 2));
                break;
            case IQ4_XS:
                block[8 + i / 32 * 16 + i % 16] |= (byte)(code << (i / 16 % 2 * 4));
                break;
        }
    }
}
