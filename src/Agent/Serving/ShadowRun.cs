using System.Collections.Immutable;
using Coppice.Agent.Slots;
using Coppice.Formats;
using Coppice.Inference;
using Coppice.Quality;
using Coppice.Runtimes.Threads;

namespace Coppice.Agent.Serving;

/// <summary>A release that runs beside the serving one, on copies of a share of its requests, and answers nobody.</summary>
/// <remarks>
/// One thread of low priority loads it and runs it, so that the threads that its runtime starts are as low. A request is copied after it was computed, when the queue has room, and is
/// otherwise counted as dropped: it waits for nothing, and nothing that goes wrong here reaches it. A thread that never comes back from a run is left behind with the release that it holds.
/// </remarks>
public sealed class ShadowRun : IDisposable
{
    /// <summary>A run that takes longer than this hangs, unless the release was slow in trial. Generous: on a busy device its thread hardly runs, and no request waits for it.</summary>
    public static readonly TimeSpan LeastHang = TimeSpan.FromMinutes(5);

    const int HangFactor = 200; // of what 95 % of the runs took in trial

    /// <summary>How long disposing waits for a run to stop at its next node.</summary>
    static readonly TimeSpan LastRun = TimeSpan.FromSeconds(2);

    static readonly TimeSpan Nap = TimeSpan.FromMinutes(1); // only to look whether it is to end

    readonly TimeProvider time;
    readonly CancellationTokenSource ending = new();
    readonly TaskCompletionSource loading = new(TaskCreationOptions.RunContinuationsAsynchronously);
    readonly Thread worker;
    readonly RunMeter answered = new();
    readonly Lock counting = new(); // of the worker and of who reads; requests do not take it
    ShadowCopies? copies;
    LoadedRelease? loaded;
    long offered;
    long dropped;
    long began; // of the run that goes on; long.MinValue between runs
    long compared;
    long agreed;
    double largest;
    double share;
    string? trouble;

    ShadowRun(Slot slot, Func<LoadedRelease> load, double share, TimeProvider time)
    {
        (Slot, this.share, this.time, began) = (slot, share, time, long.MinValue);
        worker = new(() => Work(load)) { IsBackground = true, Name = $"coppice shadow {slot}" };
    }

    /// <summary>What runs.</summary>
    public Slot Slot { get; }

    /// <summary>The part of the requests that it is given.</summary>
    public double Share
    {
        get => Volatile.Read(ref share);
        set => Volatile.Write(ref share, value);
    }

    /// <summary>The loaded release; null before it is.</summary>
    internal LoadedRelease? Loaded => Volatile.Read(ref loaded);

    /// <summary>Its thread is done with it.</summary>
    public bool IsOver => !worker.IsAlive;

    /// <summary>Loads a release in a thread of its own, and gives it copies once it is attached.</summary>
    /// <param name="slot">What is loaded.</param>
    /// <param name="load">Loads it.</param>
    /// <param name="share">The part of the requests that it is given, above 0 and up to 1.</param>
    /// <param name="longest">How long loading may take.</param>
    /// <param name="time">Measures runs.</param>
    /// <param name="cancel">Ends the waiting; what is loaded all the same is let go of.</param>
    /// <exception cref="InferenceException">It does not load.</exception>
    /// <exception cref="TimeoutException">It takes too long.</exception>
    /// <exception cref="DamagedSlotException">A file is not what was signed.</exception>
    public static async Task<ShadowRun> StartAsync(Slot slot, Func<LoadedRelease> load, double share, TimeSpan longest, TimeProvider time, CancellationToken cancel)
    {
        var run = new ShadowRun(slot, load, share, time);
        run.worker.Start();
        try
        {
            await run.loading.Task.WaitAsync(longest, time, cancel);
        }
        catch (Exception e) when (e is TimeoutException or OperationCanceledException)
        {
            if (run.loading.TrySetException(e))
                throw;
            run.Abandon(); // it came in the same moment
            throw;
        }

        return run;
    }

    /// <summary>Why it cannot be given the requests of a release that serves; null when it can.</summary>
    public string? Misfit(LoadedRelease serving)
    {
        if (serving.Session is not { } other || Loaded?.Session is not { } own)
            return $"{serving.Slot} is run by the app itself, and its requests cannot be copied";
        static string Inputs(ImmutableArray<TensorSpec> inputs) => string.Join(", ", inputs);
        return own.Inputs.Length == other.Inputs.Length && own.Inputs.Zip(other.Inputs).All(pair => (pair.First.Name, pair.First.Type) == (pair.Second.Name, pair.Second.Type) && Takes(pair.First, pair.Second))
            ? null
            : $"it takes {Inputs(own.Inputs)}, and cannot be given the requests of {serving.Slot}, which takes {Inputs(other.Inputs)}";
    }

    /// <summary>Whether shapes of one input can ever stand in another.</summary>
    static bool Takes(TensorSpec own, TensorSpec other) => own.AnyRank || other.AnyRank
        || (own.Shape.Length == other.Shape.Length && own.Shape.Zip(other.Shape).All(pair => pair.First < 0 || pair.Second < 0 || pair.First == pair.Second));

    /// <summary>A request was answered. Copies it, when its turn has come and there is room. Never throws, and never waits.</summary>
    /// <param name="inputs">What was asked.</param>
    /// <param name="result">What was answered.</param>
    /// <param name="took">How long that took.</param>
    internal void Offer(ReadOnlySpan<Tensor> inputs, InferenceResult result, TimeSpan took)
    {
        var turn = Interlocked.Increment(ref offered);
        var part = Share;
        if (Math.Floor(turn * part) <= Math.Floor((turn - 1) * part) || copies is not { } queue)
            return;
        try
        {
            if (queue.TryAdd(inputs, result))
                answered.Count(took, failed: false);
            else
                Interlocked.Increment(ref dropped);
        }
        catch (Exception) // no memory for the copy, or an output that cannot be read: the request is answered all the same, and the copy counts as dropped
        {
            Interlocked.Increment(ref dropped);
        }
    }

    /// <summary>What it has come to.</summary>
    public ShadowCounts Read()
    {
        // In this order: of the runs that are counted all but the one that goes on are compared.
        var runs = Loaded?.Meter.Read() ?? new(0, 0, TimeSpan.Zero);
        var began = Volatile.Read(ref this.began);
        lock (counting)
        {
            return new(runs, answered.Read(), Interlocked.Read(ref dropped), compared, agreed, largest)
            {
                Running = began == long.MinValue ? null : time.GetElapsedTime(began),
                RuntimeBytes = IsOver ? 0 : MemoryOf(Loaded),
                Trouble = trouble,
            };
        }
    }

    /// <summary>Whether the run that goes on will not come back.</summary>
    public bool Hangs(ShadowCounts counts) =>
        counts.Running is { } running && running > LeastHang && !(Slot.TrialLatency * HangFactor >= running);

    static long MemoryOf(LoadedRelease? release)
    {
        if (release is null || !release.TryHold())
            return 0;
        try
        {
            return release.Session?.Memory.PeakBytes ?? 0;
        }
        finally
        {
            release.LetGo();
        }
    }

    void Work(Func<LoadedRelease> load)
    {
        NativeThreads.LowerCalling();
        LoadedRelease release;
        try
        {
            release = load();
        }
        catch (Exception e) // the caller's, whatever it is
        {
            loading.TrySetException(e);
            return;
        }

        Volatile.Write(ref loaded, release);
        using var queue = new ShadowCopies(answers: release.Session?.Outputs is [var first, ..] && first.Type.BitsPerElement() >= 8);
        copies = queue;
        release.TryHold(); // until this thread is done; the caller has the other hold
        if (!loading.TrySetResult())
        {
            // Nobody waits for it any more.
            release.LetGo();
            release.LetGo();
            return;
        }

        try
        {
            while (!ending.IsCancellationRequested)
            {
                if (queue.Take(Nap) is not { } copy)
                    continue;
                RunOne(release, copy);
                queue.Return(copy);
            }
        }
        finally
        {
            release.LetGo();
        }
    }

    void RunOne(LoadedRelease release, ShadowCopy copy)
    {
        Volatile.Write(ref began, time.GetTimestamp());
        try
        {
            using var result = release.Metered!.Run(copy.Inputs, ending.Token);
            if (copy.Answered is { } given && Answer.Compare(given, result) is { } comparison)
            {
                lock (counting)
                    (compared, agreed, largest) = (compared + 1, agreed + (comparison.Agrees ? 1 : 0), Math.Max(largest, comparison.Difference));
            }
        }
        catch (OperationCanceledException) when (ending.IsCancellationRequested) // it is to end
        {
        }
        catch (Exception e) // a shadow's fault is counted, and ends nothing: the process serves others
        {
            if (e is not InferenceException { Fault: not InferenceFault.Input })
                release.Meter.Count(time.GetElapsedTime(began), failed: true); // what the serving release takes, it must take; the session has counted the others
            Volatile.Write(ref trouble, e.Message);
        }
        finally
        {
            Volatile.Write(ref began, long.MinValue);
        }
    }

    /// <summary>Ends it: the run that goes on is told to stop, and its thread unloads the release when it comes back.</summary>
    internal void End()
    {
        ending.Cancel();
        copies?.Wake();
    }

    /// <summary>Ends it where no host has taken it over.</summary>
    internal void Abandon()
    {
        End();
        Loaded?.LetGo();
    }

    /// <summary>Ends it, and gives the run that goes on a moment to stop.</summary>
    public void Dispose()
    {
        End();
        if (worker.IsAlive)
            worker.Join(LastRun);
    }
}

/// <summary>What a shadow has come to since it was loaded.</summary>
/// <param name="Runs">Its runs.</param>
/// <param name="Answered">The serving release on the same requests.</param>
/// <param name="Dropped">Requests whose turn had come and that were not copied, because as many waited already.</param>
/// <param name="Compared">Runs whose answer could be compared with the one that was given.</param>
/// <param name="Agreed">Of these, where it said the same.</param>
/// <param name="Difference">Largest difference from an answer that was given; see <see cref="AnswerComparison.Difference"/>.</param>
public sealed record ShadowCounts(RunCounts Runs, RunCounts Answered, long Dropped, long Compared, long Agreed, double Difference)
{
    /// <summary>How long the run that goes on has taken; null between runs.</summary>
    public TimeSpan? Running { get; init; }

    /// <summary>The most that its runtime's allocator had out for it.</summary>
    public long RuntimeBytes { get; init; }

    /// <summary>What the last failed run said; null when none failed.</summary>
    public string? Trouble { get; init; }
}
