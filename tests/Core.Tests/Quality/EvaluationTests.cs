using System.Buffers;
using System.IO.Compression;
using System.Text;
using Coppice.Formats;
using Coppice.Inference;
using Coppice.Protocol;
using Coppice.Quality;
using Coppice.Registry;

namespace Coppice.Core.Tests.Quality;

public sealed class EvaluationTests
{
    static readonly TensorSignature Signature = new(
        [new("x", ElementType.Float32, [-1, 2, 2]), new("n", ElementType.Int64, [-1])], [new("y", ElementType.Float32, [-1, 3])]);

    static string Problems(string text)
    {
        Assert.False(EvaluationJson.TryRead(Encoding.UTF8.GetBytes(text), Signature, out _, out var problems));
        return string.Join('\n', problems);
    }

    [Fact]
    public void Lines_become_tensors_of_the_model_with_the_batch_dimension_added()
    {
        var text = """
            {"id": "a", "inputs": {"n": 7, "x": [[1, 2.5], [-3e2, 4]]}, "label": 2}

            {"inputs": {"x": [[[1, 2], [3, 4]]], "n": [7]}, "expected": {"y": [0.5, "NaN", 1]}}
            """;

        Assert.True(EvaluationJson.TryRead(Encoding.UTF8.GetBytes(text), Signature, out var set, out var problems), string.Join('\n', problems));

        Assert.Equal(2, set.Samples.Length);
        Assert.Equal([1, 2, 2], set.Samples[0].Inputs[0].Shape.ToArray());
        Assert.Equal([1, 2.5f, -300, 4], System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(set.Samples[0].Inputs[0].Bytes.Span).ToArray());
        Assert.Equal([1], set.Samples[0].Inputs[1].Shape.ToArray());
        Assert.Equal(2, set.Samples[0].Label);
        Assert.True(float.IsNaN(set.Samples[1].Expected[0].Values[1]));
    }

    [Theory]
    [InlineData("""{"inputs": {"x": [[1, 2], [3]], "n": 1}, "label": 0}""", "line 1: inputs.x: a row has 1 elements where others have 2")]
    [InlineData("""{"inputs": {"x": [[1, 2], 3], "n": 1}, "label": 0}""", "a number stands where other rows have an array")]
    [InlineData("""{"inputs": {"x": [1, [3]], "n": 1}, "label": 0}""", "an array stands where other rows have a number")]
    [InlineData("""{"inputs": {"x": [[1, 2, 3], [3, 4, 5]], "n": 1}, "label": 0}""", "the sample is [2, 3], but the model's input is x: Float32[-1, 2, 2]")]
    [InlineData("""{"inputs": {"x": [[1, 2], [3, 4]]}, "label": 0}""", "inputs.n is missing")]
    [InlineData("""{"inputs": {"x": [[1, 2], [3, 4]], "n": 1.5}, "label": 0}""", "element 0 is 1.5, which Int64 cannot hold")]
    [InlineData("""{"inputs": {"x": [[1, 2], [3, 4]], "n": 1, "z": 0}, "label": 0}""", "inputs.z is not of this model")]
    [InlineData("""{"inputs": {"x": [[1, 2], [3, 4]], "n": 1}, "label": -1}""", "label: write the index")]
    [InlineData("""{"inputs": {"x": [[1, 2], [3, 4]], "n": 1}}""", "neither label nor expected")]
    [InlineData("""{"inputs": {"x": [[1, 2], [3, "a"]], "n": 1}, "label": 0}""", "found String; write numbers")]
    [InlineData("[1]", "found StartArray; a sample is an object")]
    [InlineData("\n\n", "there is no sample")]
    public void What_is_wrong_with_a_line_is_said(string text, string what) => Assert.Contains(what, Problems(text), StringComparison.Ordinal);

    [Fact]
    public void Every_bad_line_is_told_at_once() =>
        Assert.Equal(2, Problems("{}\n{\"inputs\": {\"x\": [[1, 2], [3, 4]], \"n\": 1}, \"label\": 0}\n{").Split('\n').Length);

    [Fact]
    public void A_written_sample_reads_back_the_same()
    {
        float[] values = [1, float.NaN, float.NegativeInfinity, 0.1f];
        var sample = new Sample([Tensor.Of(values, 1, 2, 2), Tensor.Of([5L], 1)], null, [new(0, [1, float.PositiveInfinity, -0.3f])]);
        var buffer = new ArrayBufferWriter<byte>();

        EvaluationJson.WriteLine(buffer, Signature, sample);

        Assert.True(EvaluationJson.TryRead(buffer.WrittenSpan, Signature, out var set, out var problems), string.Join('\n', problems));
        Assert.Equal(sample.Inputs[0].Bytes.ToArray(), set.Samples[0].Inputs[0].Bytes.ToArray());
        Assert.Equal(sample.Expected[0].Values.AsEnumerable(), set.Samples[0].Expected[0].Values);
    }

    static void AddNpy(ZipArchive archive, string name, string descr, string shape, byte[] data)
    {
        using var stream = archive.CreateEntry(name + ".npy").Open();
        var header = Encoding.Latin1.GetBytes($"{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}".PadRight(117) + "\n");
        stream.Write([0x93, .. "NUMPY"u8, 1, 0, (byte)header.Length, (byte)(header.Length >> 8), .. header, .. data]);
    }

    static MemoryStream Archive(Action<ZipArchive> fill)
    {
        var stream = new MemoryStream();
        using (var archive = new ZipArchive(stream, ZipArchiveMode.Create, leaveOpen: true))
            fill(archive);
        stream.Position = 0;
        return stream;
    }

    static byte[] Bytes<T>(params T[] values)
        where T : unmanaged => System.Runtime.InteropServices.MemoryMarshal.AsBytes(values.AsSpan()).ToArray();

    [Fact]
    public void An_archive_of_numpy_gives_samples_along_the_first_dimension()
    {
        using var file = Archive(archive =>
        {
            AddNpy(archive, "x", "<f8", "2, 2, 2", Bytes(1.0, 2, 3, 4, 5, 6, 7, 8));
            AddNpy(archive, "n", "<i4", "2,", Bytes(10, 11));
            AddNpy(archive, "label", "|u1", "2,", [0, 2]);
        });

        Assert.True(Npz.TryRead(file, Signature, out var set, out var problems), string.Join('\n', problems));
        Assert.Equal([5f, 6, 7, 8], System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(set.Samples[1].Inputs[0].Bytes.Span).ToArray());
        Assert.Equal([0, 2], set.Samples.Select(sample => sample.Label!.Value));
    }

    [Fact]
    public void A_hostile_archive_is_refused_before_memory_is_taken()
    {
        using var huge = Archive(archive => AddNpy(archive, "x", "<f8", "4000000000, 4000000000, 4000000000", []));
        using var swapped = Archive(archive => AddNpy(archive, "x", ">f8", "1,", Bytes(1.0)));
        using var cut = Archive(archive => AddNpy(archive, "x", "<f8", "100,", Bytes(1.0)));

        foreach (var file in new[] { huge, swapped, cut, new MemoryStream("PK\x3\x4 and no more"u8.ToArray()) })
        {
            Assert.False(Npz.TryRead(file, Signature, out _, out var problems));
            Assert.NotEmpty(problems);
        }
    }
}
