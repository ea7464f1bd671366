using Coppice.Formats;
using Coppice.Formats.Comparison;
using Coppice.Tests;
using static Coppice.Core.Tests.Formats.SmallModels;
using static Coppice.Formats.Comparison.TensorChange;

namespace Coppice.Core.Tests.Formats;

public sealed class ModelDiffTests
{
    static ModelContent Content(byte[] bytes) => ModelContent.Read(new MemorySource(bytes));

    static ModelDiff Between(byte[] old, byte[] entry) => ModelDiff.Between(Content(old), Content(entry));

    static byte[] Model(params (string Name, float[] Values)[] tensors)
    {
        var graph = new ProtoWriter();
        foreach (var (name, values) in tensors)
            graph.Message(5, OnnxTensor(name, 1, [values.Length], Floats(values)));
        return OnnxModel(graph);
    }

    [Fact]
    public void Change_is_counted_and_measured_by_hand()
    {
        var diff = Between(Model(("w", [3, 4, 0, 0])), Model(("w", [3, 4, 0.5f, 0])));

        var tensor = Assert.Single(diff.Tensors);
        Assert.Equal((Changed, new ValueChange(ChangeUnit.Values, 4, 1, 0.5, 0.1)), (tensor.Kind, tensor.Change)); // 0.5 of a norm of 5
        Assert.Equal(0.25, tensor.Change!.ChangedShare);
        Assert.False(diff.SameFile);
    }

    [Fact]
    public void Every_fate_of_a_tensor_has_its_name()
    {
        float[] moved = [.. Enumerable.Range(1, 100).Select(i => (float)Math.Sin(i))], like = [.. moved.Select(value => value * 1.01f)];
        float[] other = [.. Enumerable.Range(1, 100).Select(i => (float)Math.Cos(i * i))];
        var diff = Between(
            Model(("same", [1]), ("changed", [1]), ("reshaped", [1]), ("exact", [1, 2, 3]), ("close", moved), ("gone", [5, 5])),
            Model(("same", [1]), ("changed", [2]), ("reshaped", [1, 1]), ("exact.new", [1, 2, 3]), ("far", other), ("close.new", like)));

        Assert.Equal(
            [("same", Same), ("changed", Changed), ("reshaped", Reshaped), ("exact.new", Renamed), ("far", Added), ("close.new", Renamed), ("gone", Removed)],
            diff.Tensors.Select(tensor => (tensor.Name, tensor.Kind)));
        Assert.Equal("close", diff.Tensors[5].Old!.Name);
        Assert.Equal(0.01, diff.Tensors[5].Change!.RelativeL2!.Value, 5);
        Assert.Null(diff.Tensors[3].Change);
    }

    [Fact]
    public void Facts_that_differ_are_listed()
    {
        var old = new ProtoWriter().Message(11, OnnxValue("x", 1, -1, 4)).Message(1, OnnxNode("Relu", "y"));
        var entry = new ProtoWriter().Message(11, OnnxValue("x", 1, -1, 8)).Message(1, OnnxNode("Gelu", "y"));

        Assert.Equal(
            [new("input x", "x: Float32[batch, 4]", "x: Float32[batch, 8]"), new("operator Relu", "1", null), new FactDiff("operator Gelu", null, "1")],
            Between(OnnxModel(old), OnnxModel(entry)).Facts.ToArray());
    }

    [Fact]
    public void Weights_survive_a_change_of_format_and_type()
    {
        var halves = new GgufWriter().Tensor("w", 1, 0, 4).With([.. ((float[])[1, 2, 3, 4.5f]).SelectMany(value => BitConverter.GetBytes((Half)value))]);
        var diff = Between(Model(("w", [1, 2, 3, 4])), halves);

        var change = Assert.Single(diff.Tensors).Change!;
        Assert.Equal((1L, 0.5), (change.Changed, change.MaxAbsolute));
    }

    [Fact]
    public void Codes_are_compared_as_they_are_stored()
    {
        var old = SafetensorsOf("""{"w":{"dtype":"I8","shape":[4],"data_offsets":[0,4]}}""", 0);
        var change = Assert.Single(Between([.. old, 1, 2, 3, 0xFF], [.. old, 1, 2, 3, 0x7F]).Tensors).Change!;

        Assert.Equal((ChangeUnit.Codes, 1L, 128.0), (change.Unit, change.Changed, change.MaxAbsolute));
    }

    [Theory]
    [InlineData(ElementType.Float16, new byte[] { 0x00, 0xC0 }, -2)]
    [InlineData(ElementType.BFloat16, new byte[] { 0x40, 0x40 }, 3)]
    [InlineData(ElementType.Float8E4M3FN, new byte[] { 0x7E }, 448)]
    [InlineData(ElementType.Float8E4M3FN, new byte[] { 0x01 }, 0.001953125)]
    [InlineData(ElementType.Float8E4M3FNUZ, new byte[] { 0x7F }, 240)]
    [InlineData(ElementType.Float8E5M2, new byte[] { 0xFB }, -57344)]
    [InlineData(ElementType.Float8E5M2FNUZ, new byte[] { 0x7F }, 57344)]
    [InlineData(ElementType.Float8E8M0, new byte[] { 130 }, 8)]
    public void Small_floats_are_decoded_as_published(ElementType type, byte[] bytes, double value)
    {
        var dtype = type switch
        {
            ElementType.Float16 => "F16",
            ElementType.BFloat16 => "BF16",
            ElementType.Float8E4M3FN => "F8_E4M3",
            ElementType.Float8E4M3FNUZ => "F8_E4M3FNUZ",
            ElementType.Float8E5M2 => "F8_E5M2",
            ElementType.Float8E5M2FNUZ => "F8_E5M2FNUZ",
            _ => "F8_E8M0",
        };
        var header = $$$"""{"w":{"dtype":"{{{dtype}}}","shape":[1],"data_offsets":[0,{{{bytes.Length}}}]}}""";
        byte[] typed = [.. SafetensorsOf(header, 0), .. bytes];
        var asDouble = SafetensorsOf("""{"w":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}}""", 0);

        var same = Assert.Single(Between(typed, [.. asDouble, .. BitConverter.GetBytes(value)]).Tensors);

        Assert.Equal((Changed, 0L, 0.0), (same.Kind, same.Change!.Changed, same.Change.MaxAbsolute));
    }

    /// <summary>A block of 32 with the scale 0.5 (and least value -1), its first weights worked by hand from ggml-quants.c.</summary>
    [Theory]
    [InlineData(8u, 34, new byte[] { 0x00, 0x38, 0xFF, 0x02 }, new[] { -0.5, 1 })] // Q8_0: -1, 2
    [InlineData(2u, 18, new byte[] { 0x00, 0x38, 0x0F, 0x00 }, new[] { 3.5, -4 })] // Q4_0: 15 - 8, 0 - 8
    [InlineData(3u, 20, new byte[] { 0x00, 0x38, 0x00, 0xBC, 0x0F, 0x02 }, new[] { 6.5, 0 })] // Q4_1: 15 × 0.5 - 1, 2 × 0.5 - 1
    [InlineData(6u, 22, new byte[] { 0x00, 0x38, 0x01, 0, 0, 0, 0x0F, 0x02 }, new[] { 7.5, -7 })] // Q5_0: 31 - 16, 2 - 16
    [InlineData(7u, 24, new byte[] { 0x00, 0x38, 0x00, 0xBC, 0x01, 0, 0, 0, 0x0F, 0x02 }, new[] { 14.5, 0 })] // Q5_1
    public void Simple_blocks_are_dequantised(uint type, int size, byte[] start, double[] first)
    {
        var block = new byte[size];
        start.CopyTo(block, 0);
        var zero = Between(new GgufWriter().Tensor("w", type, 0, 32).With(block), new GgufWriter().Tensor("w", 28, 0, 32).With(Doubles(first, 32)));

        // Weights after the first two are one and the same number; the file of doubles has 0 there.
        var change = Assert.Single(zero.Tensors).Change!;
        var rest = type switch { 2 => 4.0, 3 or 7 => 1, 6 => 8, _ => 0 };
        Assert.Equal((rest, rest == 0 ? 0L : 30L), (change.MaxAbsolute, change.Changed));
    }

    static byte[] Doubles(double[] first, int count) => [.. first.Concat(new double[count - first.Length]).SelectMany(BitConverter.GetBytes)];

    [Fact]
    public void External_data_is_read_where_the_caller_finds_it()
    {
        var outside = new byte[4096 + 64];
        var before = Content(Onnx());
        var after = before with { External = path => path == "weights/w.bin" ? new MemorySource(outside) : null };

        Assert.Equal(Changed, Assert.Single(ModelDiff.Between(before, after).Tensors, tensor => tensor.Name == "outside").Kind); // not at hand: nobody knows
        Assert.All(ModelDiff.Between(after, after).Tensors, tensor => Assert.Equal(Same, tensor.Kind));
        Assert.Throws<MalformedFileException>(() => ModelDiff.Between(after, after with { External = _ => new MemorySource(new byte[9]) }));
    }

    /// <summary>Counts of same, changed, reshaped, renamed, added and removed tensors in published pairs.</summary>
    [Theory]
    [InlineData("silero_vad_onnx", "onnx", 317, 28, 0, 0, 0, 0)] // retrained but for its STFT
    [InlineData("magika_onnx", "onnx", 11, 8, 3, 5, 1, 1)]
    [InlineData("yunet_onnx", "onnx", 82, 0, 0, 39, 3, 12)] // exported again: every float is the same under a new number
    [InlineData("face_ckpt_pth", "pth", 0, 244, 0, 0, 0, 0)] // trained on
    [InlineData("silero_vad_jit", "jit", 5, 28, 0, 0, 0, 0)]
    [InlineData("pose_landmark_tflite", "tflite", 7, 160, 0, 5, 14, 1)]
    [InlineData("hand_landmark_tflite", "tflite", 1, 102, 0, 0, 0, 0)]
    [InlineData("face_landmarker_task", "task", 530, 0, 0, 0, 0, 0)] // metadata only
    [InlineData("mobilenet_v2_quant_tflite", "tflite", 107, 0, 0, 0, 0, 0)]
    [InlineData("vww_int8_tflite", "tflite", 7, 56, 0, 0, 0, 0)]
    [InlineData("vocab_falcon_gguf", "gguf", 0, 0, 0, 0, 0, 0)]
    public void Published_pairs_differ_as_their_history_says(string pair, string extension, int same, int changed, int reshaped, int renamed, int added, int removed)
    {
        if (!SharedFiles.TryRead($"models/{pair}/old.{extension}", out var old) || !SharedFiles.TryRead($"models/{pair}/new.{extension}", out var entry))
            return;
        var diff = Between(old, entry);

        Assert.Equal([same, changed, reshaped, renamed, added, removed], Enum.GetValues<TensorChange>().Select(diff.Count));
        Assert.Equal(diff.New.Tensors.Length, same + changed + reshaped + renamed + added);
        Assert.Equal(diff.Old.Tensors.Length, same + changed + reshaped + renamed + removed);
    }

    [Fact]
    public void A_file_is_the_same_as_itself()
    {
        var diff = Between(Task(), Task());

        Assert.True(diff.SameFile);
        Assert.All(diff.Tensors, tensor => Assert.Equal(Same, tensor.Kind));
        Assert.Empty(diff.Facts);
    }
}
