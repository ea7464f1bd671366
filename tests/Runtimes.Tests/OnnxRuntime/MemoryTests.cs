using Coppice.Formats;
using Coppice.Inference;

namespace Coppice.Runtimes.OnnxRuntime.Tests;

/// <summary>Tests that measure the process run alone.</summary>
[CollectionDefinition(nameof(Alone), DisableParallelization = true)]
public sealed class Alone;

[Collection(nameof(Alone))]
public sealed class MemoryTests
{
    [Fact]
    public void A_hundred_thousand_runs_leave_no_memory_behind()
    {
        using var session = Load(TinyModel.Add(), SessionLimits.None);
        using var strings = Load(TinyModel.Pass(TinyModel.String), SessionLimits.None);
        using var live = new CancellationTokenSource();
        var (a, b, text) = (Tensor.Of(new float[4], 1, 4), Tensor.Of(new float[4], 1, 4), Tensor.Of(["a", new string('b', 100)], 2));

        var growth = GrowthOf(rounds: 100_000, warmUp: 20_000, round =>
        {
            using var result = session.Run([a, b], round % 4 == 0 ? live.Token : default);
            if (round % 16 != 0)
                return;
            using var texts = strings.Run([text]);
            Assert.Equal(2, texts.StringsOf(0).Length);
            Assert.Throws<InferenceException>(() => session.Run([a]));
        });

        // One forgotten native value a run would be 20 MB or more; the heaps of .NET and malloc settle within a few.
        Assert.True(growth < 16_000_000, $"100,000 runs grew the process by {growth:N0} bytes");
    }

    [Fact]
    public void A_thousand_loads_leave_no_memory_behind()
    {
        var model = TinyModel.MatMul(64, 1);
        var values = new float[64];

        var growth = GrowthOf(rounds: 1_000, warmUp: 300, round =>
        {
            using var session = Load(model, new SessionLimits(IntraOpThreads: 1, MemoryBytes: round % 2 == 0 ? 1_000_000 : 0));
            using var result = session.Run([Tensor.Of(values, 1, 64)]);
        });

        // One session kept in 20 would be more (each takes some 300 kB); malloc's arenas settle after about 1,500 loads, within 12 MB.
        Assert.True(growth < 16_000_000, $"1,000 loads grew the process by {growth:N0} bytes");
    }

    [Fact]
    public void A_warm_run_allocates_only_its_result()
    {
        using var session = Load(TinyModel.Add(), SessionLimits.None);
        Tensor[] inputs = [Tensor.Of(new float[4], 1, 4), Tensor.Of(new float[4], 1, 4)];
        for (var round = 0; round < 100; round++)
            session.Run(inputs).Dispose();

        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var round = 0; round < 1_000; round++)
            session.Run(inputs).Dispose();
        var bytes = (GC.GetAllocatedBytesForCurrentThread() - before) / 1_000.0;

        Assert.True(bytes <= 64, $"a run allocates {bytes} managed bytes");
    }

    [Fact]
    public void A_limit_stops_a_run_that_wants_more_and_the_session_goes_on()
    {
        // x [n, 256] · w: the output alone takes n KiB.
        using var session = Load(TinyModel.MatMul(256, 1), new SessionLimits(IntraOpThreads: 1, MemoryBytes: 2_000_000));

        using (session.Run([Tensor.Of(new float[256 * 1_000], 1_000, 256)]))
            Assert.InRange(session.Memory.PeakBytes, 1_024_000, 2_000_000);
        var refusal = Assert.Throws<InferenceException>(() => session.Run([Tensor.Of(new float[256 * 4_000], 4_000, 256)]));
        Assert.Equal(InferenceFault.Memory, refusal.Fault);
        Assert.Contains("Raise the memory limit", refusal.Message, StringComparison.Ordinal);
        session.Run([Tensor.Of(new float[256], 1, 256)]).Dispose();
        Assert.True(session.Memory.ReservedBytes <= 2_000_000);
    }

    [Fact]
    public void Each_session_has_its_own_limit()
    {
        using var small = Load(TinyModel.MatMul(256, 1), new SessionLimits(MemoryBytes: 2_000_000));
        using var free = Load(TinyModel.MatMul(256, 1), SessionLimits.None);
        using var large = Load(TinyModel.MatMul(256, 1), new SessionLimits(MemoryBytes: 64_000_000));
        Tensor[] inputs = [Tensor.Of(new float[256 * 4_000], 4_000, 256)];

        Assert.Throws<InferenceException>(() => small.Run(inputs));
        free.Run(inputs).Dispose();
        large.Run(inputs).Dispose();
        Assert.Throws<InferenceException>(() => small.Run(inputs));
    }

    [Fact]
    public void Weights_past_the_limit_are_refused_when_the_model_is_loaded()
    {
        var refusal = Assert.Throws<InferenceException>(() => Load(TinyModel.MatMul(512, 1), new SessionLimits(MemoryBytes: 500_000)));

        Assert.Equal(InferenceFault.Memory, refusal.Fault);
        Assert.Contains("past the limit of 500000", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_arena_counts_and_gives_back_what_it_is_asked_to()
    {
        using var session = OrtSession.Load(TinyModel.MatMul(256, 1));
        using var shrink = new OrtRunOptions();
        shrink.Set("memory.enable_memory_arena_shrinkage", "cpu:0");
        using var little = OrtValue.Over(Tensor.Of(new float[256 * 1_000], 1_000, 256));
        using var much = OrtValue.Over(Tensor.Of(new float[256 * 16_000], 16_000, 256));
        var outputs = new OrtValue?[1];

        session.Run([little], outputs);
        var before = session.Arena;
        Assert.True(before.MaxInUseBytes >= 1_024_000 && before.InUseBytes >= 1_024_000, $"{before}");
        Assert.Equal(-1, before.LimitBytes);
        outputs[0]!.Dispose();
        outputs[0] = null;
        session.Run([much], outputs);
        outputs[0]!.Dispose();
        outputs[0] = null;
        var grown = session.Arena;
        session.Run([little], outputs, shrink);
        outputs[0]!.Dispose();
        var after = session.Arena;

        Assert.True(grown.TotalBytes >= 16_384_000, $"{grown}");
        Assert.Equal((0, 1), (grown.Shrinkages, after.Shrinkages));
        Assert.True(after.TotalBytes <= grown.TotalBytes - 16_384_000, $"{after}");
    }

    static long GrowthOf(int rounds, int warmUp, Action<int> run)
    {
        for (var round = 0; round < warmUp; round++)
            run(round);
        var before = ResidentBytes();
        for (var round = 0; round < rounds; round++)
            run(round);
        return ResidentBytes() - before;
    }

    static long ResidentBytes()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        GC.Collect();
        return Environment.WorkingSet;
    }

    static IModelSession Load(byte[] model, SessionLimits limits) =>
        new OnnxRuntime().Load(ModelSource.InMemory(ModelFormat.Onnx, model), limits);
}
