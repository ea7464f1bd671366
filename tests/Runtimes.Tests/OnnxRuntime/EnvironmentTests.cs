using Coppice.Inference;

namespace Coppice.Runtimes.OnnxRuntime.Tests;

public sealed class EnvironmentTests
{
    [Fact]
    public void The_library_that_is_loaded_is_the_one_that_package_json_pins()
    {
        Assert.Equal("1.30.0", OrtEnvironment.Version);
        Assert.Equal("1.30.0", new OnnxRuntime().Version);
        Assert.Equal("onnxruntime", new OnnxRuntime().Name);
        Assert.Contains("CPUExecutionProvider", OrtEnvironment.Providers);
        Assert.Contains("ORT Build Info", OrtEnvironment.BuildInfo, StringComparison.Ordinal);
        Assert.True(File.Exists(OrtEnvironment.LibraryPath));
    }

    [Fact]
    public void It_starts_once()
    {
        var refusal = Assert.Throws<InvalidOperationException>(() => OrtEnvironment.Start(new()));

        Assert.Contains("before the first session", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_listener_hears_why_a_run_failed_and_may_throw()
    {
        using var session = OrtSession.Load(TinyModel.Gather());
        using var x = OrtValue.Over(Tensor.Of([1f, 2], 2));
        using var i = OrtValue.Over(Tensor.Of([7L]));

        Assert.Throws<InferenceException>(() => session.Run([x, i], new OrtValue?[1]));

        Assert.Contains(TestEnvironment.Log, entry => entry.Level == OrtLogLevel.Error && entry.Text.Contains("Gather", StringComparison.Ordinal));
    }

    [Fact]
    public void Sessions_run_on_the_shared_pool()
    {
        using var session = OrtSession.Load(TinyModel.MatMul(64, 1), new() { SharedThreads = true });
        using var x = OrtValue.Over(Tensor.Of(Enumerable.Repeat(1f, 64 * 64).ToArray(), 64, 64));
        var outputs = new OrtValue?[1];

        session.Run([x], outputs);

        using var y = outputs[0]!;
        Assert.Equal(BitConverter.GetBytes(64f), y.Bytes[..4].ToArray());
    }
}
