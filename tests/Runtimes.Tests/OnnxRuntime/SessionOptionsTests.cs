using System.Runtime.InteropServices;
using Coppice.Formats;
using Coppice.Inference;
using Coppice.Runtimes.Tests;

namespace Coppice.Runtimes.OnnxRuntime.Tests;

public sealed class SessionOptionsTests
{
    public static TheoryData<string, OrtSessionOptions> Options => new()
    {
        { "defaults", new() },
        { "one thread", new() { IntraOpThreads = 1 } },
        { "operators side by side", new() { InterOpThreads = 2 } },
        { "as written", new() { Optimisation = GraphOptimisation.None } },
        { "no arena", new() { Arena = false, MemoryPattern = false } },
        { "bounded", new() { ArenaLimitBytes = 10_000_000 } },
        { "deterministic", new() { Deterministic = true } },
        { "mapped", new() { MapWeights = true } },
        { "any other setting", new() { Config = new Dictionary<string, string> { ["session.intra_op.allow_spinning"] = "0" } } },
    };

    [Theory, MemberData(nameof(Options))]
    public void Every_option_gives_the_same_answer(string what, OrtSessionOptions options)
    {
        using var session = OrtSession.Load(TinyModel.MatMul(32, 0.5f), options);
        using var x = OrtValue.Over(Tensor.Of(Enumerable.Repeat(1f, 32).ToArray(), 1, 32));
        var outputs = new OrtValue?[1];

        session.Run([x], outputs);

        using var y = outputs[0]!;
        Assert.True(MemoryMarshal.Cast<byte, float>(y.Bytes).IndexOfAnyExcept(16f) < 0, what);
        Assert.Equal(options.ArenaLimitBytes > 0 ? options.ArenaLimitBytes : options.Arena ? -1 : 0, session.Arena.LimitBytes);
    }

    [Fact]
    public void The_optimised_graph_can_be_kept()
    {
        using var temporary = new TemporaryFolder();
        var path = temporary.File("optimised.onnx");

        OrtSession.Load(TinyModel.Add(), new() { OptimisedModelPath = path }).Dispose();
        using var again = OrtSession.Load(path);

        Assert.Equal(["a", "b"], again.Inputs.Select(input => input.Name));
    }

    [Fact]
    public void Loading_can_be_cancelled()
    {
        Assert.ThrowsAny<OperationCanceledException>(() => OrtSession.Load(TinyModel.Add(), cancel: new CancellationToken(true)));
    }

    [Fact]
    public void A_runtime_lends_its_options_to_every_session_and_limits_come_on_top()
    {
        var runtime = new OnnxRuntime(new() { ArenaLimitBytes = 2_000_000 });
        var source = ModelSource.InMemory(ModelFormat.Onnx, TinyModel.MatMul(256, 1));
        Tensor[] inputs = [Tensor.Of(new float[256 * 4_000], 4_000, 256)];
        using var lent = runtime.Load(source, SessionLimits.None);
        using var raised = runtime.Load(source, new SessionLimits(MemoryBytes: 64_000_000));

        Assert.Equal(InferenceFault.Memory, Assert.Throws<InferenceException>(() => lent.Run(inputs)).Fault);
        raised.Run(inputs).Dispose();
    }
}
