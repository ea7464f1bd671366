using System.Globalization;
using Coppice.Formats;
using Coppice.Graph;
using static Coppice.Cli.Quickstart.FaultClassifierFeatures;

namespace Coppice.Cli.Quickstart;

/// <summary>The classifier as an ONNX model: raw samples in, probabilities out.</summary>
public static class FaultClassifierGraph
{
    /// <summary>Input: Float32[batch, 1024], acceleration in g.</summary>
    public const string Input = "vibration";

    /// <summary>Output: Float32[batch, 4], in the order of <see cref="BearingState"/>.</summary>
    public const string Output = "probabilities";

    /// <summary>The version of ONNX's operators that the graph is written in.</summary>
    public const long Opset = 21;

    /// <summary>The model of a network.</summary>
    /// <param name="network">Its weights are copied.</param>
    /// <param name="version">The release, for people; stands in the metadata.</param>
    public static OnnxModel Of(FaultClassifierNetwork network, string version)
    {
        var graph = new GraphBuilder("bearing");
        var window = graph.Input(new(Input, ElementType.Float32, ["batch", BearingSimulation.WindowLength]));
        var along = graph.Constant("along", [1L], 1);
        var silence = graph.Constant("silence", [Silence]);
        var floor = graph.Constant("floor", [Floor]);

        var samples = graph.Node("Unsqueeze", [window, along]);
        var band = graph.Node(
            "Conv", [samples, graph.Constant("band", Band, 2, 1, BandTaps)], new OnnxAttribute.Ints("strides", [BandStride]));
        var power = graph.Node("Add", [Sum(graph, Square(graph, band), along), silence]);
        var envelope = graph.Node("Sqrt", [power]);
        var mean = graph.Node("ReduceMean", [envelope, along]);
        var swing = graph.Node("Sub", [graph.Node("Div", [envelope, mean]), graph.Constant("one", [1f])]);

        var filtered = graph.Node(
            "Conv", [samples, graph.Constant("slow", Slow, 1, 1, SlowTaps)], new OnnxAttribute.Ints("strides", [SlowStride]));
        var slow = graph.Node("Squeeze", [filtered, along]);
        var slowPower = graph.Node("Add", [graph.Node("ReduceMean", [Square(graph, slow), along]), silence]);

        var swingPower = Square(graph, swing);
        var features = graph.Node(
            "Concat",
            [
                Log(Spectrum(swing, "envelope_transform", EnvelopeTransform, EnvelopeLength, EnvelopeBins)),
                Log(graph.Node("Div", [Spectrum(slow, "slow_transform", SlowTransform, SlowLength, SlowBins), slowPower])),
                Log(graph.Node("ReduceMean", [swingPower, along])),
                Log(graph.Node("ReduceMean", [Square(graph, swingPower), along])),
                graph.Node("Log", [graph.Node("Div", [slowPower, Square(graph, mean)])]),
            ],
            new OnnxAttribute.Int("axis", 1));

        var values = graph.Node("Sub", [features, graph.Constant("feature_mean", network.Mean, Count)]);
        values = graph.Node("Mul", [values, graph.Constant("feature_scale", network.Scale, Count)]);
        for (var layer = 0; layer < FaultClassifierNetwork.Layers; layer++)
        {
            var (inputs, outputs) = (FaultClassifierNetwork.Widths[layer], FaultClassifierNetwork.Widths[layer + 1]);
            values = graph.Node("MatMul", [values, graph.Constant($"dense{layer}.weight", network.Weights(layer), inputs, outputs)]);
            values = graph.Node("Add", [values, graph.Constant($"dense{layer}.bias", network.Biases(layer), outputs)]);
            if (layer < FaultClassifierNetwork.Layers - 1)
                values = graph.Node("Relu", [values]);
        }
        graph.Output(graph.Node("Softmax", [values], new OnnxAttribute.Int("axis", -1)), Output, ElementType.Float32, "batch", FaultClassifierNetwork.Classes);

        return new(graph.ToGraph(), [new("", Opset)])
        {
            ProducerName = "coppice quickstart",
            DocString = "Tells a healthy rolling bearing from one with a defect of the outer race, the inner race or a ball.",
            MetadataProps =
            [
                new("classes", string.Join(',', Enum.GetNames<BearingState>())),
                new("sample_rate", BearingSimulation.SampleRate.ToString(CultureInfo.InvariantCulture)),
                new("version", version),
            ],
        };

        string Log(string value) => graph.Node("Log", [graph.Node("Add", [value, floor])]);

        string Spectrum(string value, string name, ReadOnlySpan<float> transform, int length, int bins)
        {
            var both = Square(graph, graph.Node("MatMul", [value, graph.Constant(name, transform, length, 2 * bins)]));
            var apart = graph.Node("Reshape", [both, graph.Constant($"{name}.apart", [-1L, 2, bins], 3)]);
            return Sum(graph, apart, along);
        }
    }

    static string Square(GraphBuilder graph, string value) => graph.Node("Mul", [value, value]);

    static string Sum(GraphBuilder graph, string value, string axes) =>
        graph.Node("ReduceSum", [value, axes], new OnnxAttribute.Int("keepdims", 0));
}
