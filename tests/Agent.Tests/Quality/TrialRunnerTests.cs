using System.Text;
using Coppice.Agent.Quality;
using Coppice.Formats;
using Coppice.Graph;
using Coppice.Inference;
using Coppice.Runtimes.OnnxRuntime;

namespace Coppice.Agent.Tests.Quality;

/// <summary>Trials of real graphs in the real runtime: y = x · w, whose largest element is worked by hand.</summary>
public sealed class TrialRunnerTests
{
    static readonly OnnxRuntime Runtime = new();

    static byte[] Scale(params float[] weights)
    {
        var graph = new GraphBuilder("scale");
        var x = graph.Input(new("x", ElementType.Float32, ["batch", weights.Length]));
        var y = graph.Node("Mul", [x, graph.Constant("w", weights, weights.Length)]);
        graph.Output(y, "y", ElementType.Float32, "batch", weights.Length);
        return OnnxWriter.ToBytes(new OnnxModel(graph.ToGraph(), [new("", 17)]));
    }

    static IModelSession Load(byte[] onnx) => Runtime.Load(ModelSource.InMemory(ModelFormat.Onnx, onnx), SessionLimits.None);

    static TrialReport Run(byte[] candidate, byte[]? serving = null, string? evaluation = null, string? golden = null, string? own = null)
    {
        using var incumbent = serving is null ? null : Load(serving);
        var report = new TrialRunner(TimeProvider.System).Run(
            () => Load(candidate), incumbent, new(Bytes(evaluation), Bytes(golden), Bytes(own)), CancellationToken.None);
        report.Session.Dispose();
        return report;

        static byte[]? Bytes(string? text) => text is null ? null : Encoding.UTF8.GetBytes(text);
    }

    // With weights 1, 1 the larger element wins; with 1, -1 the first does.
    const string Labelled = """
        {"inputs": {"x": [1, 2]}, "label": 1}
        {"inputs": {"x": [3, 2]}, "label": 0}
        {"inputs": {"x": [1, 4]}, "label": 1}
        {"inputs": {"x": [5, 4]}, "label": 0}
        """;

    [Fact]
    public void Accuracy_is_measured_on_both_sets_and_for_the_serving_release_on_the_devices_own()
    {
        var report = Run(Scale(1, -1), serving: Scale(1, 1), evaluation: Labelled, own: """{"inputs": {"x": [1, 2]}, "label": 1}""");

        Assert.Equal(0.5, report.Measures.ReleaseAccuracy);
        Assert.Equal(0, report.Measures.DeviceAccuracy);
        Assert.Equal(1, report.Measures.ServingAccuracy);
        Assert.Equal(5, report.Samples);
        Assert.NotNull(report.Measures.LatencyP95);
        Assert.Empty(report.Faults);
    }

    [Fact]
    public void Golden_outputs_show_a_runtime_that_computes_otherwise()
    {
        const string golden = """{"inputs": {"x": [1, 2]}, "expected": {"y": [2, 8]}}""";

        Assert.Equal(0, Run(Scale(2, 4), golden: golden).Measures.GoldenError);
        Assert.Equal(0.5, Run(Scale(2, 2), golden: golden).Measures.GoldenError!.Value, 1e-6); // |4 - 8| / 8
    }

    [Fact]
    public void A_release_whose_own_files_do_not_fit_it_is_at_fault_and_a_device_whose_data_do_not_fit_is_not()
    {
        const string other = """{"inputs": {"z": [1, 2]}, "label": 1}""";

        Assert.Contains("inputs.z is not of this model", Assert.Single(Run(Scale(1, 1), evaluation: other).Faults), StringComparison.Ordinal);
        var own = Run(Scale(1, 1), evaluation: Labelled, own: other);
        Assert.Empty(own.Faults);
        Assert.Contains("this device's own data", Assert.Single(own.Notes), StringComparison.Ordinal);
        Assert.Equal(1, own.Measures.ReleaseAccuracy);
    }

    [Fact]
    public void A_serving_release_with_other_inputs_is_not_compared() =>
        Assert.Null(Run(Scale(1, 1, 1), serving: Scale(1, 1), own: """{"inputs": {"x": [1, 2, 3]}, "label": 2}""").Measures.ServingAccuracy);

    [Fact]
    public void A_model_for_which_zeros_are_no_input_is_judged_on_real_samples_only()
    {
        // Reshape of [batch, n] to [batch, n/2, 2]: free n of 1 cannot be halved.
        var graph = new GraphBuilder("pairs");
        var x = graph.Input(new("x", ElementType.Float32, [1, "n"]));
        graph.Output(graph.Node("Reshape", [x, graph.Constant("pairs", [1L, -1, 2], 3)]), "y", ElementType.Float32, 1, "m", 2);
        var onnx = OnnxWriter.ToBytes(new OnnxModel(graph.ToGraph(), [new("", 17)]));

        Assert.Contains("zeros", Assert.Single(Run(onnx).Notes), StringComparison.Ordinal);
        Assert.Equal(1, Run(onnx, evaluation: """{"inputs": {"x": [1, 2, 3, 4]}, "label": 3}""").Measures.ReleaseAccuracy);
    }

    [Fact]
    public void A_model_that_does_not_load_is_refused_in_words() =>
        Assert.Throws<InferenceException>(() => Run([1, 2, 3]));

    [Fact]
    public void A_trial_can_be_stopped()
    {
        using var cancel = new CancellationTokenSource();
        cancel.Cancel();

        Assert.Throws<OperationCanceledException>(() => new TrialRunner(TimeProvider.System).Run(
            () => Load(Scale(1, 1)), null, new(Encoding.UTF8.GetBytes(Labelled), null, null), cancel.Token));
    }
}
