using System.Runtime.InteropServices;

namespace Coppice.Runtimes.OnnxRuntime.Tests;

/// <summary>ONNX models of a few nodes. Field numbers are those of onnx.proto; element types are its numbers.</summary>
static class TinyModel
{
    public const int Float = 1, Int32 = 6, Int64 = 7, String = 8, Bool = 9;

    /// <summary>A graph's parts: nodes (1), initialisers (5), inputs (11), outputs (12).</summary>
    public static byte[] Of(Proto graph, int opset = 21, int irVersion = 10, params (string Key, string Value)[] metadata)
    {
        var model = new Proto().Number(1, irVersion).Text(2, "coppice tests").Number(5, 7).Text(6, "tiny")
            .Message(7, graph.Text(2, "tiny")).Message(8, new Proto().Text(1, "").Number(2, opset));
        foreach (var (key, value) in metadata)
            model.Message(14, new Proto().Text(1, key).Text(2, value));
        return model.ToArray();
    }

    /// <summary>y = x of any element type, shape [n], by an operator that changes nothing about one dimension.</summary>
    public static byte[] Pass(int type, string op = "Identity", int opset = 21, int irVersion = 10) => Of(
        new Proto().Message(1, Node(op, ["x"], ["y"])).Message(11, Value("x", type, "n")).Message(12, Value("y", type, "n")), opset, irVersion);

    /// <summary>y = x as float32.</summary>
    public static byte[] ToFloat(int type, int opset = 25) => Of(
        new Proto().Message(1, Node("Cast", ["x"], ["y"]).Message(5, new Proto().Text(1, "to").Number(3, Float).Number(20, 2)))
            .Message(11, Value("x", type, "n")).Message(12, Value("y", Float, "n")), opset, 13);

    /// <summary>y = a + b, float32 [1, 4].</summary>
    public static byte[] Add(params (string Key, string Value)[] metadata) => Of(
        new Proto().Message(1, Node("Add", ["a", "b"], ["y"]))
            .Message(11, Value("a", Float, 1, 4)).Message(11, Value("b", Float, 1, 4)).Message(12, Value("y", Float, 1, 4)),
        metadata: metadata);

    /// <summary>y = x · w for float32 x [n, size]; w [size, size] holds one value everywhere, or lies in a file beside the model.</summary>
    public static byte[] MatMul(int size, float weight, string? file = null)
    {
        var w = new Proto().Number(1, size).Number(1, size).Number(2, Float).Text(8, "w");
        if (file is null)
        {
            var weights = new float[size * size];
            weights.AsSpan().Fill(weight);
            w.Bytes(9, MemoryMarshal.AsBytes(weights.AsSpan()));
        }
        else
        {
            w.Message(13, Entry("location", file)).Message(13, Entry("offset", "0")).Message(13, Entry("length", $"{4L * size * size}")).Number(14, 1);
        }
        return Of(new Proto().Message(1, Node("MatMul", ["x", "w"], ["y"])).Message(5, w)
            .Message(11, Value("x", Float, "n", (long)size)).Message(12, Value("y", Float, "n", (long)size)));
    }

    /// <summary>Adds one to x as often as <c>n</c> says: a run as long as a test wants.</summary>
    public static byte[] Loop()
    {
        var body = new Proto()
            .Message(1, Node("Identity", ["going"], ["go"])).Message(1, Node("Add", ["v", "one"], ["w"])).Text(2, "body")
            .Message(5, new Proto().Number(2, Float).Text(8, "one").Bytes(9, [0, 0, 0x80, 0x3f]))
            .Message(11, Value("i", Int64)).Message(11, Value("going", Bool)).Message(11, Value("v", Float, 1))
            .Message(12, Value("go", Bool)).Message(12, Value("w", Float, 1));
        var loop = Node("Loop", ["n", "", "x"], ["y"]).Message(5, new Proto().Text(1, "body").Message(6, body).Number(20, 5));
        return Of(new Proto().Message(1, loop).Message(11, Value("n", Int64)).Message(11, Value("x", Float, 1)).Message(12, Value("y", Float, 1)));
    }

    /// <summary>y = the element of x at i; a run with an index out of range fails inside the model.</summary>
    public static byte[] Gather() => Of(
        new Proto().Message(1, Node("Gather", ["x", "i"], ["y"]))
            .Message(11, Value("x", Float, "n")).Message(11, Value("i", Int64)).Message(12, Value("y", Float)));

    /// <summary>A sequence as output, which does not run here.</summary>
    public static byte[] Sequence() => Of(
        new Proto().Message(1, Node("SequenceConstruct", ["x"], ["y"])).Message(11, Value("x", Float, 1))
            .Message(12, new Proto().Text(1, "y").Message(2, new Proto().Message(4, new Proto().Message(1, new Proto().Message(1, new Proto().Number(1, Float)))))));

    public static Proto Node(string op, string[] inputs, string[] outputs)
    {
        var node = new Proto();
        foreach (var input in inputs)
            node.Text(1, input);
        foreach (var output in outputs)
            node.Text(2, output);
        return node.Text(4, op);
    }

    /// <summary>A graph input or output; a dimension is a size, or the name of a free one.</summary>
    public static Proto Value(string name, int type, params object[] dimensions)
    {
        var shape = new Proto();
        foreach (var dimension in dimensions)
            shape.Message(1, dimension is string free ? new Proto().Text(2, free) : new Proto().Number(1, Convert.ToInt64(dimension)));
        return new Proto().Text(1, name).Message(2, new Proto().Message(1, new Proto().Number(1, type).Message(2, shape)));
    }

    static Proto Entry(string key, string value) => new Proto().Text(1, key).Text(2, value);
}
