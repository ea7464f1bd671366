using System.Runtime.InteropServices;
using Coppice.Inference;
using Coppice.Runtimes.Tests;
using Coppice.Tests;

namespace Coppice.Runtimes.OnnxRuntime.Tests;

/// <summary>With in = 1, 1, 1, 1 the example gives 28, 32, 36, 40, and with its adapter 154 first and 220 last (its README).</summary>
public sealed class LoraAdapterTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void An_adapter_holds_for_the_runs_that_ask_for_it_and_no_other(bool fromMemory)
    {
        if (!SharedFiles.TryFind("models/ort-lora-example", out var folder))
            return;
        var file = Path.Combine(folder, "example_lora.onnx_adapter");
        using var session = OrtSession.Load(Path.Combine(folder, "example_lora.onnx"));
        using var adapted = new OrtRunOptions();
        using (var adapter = fromMemory ? LoraAdapter.Load(File.ReadAllBytes(file)) : LoraAdapter.Load(file))
            adapted.Activate(adapter); // the options hold on to it

        Assert.Equal(["lora_a", "lora_b"], session.Overridable.Select(weight => weight.Name).Order());
        for (var round = 0; round < 3; round++)
        {
            Assert.Equal([28, 32, 36, 40], Run(session, null));
            Assert.Equal((154, 220), (Run(session, adapted)[0], Run(session, adapted)[^1]));
        }
    }

    [Fact]
    public void A_file_that_is_no_adapter_is_refused()
    {
        using var temporary = new TemporaryFolder();
        var file = temporary.Write("adapter", "this is not a flatbuffer, but long enough to be looked at"u8);

        Assert.Contains(file, Assert.Throws<InferenceException>(() => LoraAdapter.Load(file)).Message, StringComparison.Ordinal);
        Assert.Throws<InferenceException>(() => LoraAdapter.Load("0123456789abcdef"u8));
        Assert.Throws<InferenceException>(() => LoraAdapter.Load([]));
        Assert.Throws<InferenceException>(() => LoraAdapter.Load(temporary.File("none")));
    }

    static float[] Run(OrtSession session, OrtRunOptions? options)
    {
        using var x = OrtValue.Over(Tensor.Of([1f, 1, 1, 1], 1, 4));
        var outputs = new OrtValue?[1];
        session.Run([x], outputs, options);
        using var y = outputs[0]!;
        return MemoryMarshal.Cast<byte, float>(y.Bytes).ToArray();
    }
}
