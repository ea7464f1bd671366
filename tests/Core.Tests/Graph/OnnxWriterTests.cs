using System.Text;
using Coppice.Formats;
using Coppice.Graph;

namespace Coppice.Core.Tests.Graph;

public sealed class OnnxWriterTests
{
    static readonly ValueInfo X = new("x", ElementType.Float32, ["batch", 2]);

    static OnnxModel Identity => new(new("g", [new("Identity", ["x"], ["y"])], [X], [X with { Name = "y" }], []), [new("", 21)]);

    [Fact]
    public void A_small_model_has_the_bytes_worked_by_hand()
    {
        var bytes = OnnxWriter.ToBytes(Identity);

        var expected = string.Concat(
            "080A", // ir_version 10
            "3A49", // graph, 73 bytes
            "0A10", "0A0178", "120179", "2208", Hex("Identity"), // node: input x, output y, op_type
            "120167", // name g
            "5A18", "0A0178", "1213", "0A11", "0801", "120D", "0A07", "1205", Hex("batch"), "0A02", "0802", // input x: FLOAT [batch, 2]
            "6218", "0A0179", "1213", "0A11", "0801", "120D", "0A07", "1205", Hex("batch"), "0A02", "0802", // output y
            "4202", "1015"); // opset_import: version 21
        Assert.Equal(expected, Convert.ToHexString(bytes));
    }

    [Fact]
    public void Every_kind_of_attribute_has_the_bytes_worked_by_hand()
    {
        var inner = new OnnxGraph("i", [], [], [], []);
        var model = Identity with
        {
            Graph = Identity.Graph with
            {
                Nodes =
                [
                    Identity.Graph.Nodes[0] with
                    {
                        Attributes =
                        [
                            new OnnxAttribute.Float("a", 1),
                            new OnnxAttribute.Int("b", -1),
                            new OnnxAttribute.Text("c", "ü"),
                            new OnnxAttribute.Tensor("d", OnnxTensor.Of("", [2L], 1)),
                            new OnnxAttribute.Subgraph("e", inner),
                            new OnnxAttribute.Floats("f", [1, 0.5f]),
                            new OnnxAttribute.Ints("g", [300, 0]),
                            new OnnxAttribute.Texts("h", ["", "x"]),
                        ],
                    },
                ],
            },
        };

        var expected = string.Concat(
            "2A0B", "0A0161", "150000803F", "A00101",
            "2A11", "0A0162", "18FFFFFFFFFFFFFFFFFF01", "A00102",
            "2A0A", "0A0163", "2202C3BC", "A00103",
            "2A16", "0A0164", "2A0E", "0801", "1007", "4A080200000000000000", "A00104",
            "2A0B", "0A0165", "3203", "120169", "A00105",
            "2A10", "0A0166", "3D0000803F", "3D0000003F", "A00106",
            "2A0B", "0A0167", "40AC02", "4000", "A00107",
            "2A0B", "0A0168", "4A00", "4A0178", "A00108");
        Assert.Contains(expected, Convert.ToHexString(OnnxWriter.ToBytes(model)), StringComparison.Ordinal);
    }

    [Fact]
    public void Metadata_producer_versions_and_docs_stand_in_their_fields()
    {
        var model = Identity with
        {
            ProducerName = "p",
            ProducerVersion = "1",
            Domain = "d",
            ModelVersion = 300,
            DocString = "m",
            MetadataProps = [new("z", "1"), new("a", "")],
        };

        var text = Convert.ToHexString(OnnxWriter.ToBytes(model));

        Assert.StartsWith("080A" + "120170" + "1A0131" + "220164" + "28AC02" + "32016D" + "3A49", text, StringComparison.Ordinal);
        Assert.EndsWith("42021015" + "72060A017A120131" + "72050A01611200", text, StringComparison.Ordinal);
    }

    [Fact]
    public void A_stream_gets_the_same_bytes_and_stays_open_and_the_measure_is_their_number()
    {
        var weights = Enumerable.Range(0, 100_000).Select(i => (float)i).ToArray();
        var model = Identity with { Graph = Identity.Graph with { Initializers = [OnnxTensor.Of("w", weights, 100_000)] } };
        using var stream = new MemoryStream();

        OnnxWriter.Write(model, stream);

        Assert.True(stream.CanWrite);
        Assert.Equal(OnnxWriter.ToBytes(model), stream.ToArray());
        Assert.Equal(OnnxWriter.Measure(model), stream.Length);
        Assert.InRange(stream.Length, 400_000, 400_200);
    }

    [Fact]
    public void Lengths_are_counted_in_64_bits_and_a_model_beyond_protobuf_is_refused()
    {
        ReadOnlyMemory<byte> shared = new byte[1 << 30];
        var tensors = Enumerable.Range(0, 5).Select(i => new OnnxTensor($"w{i}", ElementType.UInt8, [1 << 30], shared));
        var model = Identity with { Graph = Identity.Graph with { Initializers = [.. tensors] } };

        Assert.InRange(OnnxWriter.Measure(model), 5L << 30, (5L << 30) + 300);
        var error = Assert.Throws<ArgumentException>(() => OnnxWriter.Write(model, Stream.Null));
        Assert.Contains("external data", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_wrong_model_is_refused_with_every_problem_and_writes_nothing()
    {
        using var stream = new MemoryStream();
        var model = Identity with { Graph = Identity.Graph with { Nodes = [new("Identity", ["gone"], ["y"]) { Domain = "other" }] } };

        var error = Assert.Throws<ArgumentException>(() => OnnxWriter.Write(model, stream));

        Assert.Contains("'gone'", error.Message, StringComparison.Ordinal);
        Assert.Contains("'other'", error.Message, StringComparison.Ordinal);
        Assert.Equal(0, stream.Length);
    }

    [Fact]
    public void Element_codes_are_those_of_onnx_proto()
    {
        Assert.Equal((1, 7, 10, 16, 22), (
            OnnxElementCode.Of(ElementType.Float32), OnnxElementCode.Of(ElementType.Int64), OnnxElementCode.Of(ElementType.Float16),
            OnnxElementCode.Of(ElementType.BFloat16), OnnxElementCode.Of(ElementType.Int4)));
        Assert.Equal(0, OnnxElementCode.Of(ElementType.Q4_0));
        Assert.Equal(ElementType.Unknown, OnnxElementCode.TypeOf(1000));
        Assert.All(Enumerable.Range(1, 26), code => Assert.Equal(code, OnnxElementCode.Of(OnnxElementCode.TypeOf(code))));
    }

    [Fact]
    public void An_unknown_dimension_is_neither_size_nor_name_and_zero_is_a_size()
    {
        Assert.Equal((null, null), (Dimension.Unknown.Size, Dimension.Unknown.Symbol));
        Assert.Equal(0, Dimension.Of(0).Size);
        Assert.Equal("x: Float32[batch, 2]", X.ToString());
        Assert.Throws<ArgumentOutOfRangeException>(() => Dimension.Of(-1));
    }

    static string Hex(string text) => Convert.ToHexString(Encoding.UTF8.GetBytes(text));
}
