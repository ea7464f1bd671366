using System.Collections.Immutable;
using System.Globalization;
using Coppice.Agent.Serving;
using Coppice.Agent.Slots;
using Coppice.Inference;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Rollouts;

namespace Coppice.Agent.Updates;

/// <summary>Runs a model's shadow while the model's update rests, and tells what came of it.</summary>
/// <remarks>
/// One at a time is loaded beside the serving release: a shadow ends before anything else is tried, and comes back when that has settled. As long as it is loaded, what ends the process
/// counts against it alone, and a shadow is never worth a second time.
/// </remarks>
sealed class ShadowCare(UpdateContext context)
{
    /// <summary>A load that takes longer hangs.</summary>
    static readonly TimeSpan LongestLoad = TimeSpan.FromMinutes(10);

    /// <summary>How often the figures of one that has settled are told again.</summary>
    static readonly TimeSpan TellAgain = TimeSpan.FromDays(1);

    const double AnySlowdown = 1e6;

    ShadowRun? watched;
    long since;
    ITimer? timer;
    volatile bool settled;
    volatile bool called;
    string? waits;
    bool rested;

    /// <summary>What the model's rest begins with. After a start the plan is read first: what it says of the serving release does not wait for a shadow to be loaded.</summary>
    public async Task<StepResult> RestAsync(UpdateState state, CancellationToken cancel)
    {
        var first = !rested;
        rested = true;
        if (state.Shadow is not { } shadow || state.Serving is not { Settled: true })
            return new(Outcome.Done, Pause(context, state), "nothing runs beside it");
        if (first)
        {
            context.Nudge(); // right after it
            return new(Outcome.Done, state, "the plan is read first");
        }

        return context.Host.Shadow is { } run && run.Slot.Folder == shadow.Slot.Folder ? Look(state, shadow, run) : await StartAsync(state, shadow, cancel);
    }

    /// <summary>The shadow is unloaded, for something else is to be loaded; it comes back with the next rest.</summary>
    public static UpdateState Pause(UpdateContext context, UpdateState state)
    {
        context.Host.DropShadow();
        return state.Shadow is { } shadow && state.ExposureOf(shadow.Slot).Open ? context.Unexpose(state, shadow.Slot) : state;
    }

    /// <summary>A state without the shadow, which did nothing wrong.</summary>
    public static UpdateState Without(UpdateState state) =>
        state.Shadow is { } shadow ? state with { Shadow = null, Exposures = state.Exposures.RemoveAll(known => known.Slot == shadow.Slot.Folder) } : state;

    /// <summary>A state in which a shadow has failed: it is not run again before a newer attempt, and what serves goes on.</summary>
    public static UpdateState TakenOff(UpdateState state, ShadowSlot shadow, DateTimeOffset now, string why, bool crash = false, ImmutableDictionary<string, double>? figures = null) =>
        Without(state).Refusing(shadow.Slot, why, crash)
            .Reporting(state.ReportOf(ReportKind.TakenBack, shadow.Slot, now, why) with { Shadow = true, Measures = UpdateState.Crashed(crash, figures) });

    async Task<StepResult> StartAsync(UpdateState state, ShadowSlot shadow, CancellationToken cancel)
    {
        var slot = shadow.Slot;
        if (state.ExposureOf(slot).Crashes >= CrashRule.Limit)
            return TakeOff(state, shadow, $"the process ended {state.ExposureOf(slot).Crashes} times while it was loaded", crash: true);
        try
        {
            var (manifest, variant) = context.Slots.Read(slot);
            if (VariantChoice.ChooseShadow(manifest with { Variants = [variant] }, context.Facts(), _ => long.MaxValue).Misfits is [var misfit, ..])
                return Wait(state, slot, string.Join(", and ", misfit.Reasons));
            state = context.Expose(state, slot);
            var run = await ShadowRun.StartAsync(slot, () => context.Loader.Load(slot, cancel), shadow.Terms.Share, LongestLoad, context.Time, cancel);
            return Attach(state, shadow, run);
        }
        catch (TimeoutException)
        {
            return TakeOff(state, shadow, $"it did not load within {Duration.Format(LongestLoad)}");
        }
        catch (InferenceException e) when (e.Fault == InferenceFault.Runtime) // what this program was installed with is at fault
        {
            return Wait(context.Unexpose(state, slot), slot, e.Message);
        }
        catch (InferenceException e)
        {
            return TakeOff(state, shadow, $"it does not load: {e.Message}");
        }
        catch (Exception e) when (e is DamagedSlotException or FileNotFoundException or DirectoryNotFoundException) // it is brought again
        {
            return new(Outcome.Done, Without(state), e.Message) { Event = (AgentEventKind.Damaged, e.Message) };
        }
    }

    StepResult Attach(UpdateState state, ShadowSlot shadow, ShadowRun run)
    {
        if (context.Host.Serving is not { } serving)
        {
            run.Abandon();
            return new(Outcome.Done, Pause(context, state), "nothing serves that it could run beside");
        }

        if (run.Misfit(serving) is { } misfit)
        {
            run.Abandon();
            return TakeOff(state, shadow, misfit);
        }

        context.Host.RunBeside(run);
        (watched, since, settled, called, waits) = (run, context.Time.GetTimestamp(), shadow.Slot.Settled, false, null);
        timer?.Dispose();
        timer = context.Time.CreateTimer(_ => Glance(), null, Pace, Timeout.InfiniteTimeSpan);
        if (settled) // it loads: two power cuts while it runs are nobody's fault
            state = state.With(state.ExposureOf(shadow.Slot) with { Crashes = 0 });
        var told = string.Create(CultureInfo.InvariantCulture, $"{shadow.Slot} runs beside {serving.Slot}, on {100 * run.Share:0.##} % of its requests, and answers none");
        return new(Outcome.Done, state, told) { Event = (AgentEventKind.ShadowStarted, told) };
    }

    TimeSpan Pace => TimeSpan.FromSeconds(Math.Clamp(context.Policy.Probation.Time.TotalSeconds / 20, 0.05, 30));

    /// <summary>Asks for a step as soon as there is something to tell; between polls nobody else looks.</summary>
    void Glance()
    {
        if (watched is not { } run || context.Host.Shadow != run)
            return;
        var outcome = Judge(run, run.Read()).Outcome;
        if (!called && (outcome == Outcome.Failed || (outcome == Outcome.Done && !settled)))
        {
            called = true;
            context.Nudge();
        }

        timer?.Change(Pace, Timeout.InfiniteTimeSpan);
    }

    ProbationVerdict Judge(ShadowRun run, ShadowCounts counts)
    {
        if (run.Hangs(counts))
            return new(Outcome.Failed, $"it hangs: a run has not ended for {Duration.Format(TimeSpan.FromSeconds(Math.Floor(counts.Running!.Value.TotalSeconds)))}");
        // How slow it is, gates judge: at low priority, a busy device is not the release's fault.
        var policy = context.Policy.Probation;
        policy = policy with { Runs = Math.Max(policy.Runs, policy.MinSample), MaxSlowdown = AnySlowdown };
        var verdict = ProbationVerdict.Judge(policy, new(null, null, context.Host.Serving?.Meter.Read()), counts.Runs, context.Time.GetElapsedTime(since));
        return verdict.Outcome == Outcome.Failed && counts.Trouble is { } trouble ? verdict with { Why = $"{verdict.Why}; the last one: {trouble}" } : verdict;
    }

    StepResult Look(UpdateState state, ShadowSlot shadow, ShadowRun run)
    {
        called = false;
        run.Share = shadow.Terms.Share;
        var (counts, now) = (run.Read(), context.Time.GetUtcNow());
        var verdict = Judge(run, counts);
        if (verdict.Outcome == Outcome.Failed)
            return TakeOff(state, shadow, verdict.Why, figures: Figures(shadow, counts));
        if (shadow.Slot.Settled ? counts.Runs.Runs == 0 || now - shadow.ToldAt < TellAgain : verdict.Outcome != Outcome.Done)
            return new(Outcome.Done, state, verdict.Why);

        settled = true;
        var slot = shadow.Slot with { Settled = true };
        var next = state with { Shadow = shadow with { Slot = slot, ToldAt = now } };
        next = next.With(next.ExposureOf(slot) with { Crashes = 0 });
        next = next.Reporting(next.ReportOf(ReportKind.Settled, slot, now) with { Shadow = true, Measures = Figures(shadow, counts) });
        var told = string.Create(CultureInfo.InvariantCulture, $"{slot} beside {state.Serving}: {counts.Runs.Runs} runs, {counts.Runs.Errors} failed, 95 % within {counts.Runs.LatencyP95.TotalMilliseconds:0.##} ms (what answers: {counts.Answered.LatencyP95.TotalMilliseconds:0.##} ms){(counts.Compared > 0 ? $", {100.0 * counts.Agreed / counts.Compared:0.#} % say the same" : "")}, {counts.Dropped} dropped");
        return new(Outcome.Done, next, told) { Event = (AgentEventKind.ShadowSettled, told) };
    }

    StepResult TakeOff(UpdateState state, ShadowSlot shadow, string why, bool crash = false, ImmutableDictionary<string, double>? figures = null)
    {
        context.Host.DropShadow();
        var told = $"{shadow.Slot} does not run beside {state.Serving} any more: {why}";
        return new(Outcome.Done, TakenOff(state, shadow, context.Time.GetUtcNow(), why, crash, figures ?? shadow.Measures), told) { Event = (AgentEventKind.ShadowEnded, told) };
    }

    /// <summary>It cannot run now, for a reason that passes.</summary>
    StepResult Wait(UpdateState state, Slot slot, string why)
    {
        var isNews = waits != why;
        waits = why;
        return new(Outcome.Done, state, why) { Event = isNews ? (AgentEventKind.Unfit, $"{slot} does not run beside {state.Serving} for now: {why}") : null };
    }

    static ImmutableDictionary<string, double> Figures(ShadowSlot shadow, ShadowCounts counts)
    {
        var figures = (shadow.Measures ?? ImmutableDictionary<string, double>.Empty)
            .SetItem("runs", counts.Runs.Runs).SetItem("errors", counts.Runs.Errors).SetItem("dropped", counts.Dropped);
        if (counts.Runs.Runs > 0)
            figures = figures.SetItem("latencyP95Ms", counts.Runs.LatencyP95.TotalMilliseconds);
        if (counts.Answered.Runs > 0)
            figures = figures.SetItem("servingLatencyP95Ms", counts.Answered.LatencyP95.TotalMilliseconds);
        if (counts.RuntimeBytes > 0)
            figures = figures.SetItem("runtimeMemoryBytes", counts.RuntimeBytes);
        if (counts.Compared == 0)
            return figures;
        figures = figures.SetItem(Gate.Agreement, counts.Agreed / (double)counts.Compared).SetItem("compared", counts.Compared);
        return double.IsFinite(counts.Difference) ? figures.SetItem(Gate.Difference, counts.Difference) : figures;
    }
}
