using Coppice.Agent.Serving;
using Coppice.Agent.Slots;
using Coppice.Formats;
using Coppice.Inference;
using Coppice.Registry;
using Coppice.Trust;

namespace Coppice.Agent.Tests.Serving;

public sealed class ShadowRunTests : IDisposable
{
    static readonly TimeSpan Patience = TimeSpan.FromMinutes(5);

    readonly TextRuntime runtime = new();
    readonly ManualTime time = new();
    readonly ModelHost host = new(Shop.Model);
    readonly ManualResetEventSlim never = new(false);

    public void Dispose()
    {
        never.Set();
        host.Dispose();
    }

    LoadedRelease Load(int release, string behaviour)
    {
        var variant = new Variant("plain", [new("model.txt", Sha256Digest.Of([(byte)release]), 1)], ModelFormat.Opaque, "text");
        var version = SemanticVersion.Parse($"{release}.0.0");
        var session = runtime.Load(ModelSource.InMemory(ModelFormat.Opaque, TextRuntime.Model($"{version}", behaviour)), SessionLimits.None);
        return new(SlotOf(release), new(1, Shop.Model, version, [variant]), variant, session, null, time);
    }

    static Slot SlotOf(int release) => new(SemanticVersion.Parse($"{release}.0.0"), Sha256Digest.Of(BitConverter.GetBytes(release)), "plain", "r", 1);

    async Task<ShadowRun> ServeAsync(string behaviour, double share = 1, string answers = "answer 1")
    {
        var serving = Load(1, answers);
        host.Prepare(serving);
        host.Serve(serving.Slot, keep: false);
        var run = await ShadowRun.StartAsync(SlotOf(2), () => Load(2, behaviour), share, Patience, time, default);
        host.RunBeside(run);
        return run;
    }

    float Ask(float x = 0)
    {
        using var lease = host.Lease();
        using var answer = lease.Run(Tensor.Of([x], 1));
        return answer.Floats(0)[0];
    }

    /// <summary>Until so many runs are over.</summary>
    static void UntilRun(ShadowRun run, int runs) => Until(() => run.Read() is { Running: null } counts && counts.Runs.Runs == runs);

    static void Until(Func<bool> what) => Assert.True(SpinWait.SpinUntil(what, Patience));

    [Fact]
    public async Task Requests_are_copied_and_their_answers_compared()
    {
        var run = await ServeAsync("answer 1");
        for (var i = 1; i <= 12; i++)
        {
            Assert.Equal(1, Ask(i));
            UntilRun(run, i);
        }

        var counts = run.Read();
        Assert.Equal((12, 0, 0, 12, 12, 0), (counts.Runs.Runs, counts.Runs.Errors, counts.Dropped, counts.Compared, counts.Agreed, counts.Difference));
        Assert.Equal(12, counts.Answered.Runs);
    }

    [Fact]
    public async Task Another_answer_is_no_agreement_and_its_difference_is_known()
    {
        var run = await ServeAsync("answer 5", answers: "answer 2");
        Assert.Equal(2, Ask());
        UntilRun(run, 1);

        Assert.Equal((0, 1.5), (run.Read().Agreed, run.Read().Difference)); // |5 - 2| / max(1, 2)
    }

    [Fact]
    public async Task It_is_given_its_share_of_the_requests()
    {
        var run = await ServeAsync("answer 1", share: 0.25);
        for (var i = 1; i <= 40; i++)
        {
            Ask();
            UntilRun(run, i / 4);
        }

        Assert.Equal(0, run.Read().Dropped);
    }

    [Fact]
    public async Task A_shadow_that_never_answers_delays_no_request_and_what_it_cannot_take_is_counted()
    {
        runtime.OnRun = release =>
        {
            if (release == "2.0.0")
                never.Wait();
        };
        var run = await ServeAsync("answer 1");

        for (var i = 0; i < 100; i++)
            Assert.Equal(1, Ask());

        Assert.Equal(100 - 8, run.Read().Dropped); // as many as wait at most were copied, the one that hangs among them
        Until(() => run.Read().Running is not null);
        time.Advance(ShadowRun.LeastHang);
        Assert.False(run.Hangs(run.Read()));
        time.Advance(TimeSpan.FromSeconds(1));
        Assert.True(run.Hangs(run.Read()));

        host.DropShadow(); // waits for nobody either
        Assert.Equal(1, Ask());
        Assert.Contains(run.Slot, host.Held()); // its files may not go while it hangs
        never.Set();
        Until(() => run.IsOver);
        Assert.Equal(1, runtime.Open);
        Assert.DoesNotContain(run.Slot, host.Held());
    }

    [Fact]
    public async Task Whatever_goes_wrong_in_it_is_counted_and_reaches_no_request()
    {
        var faults = new Queue<Exception>([new InferenceException("it fails"), new InferenceException("not this input") { Fault = InferenceFault.Input }, new NotSupportedException("a bug")]);
        runtime.OnRun = release =>
        {
            if (release == "2.0.0" && faults.TryDequeue(out var fault))
                throw fault;
        };
        var run = await ServeAsync("answer 1");
        for (var i = 1; i <= 4; i++)
        {
            Assert.Equal(1, Ask());
            UntilRun(run, i);
        }

        Assert.Equal((3, 1, "a bug"), (run.Read().Runs.Errors, run.Read().Compared, run.Read().Trouble));
    }

    [Fact]
    public async Task It_ends_with_the_release_that_it_runs_beside()
    {
        var run = await ServeAsync("answer 1");
        var next = Load(3, "answer 3");
        host.Prepare(next);
        host.Serve(next.Slot, keep: false);

        Assert.Null(host.Shadow);
        Until(() => run.IsOver);
        Assert.Equal(1, runtime.Open);
        Assert.Equal(3, Ask());
        Assert.Equal(0, run.Read().Runs.Runs);
    }

    [Fact]
    public async Task A_request_beyond_the_memory_for_copies_is_dropped()
    {
        var run = await ServeAsync("answer 1");
        using var lease = host.Lease();
        var large = new float[(64 << 20) / 4 + 1];
        lease.Run(Tensor.Of(large, large.Length)).Dispose();

        Assert.Equal(1, run.Read().Dropped);
        Ask();
        UntilRun(run, 1);
    }

    [Fact]
    public async Task What_it_does_not_load_from_is_the_callers_and_a_load_without_end_is_left_behind()
    {
        await Assert.ThrowsAsync<InferenceException>(() => ShadowRun.StartAsync(SlotOf(2), () => Load(2, "refuse"), 1, Patience, time, default));

        runtime.OnLoad = _ => never.Wait();
        var loading = ShadowRun.StartAsync(SlotOf(2), () => Load(2, "answer 1"), 1, TimeSpan.FromMinutes(1), time, default);
        time.Advance(TimeSpan.FromMinutes(1));
        await Assert.ThrowsAsync<TimeoutException>(() => loading);
        never.Set();
        Until(() => runtime.Open == 0);
    }
}
