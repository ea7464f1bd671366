using Coppice.Formats;
using static Coppice.Core.Tests.Formats.SmallModels;

namespace Coppice.Core.Tests.Formats;

public sealed class OnnxTests
{
    static ModelFile ReadGraph(ProtoWriter graph) => SmallModels.Read(OnnxModel(graph));

    static MalformedFileException Refused(ProtoWriter graph) => Assert.Throws<MalformedFileException>(() => ReadGraph(graph));

    [Fact]
    public void Every_kind_of_tensor_is_found_where_it_is()
    {
        var bytes = Onnx();
        var model = SmallModels.Read(bytes);
        var byName = model.Tensors.ToDictionary(tensor => tensor.Name);

        Assert.Equal(["chosen/then_branch/inner", "list", "outside", "raw", "seven", "thin", "thin.indices", "varints"], byName.Keys.Order(StringComparer.Ordinal));
        Assert.Equal(Floats(7), Bytes("seven"));
        Assert.Equal(Floats(5, 6), Bytes("chosen/then_branch/inner"));
        Assert.Equal(Floats(1, 2, 3, 4), Bytes("raw"));
        Assert.Equal(Floats(1, 2, 3), Bytes("list"));
        Assert.Equal(Floats(9), Bytes("thin"));
        Assert.Equal((ElementType.Unknown, ElementType.Int64), (byName["varints"].Type, byName["varints"].Meaning));
        Assert.Equal(1 + 2 + 10, byName["varints"].Length); // 1, 300, -1
        MapChecks.Holds(model);

        byte[] Bytes(string name) => bytes[(int)byName[name].Offset..(int)(byName[name].Offset + byName[name].Length)];
    }

    [Fact]
    public void External_data_is_named_with_its_place_and_the_bytes_its_file_needs()
    {
        var model = SmallModels.Read(Onnx());

        var outside = model.Tensors.Single(tensor => tensor.Name == "outside");
        Assert.Equal(("weights/w.bin", 4096L, 64L), (outside.ExternalFile, outside.Offset, outside.Length));
        Assert.Equal([new ExternalFile("weights/w.bin", 4096 + 64)], model.ExternalFiles.ToArray());
    }

    [Fact]
    public void Inputs_leave_out_initialisers_and_keep_symbols()
    {
        var model = SmallModels.Read(Onnx());

        Assert.Equal(["x: Float32[batch, 4]"], model.Inputs.Select(input => $"{input}"));
        Assert.Equal(["y: Float32[batch, 2]"], model.Outputs.Select(output => $"{output}"));
        Assert.Equal(("test 1", "small", 17L), (model.Producer, model.Name, model.Needs.Opset() ?? 0));
        Assert.Contains(new("purpose", "a test"), model.Map.Metadata);
    }

    [Fact]
    public void Functions_bring_their_constants_and_operator_sets()
    {
        var function = new ProtoWriter().Text(1, "Scale").Text(10, "my.ops")
            .Message(7, OnnxNode("Constant", "two", new ProtoWriter().Text(1, "value").Message(5, OnnxTensor("", 1, [], Floats(2)))))
            .Message(9, new ProtoWriter().Text(1, "my.base").Number(2, 4));
        var model = SmallModels.Read([.. OnnxModel(new ProtoWriter()), .. new ProtoWriter().Message(25, function).Bytes]);

        Assert.Equal("my.ops.Scale/two", Assert.Single(model.Tensors).Name);
        Assert.Equal(4, model.Needs.Opset("my.base"));
    }

    [Theory]
    [InlineData("/etc/passwd")]
    [InlineData("\\\\server\\share")]
    [InlineData("C:/weights.bin")]
    [InlineData("../weights.bin")]
    [InlineData("a/../../weights.bin")]
    [InlineData("a\\..\\..\\weights.bin")]
    [InlineData("")]
    [InlineData("a\0b")]
    public void External_data_outside_the_folder_is_refused(string path)
    {
        var tensor = new ProtoWriter().Packed(1, 4).Number(2, 1).Text(8, "w").Number(14, 1).Message(13, new ProtoWriter().Text(1, "location").Text(2, path));

        Assert.Contains("not inside the model's folder", Refused(new ProtoWriter().Message(5, tensor)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void External_data_past_the_largest_file_is_refused() => Refused(new ProtoWriter().Message(5,
        new ProtoWriter().Packed(1, 4).Number(2, 1).Text(8, "w").Number(14, 1)
            .Message(13, new ProtoWriter().Text(1, "location").Text(2, "w.bin"))
            .Message(13, new ProtoWriter().Text(1, "offset").Text(2, $"{long.MaxValue}"))));

    [Fact]
    public void Raw_data_that_does_not_fit_the_shape_is_refused()
    {
        var problem = Refused(new ProtoWriter().Message(5, OnnxTensor("w", 1, [3], Floats(1, 2))));

        Assert.Contains("needs 12 bytes, but the file gives it 8", problem.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(1L << 62, 1L << 62)]
    [InlineData(-1L, 4L)]
    public void Impossible_shapes_are_refused(long rows, long columns) => Refused(new ProtoWriter().Message(5, OnnxTensor("w", 1, [rows, columns], Floats(1))));

    [Fact]
    public void A_tensor_without_elements_in_the_file_is_refused() => Refused(new ProtoWriter().Message(5, new ProtoWriter().Packed(1, 4).Number(2, 1).Text(8, "w")));

    [Fact]
    public void Graphs_nested_without_end_are_refused()
    {
        var graph = new ProtoWriter();
        for (var i = 0; i < 100; i++)
            graph = new ProtoWriter().Message(1, OnnxNode("If", "y", new ProtoWriter().Text(1, "then_branch").Message(6, graph)));

        Assert.Contains("deep in one another", Refused(graph).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(1000UL)]
    [InlineData(1UL << 32)]
    [InlineData(1UL << 63)]
    [InlineData(ulong.MaxValue)]
    public void Lengths_that_lie_are_refused(ulong length) => Refused(new ProtoWriter().Lie(5, length));

    [Fact]
    public void A_model_cut_short_in_its_graph_is_malformed_not_unknown()
    {
        var bytes = Onnx();

        Assert.Throws<MalformedFileException>(() => SmallModels.Read(bytes[..(bytes.Length / 2)]));
    }

    [Fact]
    public void Names_that_stand_twice_are_told_apart()
    {
        var model = ReadGraph(new ProtoWriter().Message(5, OnnxTensor("w", 1, [1], Floats(1))).Message(5, OnnxTensor("w", 1, [1], Floats(2))).Message(5, OnnxTensor("", 1, [1], Floats(3))));

        Assert.Equal(["w", "w#2", "tensor 2"], model.Tensors.Select(tensor => tensor.Name));
    }
}
