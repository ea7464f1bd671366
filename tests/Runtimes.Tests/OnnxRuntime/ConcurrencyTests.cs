using Coppice.Formats;
using Coppice.Inference;

namespace Coppice.Runtimes.OnnxRuntime.Tests;

public sealed class ConcurrencyTests
{
    /// <summary>So many rounds take minutes; a test that waits for them has failed.</summary>
    const long Endless = 2_000_000_000;

    [Fact]
    public void A_long_run_stops_soon_after_it_is_cancelled_and_the_session_goes_on()
    {
        using var session = Load(TinyModel.Loop());
        using var cancel = new CancellationTokenSource(TimeSpan.FromMilliseconds(50));

        var stopped = Assert.Throws<OperationCanceledException>(() => session.Run([Tensor.Of([Endless]), Tensor.Of([1f], 1)], cancel.Token));

        Assert.Equal(cancel.Token, stopped.CancellationToken);
        using var live = new CancellationTokenSource();
        for (var round = 0; round < 20; round++)
        {
            using var result = session.Run([Tensor.Of([3L]), Tensor.Of([1f], 1)], live.Token);
            Assert.Equal([4], result.Floats(0).ToArray());
        }
        Assert.ThrowsAny<OperationCanceledException>(() => session.Run([Tensor.Of([3L]), Tensor.Of([1f], 1)], new CancellationToken(true)));
    }

    [Fact]
    public async Task Options_stop_a_run_and_let_none_begin_until_resumed()
    {
        using var session = OrtSession.Load(TinyModel.Loop());
        using var x = OrtValue.Over(Tensor.Of([1f], 1));
        using var endless = OrtValue.Over(Tensor.Of([Endless]));
        using var three = OrtValue.Over(Tensor.Of([3L]));
        using var options = new OrtRunOptions();
        var outputs = new OrtValue?[1];

        var run = Task.Run(() => session.Run([endless, x], new OrtValue?[1], options));
        options.Terminate();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => run);
        Assert.True(options.Terminated);
        Assert.ThrowsAny<OperationCanceledException>(() => session.Run([three, x], outputs, options));

        options.Resume();
        session.Run([three, x], outputs, options);
        outputs[0]!.Dispose();
    }

    [Fact]
    public void Eight_threads_share_a_session_and_each_gets_its_own_answers()
    {
        using var session = Load(TinyModel.MatMul(16, 1));
        using var live = new CancellationTokenSource();

        Parallel.For(0, 8, new ParallelOptions { MaxDegreeOfParallelism = 8 }, thread =>
        {
            var values = new float[16];
            for (var round = 0; round < 500; round++)
            {
                values.AsSpan().Fill((thread * 1000) + round);
                using var result = session.Run([Tensor.Of(values, 1, 16)], round % 2 == 0 ? live.Token : default);
                Assert.Equal(16f * ((thread * 1000) + round), result.Floats(0)[15]);
            }
        });
    }

    [Fact]
    public async Task Disposing_of_a_session_lets_running_runs_end_and_refuses_later_ones()
    {
        for (var round = 0; round < 20; round++)
        {
            var session = Load(TinyModel.Loop());
            using var started = new CountdownEvent(4);
            var threads = Enumerable.Range(0, 4).Select(_ => Task.Factory.StartNew(() =>
            {
                var runs = 0;
                started.Signal();
                try
                {
                    while (true)
                    {
                        using var result = session.Run([Tensor.Of([200L]), Tensor.Of([0f], 1)]);
                        Assert.Equal(200, result.Floats(0)[0]);
                        runs++;
                    }
                }
                catch (ObjectDisposedException)
                {
                    return runs;
                }
            }, TaskCreationOptions.LongRunning)).ToArray();
            started.Wait();
            session.Dispose();
            await Task.WhenAll(threads);
        }
    }

    [Fact]
    public void Results_outlive_their_session_and_end_when_disposed_of()
    {
        var session = Load(TinyModel.Pass(TinyModel.Float));
        var result = session.Run([Tensor.Of([1f, 2, 3], 3)]);

        session.Dispose();

        Assert.Equal([1, 2, 3], result.Floats(0).ToArray());
        result.Dispose();
        result.Dispose();
        Assert.Throws<ObjectDisposedException>(() => result.Floats(0).Length);
        Assert.Throws<ObjectDisposedException>(() => session.Run([Tensor.Of([1f], 1)]));
        Assert.Throws<ObjectDisposedException>(() => session.Memory);
    }

    [Fact]
    public void Values_and_bindings_that_were_disposed_of_are_refused()
    {
        var session = OrtSession.Load(TinyModel.Pass(TinyModel.Float));
        var x = OrtValue.Over(Tensor.Of([1f], 1));
        using var binding = new OrtBinding(session);
        binding.BindInput("x", x);
        binding.BindOutput("y");
        x.Dispose();

        Assert.Throws<ObjectDisposedException>(() => session.Run([x], new OrtValue?[1]));
        Assert.Throws<ObjectDisposedException>(() => x.Bytes.Length);
        session.Dispose();
        Assert.Throws<ObjectDisposedException>(() => binding.Run());
    }

    static IModelSession Load(byte[] model) =>
        new OnnxRuntime().Load(ModelSource.InMemory(ModelFormat.Onnx, model), new SessionLimits(IntraOpThreads: 1));
}
