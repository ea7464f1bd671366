using Coppice.Formats;

namespace Coppice.Core.Tests.Formats;

/// <summary>The smallest useful file of each format, made by hand.</summary>
static class SmallModels
{
    public static byte[] Floats(params ReadOnlySpan<float> values)
    {
        var bytes = new byte[values.Length * sizeof(float)];
        System.Runtime.InteropServices.MemoryMarshal.AsBytes(values).CopyTo(bytes);
        return bytes;
    }

    public static ProtoWriter OnnxTensor(string name, long type, long[] shape, byte[] raw) =>
        new ProtoWriter().Packed(1, shape).Number(2, type).Text(8, name).Data(9, raw);

    public static ProtoWriter OnnxValue(string name, long type, params ReadOnlySpan<long> shape)
    {
        var sizes = new ProtoWriter();
        foreach (var size in shape)
            sizes.Message(1, size < 0 ? new ProtoWriter().Text(2, "batch") : new ProtoWriter().Number(1, size));
        return new ProtoWriter().Text(1, name).Message(2, new ProtoWriter().Message(1, new ProtoWriter().Number(1, type).Message(2, sizes)));
    }

    public static ProtoWriter OnnxNode(string op, string output, params ReadOnlySpan<ProtoWriter> attributes)
    {
        var node = new ProtoWriter().Text(2, output).Text(4, op);
        foreach (var attribute in attributes)
            node.Message(5, attribute);
        return node;
    }

    public static byte[] OnnxModel(ProtoWriter graph) => new ProtoWriter()
        .Number(1, 8).Text(2, "test").Text(3, "1").Message(7, graph)
        .Message(8, new ProtoWriter().Text(1, "").Number(2, 17))
        .Message(14, new ProtoWriter().Text(1, "purpose").Text(2, "a test")).Bytes;

    /// <summary>Raw, float list, varint list, sparse and external tensors, a Constant, and an If with a tensor in its branch.</summary>
    public static byte[] Onnx()
    {
        var branch = new ProtoWriter().Message(5, OnnxTensor("inner", 1, [2], Floats(5, 6)));
        var sparse = new ProtoWriter().Message(1, OnnxTensor("thin", 1, [1], Floats(9))).Message(2, OnnxTensor("", 7, [1], BitConverter.GetBytes(3L))).Packed(3, 8);
        var external = new ProtoWriter().Packed(1, 4, 4).Number(2, 1).Text(8, "outside").Number(14, 1)
            .Message(13, new ProtoWriter().Text(1, "location").Text(2, "./weights/w.bin"))
            .Message(13, new ProtoWriter().Text(1, "offset").Text(2, "4096"));
        return OnnxModel(new ProtoWriter()
            .Message(1, OnnxNode("Constant", "seven", new ProtoWriter().Text(1, "value").Message(5, OnnxTensor("", 1, [], Floats(7)))))
            .Message(1, OnnxNode("If", "chosen", new ProtoWriter().Text(1, "then_branch").Message(6, branch)))
            .Text(2, "small")
            .Message(5, OnnxTensor("raw", 1, [2, 2], Floats(1, 2, 3, 4)))
            .Message(5, new ProtoWriter().Packed(1, 3).Number(2, 1).Data(4, Floats(1, 2, 3)).Text(8, "list"))
            .Message(5, new ProtoWriter().Packed(1, 3).Number(2, 7).Packed(7, 1, 300, -1).Text(8, "varints"))
            .Message(5, external)
            .Message(11, OnnxValue("x", 1, -1, 4)).Message(11, OnnxValue("raw", 1, 2, 2)).Message(12, OnnxValue("y", 1, -1, 2))
            .Message(15, sparse));
    }

    public static byte[] Gguf() => new GgufWriter()
        .Pair("general.architecture", "llama")
        .Pair("list", 9, [.. BitConverter.GetBytes(4u), .. BitConverter.GetBytes(20ul), .. new byte[80]])
        .Pair("texts", 9, [.. BitConverter.GetBytes(8u), .. BitConverter.GetBytes(2ul), 1, 0, 0, 0, 0, 0, 0, 0, (byte)'a', 1, 0, 0, 0, 0, 0, 0, 0, (byte)'b'])
        .Tensor("blocks", 2, 0, 64, 2) // Q4_0
        .Tensor("plain", 0, 96, 3)
        .With(new byte[96 + 12]);

    public static byte[] Safetensors() => SafetensorsOf(
        """{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},"b":{"dtype":"BF16","shape":[3],"data_offsets":[16,22]}}""", 22);

    public static byte[] SafetensorsOf(string header, int data)
    {
        var json = System.Text.Encoding.UTF8.GetBytes(header);
        return [.. BitConverter.GetBytes((ulong)json.Length), .. json, .. new byte[data]];
    }

    public static FlatNode TfliteModel(FlatNode[] buffers, params FlatNode[] tensors) => new(
        (0, 3),
        (1, new[] { new FlatNode((0, (sbyte)3), (3, 3)), new FlatNode((0, (sbyte)32), (1, "Special"), (3, 32)) }),
        (2, new[] { new FlatNode(
            (0, tensors), (1, new[] { 0 }), (2, new[] { 0 }),
            (3, new[] { new FlatNode((0, 0)), new FlatNode((0, 1)) }), (4, "main")) }),
        (4, buffers),
        (6, new[] { new FlatNode((0, "min_runtime_version"), (1, 2)) }),
        (7, new[] { new FlatNode((0, new[] { new FlatNode((0, "picture"), (1, 0)) }), (1, Array.Empty<FlatNode>()), (2, "serving_default"), (4, 0)) }));

    public static byte[] Tflite() => FlatWriter.Write(
        TfliteModel(
            [new FlatNode(), new FlatNode((0, new byte[] { 1, 2, 3, 4 })), new FlatNode((0, "1.5.0"u8.ToArray()))],
            new FlatNode((0, new[] { 1, 4 }), (1, (sbyte)9), (2, 0), (3, "x"), (4, new FlatNode((2, new[] { 0.5f }), (3, new[] { -1L }))), (7, new[] { -1, 4 })),
            new FlatNode((0, new[] { 2, 2 }), (1, (sbyte)9), (2, 1), (3, "w"), (4, new FlatNode((2, new[] { 0.25f, 0.5f }), (3, new[] { 0L, 0L }), (6, 1))))),
        "TFL3");

    public static byte[] Torch(bool zip64 = false) => new ZipWriter { Zip64 = zip64 }
        .Add("net/data.pkl", StateDict(false).End())
        .Add("net/version", "3\n"u8)
        .Add("net/data/0", Floats(1, 2, 3, 4, 5, 6))
        .Add("net/data/1", BitConverter.GetBytes(7L))
        .End();

    static PickleWriter StateDict(bool legacy) => new PickleWriter()
        .Global("collections", "OrderedDict").Op(')').Op('R').Op('(')
        .Text("layer.weight").Tensor("FloatStorage", "0", 6, 0, [2, 3], [3, 1], legacy)
        .Text("steps").Tensor("LongStorage", "1", 1, 0, [], [], legacy)
        .Op('u');

    public static byte[] TorchLegacy() =>
    [
        0x80, 2, 0x8A, 0x0A, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19, (byte)'.',
        .. new PickleWriter().Number(1001).End(),
        .. new PickleWriter().Op('}').End(),
        .. StateDict(true).End(),
        .. new PickleWriter().Op(']').Op('(').Text("0").Text("1").Op('e').End(),
        .. BitConverter.GetBytes(6L), .. Floats(1, 2, 3, 4, 5, 6), .. BitConverter.GetBytes(1L), .. BitConverter.GetBytes(7L),
    ];

    public static byte[] Task() => new ZipWriter().Add("one.tflite", Tflite()).Add("readme.txt", "words"u8).Add("two.tflite", Tflite()).End();

    /// <summary>Every format with its small file.</summary>
    public static (ModelFormat Format, byte[] Bytes)[] All() =>
    [
        (ModelFormat.Onnx, Onnx()), (ModelFormat.Gguf, Gguf()), (ModelFormat.Safetensors, Safetensors()), (ModelFormat.Tflite, Tflite()),
        (ModelFormat.Torch, Torch()), (ModelFormat.Torch, Torch(zip64: true)), (ModelFormat.TorchLegacy, TorchLegacy()), (ModelFormat.Zip, Task()),
    ];

    public static ModelFile Read(byte[] bytes) => ModelReader.Read(new MemorySource(bytes));
}
