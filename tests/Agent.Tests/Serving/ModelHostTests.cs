using Coppice.Agent.Serving;
using Coppice.Agent.Slots;
using Coppice.Formats;
using Coppice.Inference;
using Coppice.Registry;
using Coppice.Trust;

namespace Coppice.Agent.Tests.Serving;

public sealed class ModelHostTests : IDisposable
{
    readonly TextRuntime runtime = new();
    readonly ModelHost host = new(Shop.Model);

    public void Dispose() => host.Dispose();

    LoadedRelease Load(int release)
    {
        var variant = new Variant("plain", [new("model.txt", Sha256Digest.Of([(byte)release]), 1)], ModelFormat.Opaque, "text");
        var version = SemanticVersion.Parse($"{release}.0.0");
        var slot = new Slot(version, Sha256Digest.Of(BitConverter.GetBytes(release)), "plain", "r", 1);
        var session = runtime.Load(ModelSource.InMemory(ModelFormat.Opaque, TextRuntime.Model($"{version}", $"answer {release}")), SessionLimits.None);
        return new(slot, new(1, Shop.Model, version, [variant]), variant, session, null, TimeProvider.System);
    }

    Slot Serve(int release, bool keep = false)
    {
        var loaded = Load(release);
        host.Prepare(loaded);
        host.Serve(loaded.Slot, keep);
        return loaded.Slot;
    }

    [Fact]
    public void A_lease_lives_until_it_is_given_back_and_the_last_one_unloads_the_release()
    {
        Serve(1);
        var first = host.Lease();
        var second = host.Lease();
        Serve(2);

        Assert.Equal(2, runtime.Open);
        Assert.Equal(1f, first.Run(Tensor.Of([0f], 1)).Floats(0)[0]);
        first.Dispose();
        Assert.Equal(2, runtime.Open);
        second.Dispose();
        second.Dispose(); // once more changes nothing
        Assert.Equal(1, runtime.Open);
        Assert.Throws<ObjectDisposedException>(() => second.Release);
    }

    [Fact]
    public void Every_lease_taken_after_a_switch_is_on_the_new_release()
    {
        Serve(1);
        Serve(2);
        using var lease = host.Lease();
        Assert.Equal("2.0.0", lease.Release.ToString());
    }

    [Fact]
    public void A_slot_is_held_as_long_as_a_lease_on_it_is_out()
    {
        var first = Serve(1);
        var lease = host.Lease();
        var second = Serve(2);
        Serve(3, keep: true);

        Assert.Equal(["3.0.0", "2.0.0", "1.0.0"], host.Held().Select(slot => slot.Release.ToString()));
        lease.Dispose();
        Assert.DoesNotContain(first, host.Held());
        host.DropStandby();
        Assert.DoesNotContain(second, host.Held());
    }

    [Fact]
    public void Going_back_to_a_release_that_was_kept_loads_nothing()
    {
        var first = Serve(1);
        Serve(2, keep: true);
        Assert.Equal(2, runtime.Open);

        Assert.True(host.CanServe(first));
        host.Serve(first, keep: false);

        Assert.Equal(1, runtime.Open);
        Assert.Equal("1.0.0", host.Serving!.Slot.Release.ToString());
    }

    [Fact]
    public async Task Waiting_ends_when_a_release_serves_and_begins_again_when_none_does()
    {
        var waiting = host.WaitAsync(default);
        Assert.False(waiting.IsCompleted);
        Serve(1);
        await waiting;

        host.Serve(null, keep: false);
        Assert.False(host.WaitAsync(default).IsCompleted);
        var problem = Assert.Throws<ModelNotReadyException>(() => host.Lease());
        Assert.Contains("plant/bearing", problem.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_failed_run_counts_and_a_wrong_input_does_not()
    {
        runtime.Serving = () => "1.0.0";
        var variant = new Variant("plain", [new("m", Sha256Digest.Of([1]), 1)], ModelFormat.Opaque, "text");
        var version = SemanticVersion.Parse("1.0.0");
        var session = runtime.Load(ModelSource.InMemory(ModelFormat.Opaque, TextRuntime.Model("1.0.0", "fail 1")), SessionLimits.None);
        var loaded = new LoadedRelease(new(version, Sha256Digest.Of([2]), "plain", "r", 1), new(1, Shop.Model, version, [variant]), variant, session, null, TimeProvider.System);
        host.Prepare(loaded);
        host.Serve(loaded.Slot, keep: false);

        using var lease = host.Lease();
        var session2 = lease.Session;
        Assert.Throws<InferenceException>(() => session2.Run([Tensor.Of([0f], 1)]));

        Assert.Equal(new(1, 1), (loaded.Meter.Read().Runs, loaded.Meter.Read().Errors));
    }

    [Fact]
    public async Task Eight_threads_and_a_hundred_switches_give_no_failure_and_no_answer_of_another_release()
    {
        Serve(1);
        var runs = 0L;
        var acknowledged = 1; // the newest release whose switch has returned
        using var done = new CancellationTokenSource();
        var threads = Enumerable.Range(0, 8).Select(_ => Task.Factory.StartNew(() =>
        {
            float[] x = [0];
            var input = Tensor.Of(x, 1);
            while (!done.IsCancellationRequested)
            {
                var least = Volatile.Read(ref acknowledged);
                using var lease = host.Lease();
                using var answer = lease.Run(input);
                var release = (int)answer.Floats(0)[0];
                Assert.Equal(lease.Release.Major, release);
                Assert.True(release >= least, $"answered by {release} after the switch to {least} had returned");
                Interlocked.Increment(ref runs);
            }
        }, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default)).ToList();

        for (var release = 2; release <= 101; release++)
        {
            Serve(release, keep: release % 2 == 0);
            Volatile.Write(ref acknowledged, release);
            var before = Interlocked.Read(ref runs);
            SpinWait.SpinUntil(() => Interlocked.Read(ref runs) >= before + 16 || threads.Any(thread => thread.IsFaulted));
        }

        await done.CancelAsync();
        await Task.WhenAll(threads);
        host.Dispose();
        Assert.True(runs >= 1_600);
        Assert.Equal(0, runtime.Open);
    }
}
