using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text.Json;
using Coppice.Core.Tests.Formats;
using Coppice.Delta;
using Coppice.Formats;

namespace Coppice.Bench.Delta;

/// <summary>Pairs that differ by what is known: every weight moved by itself, or most of the change of rank 32.</summary>
/// <remarks>
/// <c>delta make FILE FOLDER</c>: FILE is a safetensors file of binary32. Of each kind <c>each_KIND.old.EXT</c> with <c>.new.EXT</c>, and
/// <c>rank32_KIND</c> likewise. Changes are 2.4 % of the size of a tensor's weights. The same bytes on every run.
/// </remarks>
static class MadePairs
{
    const double Change = 0.024;
    const int Rank = 32;
    const double RankShare = 0.97; // of the change's energy

    sealed record Weights(string Name, long[] Shape, float[] Values)
    {
        public int Columns => (int)Shape[^1];

        public bool IsMatrix => Shape.Length > 1;
    }

    public static int Run(string file, string folder)
    {
        var bytes = File.ReadAllBytes(file);
        var old = PatchSource.Of(new MemorySource(bytes)).Tensors.Tensors.Where(entry => entry.Type == ElementType.Float32)
            .Select(entry => new Weights(entry.Name, [.. entry.Shape], MemoryMarshal.Cast<byte, float>(bytes.AsSpan((int)entry.Offset, (int)entry.Length)).ToArray())).ToList();
        Directory.CreateDirectory(folder);
        foreach (var (name, rank) in (IEnumerable<(string, int)>)[("each", 0), ("rank32", Rank)])
        {
            var random = new Random(1);
            var made = old.ConvertAll(weights => weights with { Values = Tuned(random, weights, rank) });
            foreach (var kind in (string[])["fp32", "fp16", "bf16", "int8"])
            {
                File.WriteAllBytes(Path.Combine(folder, $"{name}_{kind}.old.safetensors"), Safetensors(kind, old));
                File.WriteAllBytes(Path.Combine(folder, $"{name}_{kind}.new.safetensors"), Safetensors(kind, made));
            }
            File.WriteAllBytes(Path.Combine(folder, $"{name}_q8_0.old.gguf"), Gguf(old));
            File.WriteAllBytes(Path.Combine(folder, $"{name}_q8_0.new.gguf"), Gguf(made));
        }
        return 0;
    }

    static float[] Tuned(Random random, Weights weights, int rank)
    {
        var (values, columns) = (weights.Values, weights.Columns);
        rank = weights.IsMatrix ? rank : 0;
        var size = Change * Math.Sqrt(values.Average(value => (double)value * value));
        var noise = size * (rank == 0 ? 1 : Math.Sqrt(1 - RankShare));
        var part = (float)(size * Math.Sqrt(RankShare / Rank));
        var (left, right) = (Normal(random, values.Length / columns * rank, part), Normal(random, columns * rank, 1));
        var tuned = Normal(random, values.Length, noise);
        for (var i = 0; i < tuned.Length; i++)
        {
            var a = left.AsSpan(i / columns * rank, rank);
            var b = right.AsSpan(i % columns * rank, rank);
            for (var k = 0; k < rank; k++)
                tuned[i] += a[k] * b[k];
            tuned[i] += values[i];
        }
        return tuned;
    }

    static float[] Normal(Random random, int count, double size)
    {
        var numbers = new float[count];
        foreach (ref var number in numbers.AsSpan())
            number = (float)(size * Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble()));
        return numbers;
    }

    static byte[] Safetensors(string kind, List<Weights> tensors)
    {
        var parts = tensors.SelectMany(weights => Parts(kind, weights)).ToList();
        var (header, at) = (new Dictionary<string, object>(), 0);
        foreach (var (name, type, shape, data) in parts)
            header[name] = new { dtype = type, shape, data_offsets = (int[])[at, at += data.Length] };
        var json = JsonSerializer.SerializeToUtf8Bytes(header);
        return [.. BitConverter.GetBytes((long)json.Length), .. json, .. parts.SelectMany(part => part.Data)];
    }

    static IEnumerable<(string Name, string Type, long[] Shape, byte[] Data)> Parts(string kind, Weights weights)
    {
        var (name, shape, values) = (weights.Name, weights.Shape, weights.Values);
        switch (kind)
        {
            case "fp16":
                yield return (name, "F16", shape, Each(values, value => BitConverter.HalfToUInt16Bits((Half)value)));
                break;
            case "bf16":
                yield return (name, "BF16", shape, Each(values, ToBFloat16));
                break;
            case "int8" when weights.IsMatrix:
                var scales = values.Chunk(weights.Columns).Select(row => row.Max(Math.Abs) / 127).ToArray();
                yield return (name, "I8", shape, [.. values.Select((value, i) => (byte)(sbyte)Math.Round(value / scales[i / weights.Columns]))]);
                yield return (name + ".scale", "F32", [scales.Length], MemoryMarshal.AsBytes(scales.AsSpan()).ToArray());
                break;
            default:
                yield return (name, "F32", shape, MemoryMarshal.AsBytes(values.AsSpan()).ToArray());
                break;
        }
    }

    static byte[] Each(float[] values, Func<float, ushort> convert) => MemoryMarshal.AsBytes(Array.ConvertAll(values, value => convert(value)).AsSpan()).ToArray();

    static ushort ToBFloat16(float value)
    {
        var bits = BitConverter.SingleToUInt32Bits(value);
        return (ushort)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
    }

    static byte[] Gguf(List<Weights> tensors)
    {
        const uint Float32 = 0, Q8_0 = 8;
        var writer = new GgufWriter().Pair("general.architecture", "gpt2");
        var data = new List<byte>();
        foreach (var weights in tensors)
        {
            writer.Tensor(weights.Name, weights.IsMatrix ? Q8_0 : Float32, (ulong)data.Count, [.. weights.Shape.Reverse().Select(size => (ulong)size)]);
            data.AddRange(weights.IsMatrix ? weights.Values.Chunk(32).SelectMany(Block) : MemoryMarshal.AsBytes(weights.Values.AsSpan()).ToArray());
            while (data.Count % writer.Alignment != 0)
                data.Add(0);
        }
        return writer.With(CollectionsMarshal.AsSpan(data));
    }

    /// <summary>As ggml's reference does it.</summary>
    static byte[] Block(float[] values)
    {
        var step = values.Max(Math.Abs) / 127;
        var block = new byte[34];
        BinaryPrimitives.WriteHalfLittleEndian(block, (Half)step);
        for (var i = 0; i < values.Length; i++)
            block[2 + i] = (byte)(sbyte)Math.Round(step == 0 ? 0 : values[i] / step, MidpointRounding.AwayFromZero);
        return block;
    }
}
