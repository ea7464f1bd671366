using System.Text.Json;
using Coppice.Formats;
using Coppice.Inference;
using Coppice.Tests;

namespace Coppice.Runtimes.OnnxRuntime.Tests;

/// <summary>Real models give what they gave when their answers were recorded (check.json in each folder).</summary>
public sealed class RecordedOutputTests
{
    /// <summary>Folder, and the input rule of its check.json: x[i] = scale · sin(0.37 i) + offset.</summary>
    public static TheoryData<string, double, double> Models => new()
    {
        { "mlperf-tiny-ad", 10, 0 },
        { "mlperf-tiny-kws", 1, 0 },
        { "mlperf-tiny-resnet8", 100, 128 },
        { "mlperf-tiny-vww", 0.5, 0.5 },
        { "mnist-cnn", 127, 128 },
        { "squeezenet-fp16", 100, 128 },
        { "ultraface-rfb-320", 1, 0 },
    };

    [Theory, MemberData(nameof(Models))]
    public void A_real_model_gives_its_recorded_outputs(string folder, double scale, double offset)
    {
        if (!SharedFiles.TryFind(Path.Combine("models", folder), out var path))
            return;
        using var check = JsonDocument.Parse(File.ReadAllText(Path.Combine(path, "check.json")));
        using var session = new OnnxRuntime().Load(ModelSource.AtPath(ModelFormat.Onnx, Path.Combine(path, "model.onnx")), new SessionLimits(IntraOpThreads: 1));
        var input = Assert.Single(session.Inputs);

        using var result = session.Run([Sine(input, scale, offset)]);

        var expected = check.RootElement.GetProperty("outputs").EnumerateObject().ToList();
        Assert.Equal(expected.Select(output => output.Name), session.Outputs.Select(output => output.Name));
        for (var i = 0; i < result.Count; i++)
        {
            var values = Doubles(result, i);
            var output = expected[i].Value;
            Assert.Equal(output.GetProperty("count").GetInt32(), values.Length);
            Assert.Equal(output.GetProperty("argmax").GetInt32(), Array.IndexOf(values, values.Max()));
            var tolerance = result.TypeOf(i) == ElementType.Float16 ? 2e-3 : 1e-4; // other CPUs take other kernels
            var sum = output.GetProperty("sum").GetDouble();
            Assert.Equal(sum, values.Sum(), tolerance * Math.Max(1, values.Sum(Math.Abs)));
            var first = output.GetProperty("first").EnumerateArray().Select(number => number.GetDouble()).ToArray();
            for (var j = 0; j < first.Length; j++)
                Assert.True(Math.Abs(first[j] - values[j]) <= tolerance * Math.Max(1, Math.Abs(first[j])), $"{expected[i].Name}[{j}]: {values[j]}, not {first[j]}");
        }
    }

    [Fact]
    public void The_auto_encoder_scores_a_real_recording_as_its_authors_do()
    {
        if (!SharedFiles.TryFind("models/mlperf-tiny-ad", out var path))
            return;
        var recording = new float[200 * 128];
        Buffer.BlockCopy(File.ReadAllBytes(Path.Combine(path, "normal_id_01_00000000.bin")), 0, recording, 0, recording.Length * 4);
        using var session = new OnnxRuntime().Load(ModelSource.AtPath(ModelFormat.Onnx, Path.Combine(path, "model.onnx")), SessionLimits.None);

        var total = 0.0;
        for (var window = 0; window < 196; window++)
        {
            var frames = recording.AsSpan(window * 128, 640).ToArray();
            using var result = session.Run([Tensor.Of(frames, 1, 640)]);
            var rebuilt = result.Floats(0);
            for (var i = 0; i < 640; i++)
                total += Math.Pow(frames[i] - rebuilt[i], 2) / 640;
        }

        Assert.Equal(9.707108, total / 196, 2e-5);
    }

    static Tensor Sine(TensorSpec spec, double scale, double offset)
    {
        long[] shape = [.. spec.Shape.Select(dimension => Math.Max(dimension, 1))];
        var wave = Enumerable.Range(0, (int)shape.Aggregate(1L, (product, dimension) => product * dimension)).Select(i => scale * Math.Sin(0.37 * i) + offset);
        return spec.Type == ElementType.Float16
            ? Tensor.Of(wave.Select(value => (Half)value).ToArray(), shape)
            : Tensor.Of(wave.Select(value => (float)value).ToArray(), shape);
    }

    static double[] Doubles(InferenceResult result, int output) => result.TypeOf(output) == ElementType.Float16
        ? [.. result.Values<Half>(output).ToArray().Select(value => (double)value)]
        : [.. result.Floats(output).ToArray().Select(value => (double)value)];
}
