using Coppice.Formats;
using static Coppice.Core.Tests.Formats.SmallModels;

namespace Coppice.Core.Tests.Formats;

/// <summary>Files of many gigabytes, of which only the written parts exist: the rest reads as zeros.</summary>
public sealed class LargeFileTests
{
    const long Gigabyte = 1L << 30;
    const long Allowance = 2 << 20;

    sealed class SparseSource(long length, params (long Offset, byte[] Bytes)[] parts) : IByteSource
    {
        public long Length => length;
        public long BytesRead { get; private set; }

        public void Read(long offset, Span<byte> into)
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThan(offset, length - into.Length);
            BytesRead += into.Length;
            into.Clear();
            foreach (var (start, bytes) in parts)
            {
                var (from, to) = (Math.Max(offset, start), Math.Min(offset + into.Length, start + bytes.Length));
                if (from < to)
                    bytes.AsSpan((int)(from - start), (int)(to - from)).CopyTo(into[(int)(from - offset)..]);
            }
        }
    }

    static ModelFile ReadLittle(SparseSource source)
    {
        var before = GC.GetAllocatedBytesForCurrentThread();
        var model = ModelReader.Read(source);

        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, Allowance);
        Assert.InRange(source.BytesRead, 1, Allowance);
        MapChecks.Holds(model);
        return model;
    }

    [Fact]
    public void A_gguf_file_of_ten_gigabytes_is_read_through_its_header()
    {
        var header = new GgufWriter().Tensor("first", 0, 0, 1UL << 30).Tensor("last", 0, 4UL << 30, 1UL << 30).With();
        var model = ReadLittle(new(header.Length + 8 * Gigabyte, (0, header)));

        Assert.Equal((2 * Gigabyte, header.Length + 4 * Gigabyte), (model.Parameters, model.Tensors[1].Offset));
    }

    [Fact]
    public void A_safetensors_file_of_eight_gigabytes_is_read_through_its_header()
    {
        var header = SafetensorsOf($$$"""{"w":{"dtype":"F32","shape":[{{{2 * Gigabyte}}}],"data_offsets":[0,{{{8 * Gigabyte}}}]}}""", 0);

        Assert.Equal(8 * Gigabyte, ReadLittle(new(header.Length + 8 * Gigabyte, (0, header))).TensorBytes);
    }

    [Fact]
    public void A_tflite_buffer_past_two_gigabytes_is_found()
    {
        var header = FlatWriter.Write(TfliteModel(
            [new(), new((1, (ulong)(3 * Gigabyte)), (2, (ulong)Gigabyte)), new()],
            new FlatNode((0, new[] { 4 }), (1, (sbyte)9), (2, 0), (3, "x")), new FlatNode((0, new[] { 1 << 30 }), (1, (sbyte)9), (2, 1), (3, "w"))), "TFL3");

        Assert.Equal(3 * Gigabyte, Assert.Single(ReadLittle(new(4 * Gigabyte, (0, header))).Tensors).Offset);
    }

    [Fact]
    public void An_archive_past_four_gigabytes_is_found_by_its_zip64_directory()
    {
        // A storage of five gigabytes between the pickle and the directory: written by hand, because no writer here holds it.
        var pickle = new PickleWriter().Tensor("ByteStorage", "0", int.MaxValue, 0, [1000], [1]).End();
        var small = new ZipWriter { Zip64 = true }.Add("net/data.pkl", pickle).Add("net/data/0", []).End();
        var directory = small.AsSpan().IndexOf("PK\u0001\u0002"u8);
        var (head, tail) = (small[..directory], small[directory..]);
        var shift = 5 * Gigabyte;

        var second = tail.AsSpan().LastIndexOf("net/data/0"u8) + "net/data/0".Length + 4; // its zip64 sizes: both grow
        BitConverter.GetBytes(shift).CopyTo(tail, second);
        BitConverter.GetBytes(shift).CopyTo(tail, second + 8);
        var record = tail.AsSpan().IndexOf("PK\u0006\u0006"u8);
        BitConverter.GetBytes(directory + shift).CopyTo(tail, record + 48);
        BitConverter.GetBytes(record + directory + shift).CopyTo(tail, record + 56 + 8);

        var model = ReadLittle(new(small.Length + shift, (0, head), (directory + shift, tail)));
        Assert.Equal((ModelFormat.Torch, 1000L), (model.Format, Assert.Single(model.Tensors).Length));
    }

    [Fact]
    public void An_onnx_graph_steps_over_gigabytes_of_raw_data()
    {
        const long raw = Gigabyte; // the most that protobuf readers take in all is 2 GB
        var name = new ProtoWriter().Packed(1, raw / 4).Number(2, 1).Text(8, "w").Lie(9, (ulong)raw).Bytes;
        var graph = new ProtoWriter().Lie(5, (ulong)(name.Length + raw)).Bytes;
        byte[] header = [.. new ProtoWriter().Number(1, 8).Lie(7, (ulong)(graph.Length + name.Length + raw)).Bytes, .. graph, .. name];

        Assert.Equal((header.Length, raw), ReadLittle(new(header.Length + raw, (0, header))).Tensors.Select(tensor => (tensor.Offset, tensor.Length)).Single());
    }
}
