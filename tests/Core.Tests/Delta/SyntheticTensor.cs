using System.Buffers.Binary;
using System.Collections.Immutable;
using Coppice.Formats;

namespace Coppice.Core.Tests.Delta;

/// <summary>Tensors made from a seed, with the bytes that a model file would hold.</summary>
/// <param name="Name">Its name in the file.</param>
/// <param name="Type">How elements are stored.</param>
/// <param name="Shape">Outermost first.</param>
/// <param name="Bytes">The elements.</param>
sealed record SyntheticTensor(string Name, ElementType Type, long[] Shape, byte[] Bytes)
{
    public static SyntheticTensor Of(string name, ElementType type, long[] shape, float[] values) => new(name, type, shape, Encode(type, values));

    /// <summary>Normal numbers, a tenth of the rows ten times as large.</summary>
    public static float[] Normal(Random random, int rows, int columns, double size)
    {
        var values = new float[rows * columns];
        for (var i = 0; i < values.Length; i++)
            values[i] = (float)(Gauss(random) * size * (i / columns % 10 == 3 ? 10 : 1));
        return values;
    }

    /// <summary>values + left × right + noise, as a fine-tune does.</summary>
    public static float[] Tuned(Random random, float[] values, int rows, int columns, int rank, double size, double noise)
    {
        var (left, right) = (new double[rows * rank], new double[columns * rank]);
        foreach (var factor in (double[][])[left, right])
            for (var i = 0; i < factor.Length; i++)
                factor[i] = Gauss(random) * Math.Sqrt(size / Math.Sqrt(Math.Max(1, rank)));
        var tuned = new float[values.Length];
        for (var i = 0; i < tuned.Length; i++)
        {
            var change = Gauss(random) * noise;
            for (var k = 0; k < rank; k++)
                change += left[i / columns * rank + k] * right[i % columns * rank + k];
            tuned[i] = (float)(values[i] + change);
        }
        return tuned;
    }

    static double Gauss(Random random) => Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());

    static byte[] Encode(ElementType type, float[] values)
    {
        var scale = values.Length == 0 ? 1 : Math.Max(1e-9f, values.Max(Math.Abs));
        switch (type)
        {
            case ElementType.Float32:
                return Each(values, 4, (value, to) => BinaryPrimitives.WriteSingleLittleEndian(to, value));
            case ElementType.Float64:
                return Each(values, 8, (value, to) => BinaryPrimitives.WriteDoubleLittleEndian(to, value));
            case ElementType.Float16:
                return Each(values, 2, (value, to) => BinaryPrimitives.WriteHalfLittleEndian(to, (Half)value));
            case ElementType.BFloat16:
                return Each(values, 2, (value, to) => BinaryPrimitives.WriteUInt16LittleEndian(to, ToBFloat16(value)));
            case ElementType.Float8E5M2:
                return Each(values, 1, (value, to) => to[0] = (byte)(BitConverter.HalfToUInt16Bits((Half)value) >> 8));
            case ElementType.Float8E4M3FN:
                return Each(values, 1, (value, to) => to[0] = (byte)(BitConverter.HalfToUInt16Bits((Half)value) >> 7));
            case ElementType.Int8:
                return Each(values, 1, (value, to) => to[0] = (byte)(sbyte)Math.Round(value / scale * 127));
            case ElementType.UInt8:
                return Each(values, 1, (value, to) => to[0] = (byte)(Math.Round(value / scale * 127) + 128));
            case ElementType.Int4 or ElementType.UInt4:
                var nibbles = new byte[values.Length / 2];
                for (var i = 0; i < values.Length; i++)
                    nibbles[i / 2] |= (byte)(((int)Math.Round(values[i] / scale * 7) + (type == ElementType.UInt4 ? 8 : 0) & 15) << (4 * (i & 1)));
                return nibbles;
            case ElementType.Q8_0:
                return Blocks(values, 34, 127, (block, codes) =>
                {
                    for (var i = 0; i < 32; i++)
                        block[2 + i] = (byte)(sbyte)codes[i];
                });
            case ElementType.Q4_0:
                return Blocks(values, 18, 7, (block, codes) =>
                {
                    for (var i = 0; i < 16; i++)
                        block[2 + i] = (byte)(codes[i] + 8 | codes[16 + i] + 8 << 4);
                });
            case var block when SyntheticBlocks.Types.Contains(block):
                return SyntheticBlocks.Encode(block, values);
            default:
                throw new ArgumentOutOfRangeException(nameof(type), type, "not made here");
        }
    }

    static ushort ToBFloat16(float value)
    {
        var bits = BitConverter.SingleToUInt32Bits(value);
        return (ushort)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
    }

    delegate void Write(float value, Span<byte> to);

    static byte[] Each(float[] values, int size, Write write)
    {
        var bytes = new byte[values.Length * size];
        for (var i = 0; i < values.Length; i++)
            write(values[i], bytes.AsSpan(i * size, size));
        return bytes;
    }

    static byte[] Blocks(float[] values, int size, int most, Action<byte[], int[]> pack)
    {
        var bytes = new List<byte>();
        for (var start = 0; start < values.Length; start += 32)
        {
            var part = values.AsSpan(start, 32).ToArray();
            var step = part.Max(Math.Abs) / most;
            var block = new byte[size];
            BinaryPrimitives.WriteHalfLittleEndian(block, (Half)step);
            pack(block, [.. part.Select(value => step == 0 ? 0 : (int)Math.Round(value / step))]);
            bytes.AddRange(block);
        }
        return [.. bytes];
    }
}

/// <summary>A file of such tensors: a header of text, then the tensors with a few bytes between them.</summary>
sealed class SyntheticFile
{
    public SyntheticFile(string header, params IEnumerable<SyntheticTensor> tensors)
    {
        var bytes = new List<byte>(System.Text.Encoding.UTF8.GetBytes(header));
        var entries = ImmutableArray.CreateBuilder<TensorEntry>();
        foreach (var tensor in tensors)
        {
            while (bytes.Count % 16 != 0)
                bytes.Add(0x20);
            entries.Add(new(tensor.Name, tensor.Type, [.. tensor.Shape], bytes.Count, tensor.Bytes.Length));
            bytes.AddRange(tensor.Bytes);
        }
        Bytes = [.. bytes];
        Source = new(new MemorySource(Bytes), new(ModelFormat.Safetensors, Bytes.Length, entries.ToImmutable(), []));
    }

    public byte[] Bytes { get; }

    public Coppice.Delta.PatchSource Source { get; }
}
