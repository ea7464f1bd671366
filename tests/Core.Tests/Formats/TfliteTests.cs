using System.Buffers.Binary;
using Coppice.Formats;
using static Coppice.Core.Tests.Formats.SmallModels;

namespace Coppice.Core.Tests.Formats;

public sealed class TfliteTests
{
    static FlatNode Weight(int buffer, params int[] shape) => new((0, shape), (1, (sbyte)9), (2, buffer), (3, "w"));

    [Fact]
    public void Tensors_signature_and_needs_are_read()
    {
        var bytes = Tflite();
        var model = SmallModels.Read(bytes);

        var weight = Assert.Single(model.Tensors);
        Assert.Equal(("w", ElementType.Int8), (weight.Name, weight.Type));
        Assert.Equal([1, 2, 3, 4], bytes[(int)weight.Offset..(int)(weight.Offset + weight.Length)]);
        Assert.Equal(new Quantisation(0.25f, 0, 2, 1), weight.Quantisation);
        Assert.Equal("x: Int8[?, 4]", $"{Assert.Single(model.Inputs)}");
        Assert.Equal(new Quantisation(0.5f, -1), model.Inputs[0].Quantisation);
        Assert.Equal("1.5.0", model.Needs.MinimumRuntime);
        Assert.Equal([new OperatorUse("", "CONV_2D", 1), new OperatorUse("custom", "Special", 1)], model.Needs.Operators.ToArray());
        Assert.Contains(new("signature serving_default", "picture → "), model.Map.Metadata);
    }

    [Fact]
    public void A_buffer_behind_the_flatbuffer_is_found()
    {
        var file = FlatWriter.Write(TfliteModel([new(), new((1, 4096ul), (2, 4ul)), new()], Weight(0, 4), Weight(1, 2, 2)), "TFL3");
        Array.Resize(ref file, 4100);

        Assert.Equal((4096, 4), (Assert.Single(SmallModels.Read(file).Tensors).Offset, SmallModels.Read(file).Tensors[0].Length));
    }

    [Theory]
    [InlineData(1UL << 63, 4ul)]
    [InlineData(64ul, ulong.MaxValue)]
    [InlineData(ulong.MaxValue, ulong.MaxValue)]
    public void A_buffer_behind_the_file_is_refused(ulong offset, ulong size) => Assert.Throws<MalformedFileException>(() => SmallModels.Read(
        FlatWriter.Write(TfliteModel([new(), new((1, offset), (2, size)), new()], Weight(1, 4)), "TFL3")));

    [Fact]
    public void A_tensor_in_a_buffer_that_is_not_there_is_refused() => Assert.Throws<MalformedFileException>(() => SmallModels.Read(
        FlatWriter.Write(TfliteModel([new(), new(), new()], Weight(9, 4)), "TFL3")));

    [Fact]
    public void A_shape_that_does_not_fit_its_buffer_is_refused() => Assert.Throws<MalformedFileException>(() => SmallModels.Read(
        FlatWriter.Write(TfliteModel([new(), new((0, new byte[4])), new()], Weight(1, 5)), "TFL3")));

    [Fact]
    public void Tables_that_are_pointed_at_without_end_are_refused()
    {
        // One subgraph of a thousand tensors, named ten thousand times: ten million tables to visit.
        var tensors = Enumerable.Repeat(new FlatNode(), 1000).ToArray();
        var graphs = Enumerable.Repeat(new FlatNode(), 10_000).Prepend(new FlatNode((0, tensors))).ToArray();
        var file = FlatWriter.Write(new FlatNode((0, 3), (2, graphs), (4, new[] { new FlatNode() })), "TFL3");
        var root = BinaryPrimitives.ReadInt32LittleEndian(file);
        var field = root + 8 + 8; // the vector of subgraphs
        var vector = field + BinaryPrimitives.ReadInt32LittleEndian(file.AsSpan(field));
        var first = vector + 4 + BinaryPrimitives.ReadInt32LittleEndian(file.AsSpan(vector + 4));
        for (var i = 0; i <= 10_000; i++)
            BinaryPrimitives.WriteInt32LittleEndian(file.AsSpan(vector + 4 + 4 * i), first - (vector + 4 + 4 * i));

        var problem = Assert.Throws<MalformedFileException>(() => SmallModels.Read(file));

        Assert.Contains("again and again", problem.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(3u)]
    [InlineData(0x7FFF_FFFFu)]
    [InlineData(0xFFFF_FFFFu)]
    public void A_root_that_is_not_there_is_refused(uint root)
    {
        var file = Tflite();
        BinaryPrimitives.WriteUInt32LittleEndian(file, root);

        Assert.Throws<MalformedFileException>(() => SmallModels.Read(file));
    }
}
