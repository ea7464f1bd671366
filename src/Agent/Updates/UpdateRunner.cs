using System.Collections.Frozen;
using Coppice.Agent.Link;
using Coppice.Agent.Slots;
using Coppice.Agent.Storage;
using Coppice.Inference;

namespace Coppice.Agent.Updates;

/// <summary>Runs the update of one model by <see cref="UpdateTable"/>: a step, then one durable write of what came of it and of the step that follows.</summary>
/// <remarks>One caller at a time. A write that fails takes the step back; it is run again.</remarks>
public sealed class UpdateRunner
{
    /// <summary>A server that asks for more than this is asked again anyway.</summary>
    static readonly TimeSpan LongestWait = TimeSpan.FromHours(6);

    const int MostStepsBack = 4;

    readonly UpdateContext context;
    readonly FrozenDictionary<UpdateStep, IUpdateStep> steps;
    UpdateState state;
    int failures;
    string? trouble;
    string? kept;
    volatile bool isInStep; // and nobody else's business

    /// <summary>A runner; <see cref="StartAsync(CancellationToken)"/> comes first.</summary>
    public UpdateRunner(UpdateContext context)
    {
        this.context = context;
        context.Sets.Add(this);
        state = new UpdateState { Model = context.Model };
        steps = new Dictionary<UpdateStep, IUpdateStep>
        {
            [UpdateStep.Idle] = new IdleStep(context),
            [UpdateStep.Decide] = new DecideStep(context),
            [UpdateStep.Fetch] = new FetchStep(context),
            [UpdateStep.Verify] = new VerifyStep(context),
            [UpdateStep.Stage] = new StageStep(context),
            [UpdateStep.Trial] = new TrialStep(context),
            [UpdateStep.Switch] = new SwitchStep(context),
            [UpdateStep.Probation] = new ProbationStep(context),
            [UpdateStep.Settle] = new SettleStep(context),
            [UpdateStep.TakeBack] = new TakeBackStep(context),
            [UpdateStep.Withdraw] = new WithdrawStep(context),
            [UpdateStep.Report] = new ReportStep(context),
        }.ToFrozenDictionary();
    }

    /// <summary>Where the update stands.</summary>
    public UpdateState State => state;

    /// <summary>What it works with.</summary>
    internal UpdateContext Context => context;

    /// <summary>Whether it waits at a step that sets take together, so that the one whose turn it is may act for it.</summary>
    internal bool IsAt(UpdateStep step) => !isInStep && state.Step == step;

    /// <summary>What the device's user answered.</summary>
    internal System.Collections.Immutable.ImmutableArray<Rollouts.ConsentAnswer> Answers() => context.Answers();

    /// <summary>Reads what was saved, counts crashes, and loads the serving release, without the network.</summary>
    /// <exception cref="InferenceException">The native library that the serving release needs cannot be loaded; what was saved stays.</exception>
    public Task StartAsync(CancellationToken cancel) => StartAsync([this], cancel);

    /// <summary>Starts the models of a device: what serves when this returns is of one set wherever a set was switched to.</summary>
    /// <exception cref="InferenceException">The native library that a serving release needs cannot be loaded; what was saved stays.</exception>
    public static async Task StartAsync(IReadOnlyList<UpdateRunner> runners, CancellationToken cancel)
    {
        if (runners.Count == 0)
            return;
        var sets = runners[0].context.Sets;
        sets.Recover();
        var outcomes = runners.ToDictionary(runner => runner, runner => runner.Wake());
        foreach (var runner in runners)
            await runner.LoadAsync(outcomes[runner], cancel);
        sets.Started();
        // What served before serves when this returns, as the serving one would have.
        for (var i = 0; i < MostStepsBack; i++)
        {
            foreach (var runner in runners.Where(runner => runner.GoesBack))
                await runner.StepAsync(cancel);
        }
    }

    bool GoesBack => state.Step is UpdateStep.TakeBack or UpdateStep.Withdraw || context.Sets.RecallOf(state) is not null;

    /// <summary>Reads what was saved and counts crashes.</summary>
    Outcome Wake()
    {
        state = context.Sets.FoundOf(context.Model) ?? Read();
        var outcome = Outcome.Restarted;
        var serving = state.Serving;
        foreach (var open in state.Exposures.Where(exposure => exposure.Open))
            context.Happened(AgentEventKind.Crashed, $"the process ended while {open.Slot} was exposed, for the {open.Crashes + 1}. time");
        if (serving is not null && CrashRule.Condemns(state.ExposureOf(serving), !serving.Settled, context.Boot))
        {
            outcome = Outcome.Crashed;
            state = state with { Complaint = new(serving.Settled ? "the process ended too often while it was loaded" : "the process ended on probation", Refuse: true, Crash: true) };
            if (serving.Set is not null)
                context.Sets.Recall(serving, state.Complaint);
        }

        // The shadow alone was exposed: while anything else is, it is not loaded.
        if (outcome == Outcome.Restarted && state.Shadow is { } shadow && !(serving is not null && state.ExposureOf(serving).Open) && CrashRule.Condemns(state.ExposureOf(shadow.Slot), probation: true, context.Boot))
        {
            state = ShadowCare.TakenOff(state, shadow, context.Time.GetUtcNow(), $"the process ended while it ran beside {serving}", crash: true, shadow.Measures);
            context.Happened(AgentEventKind.ShadowEnded, $"{shadow.Slot} does not run beside {serving} any more: the process ended while it did", shadow.Slot.Release);
        }

        state = state with { Exposures = [.. state.Exposures.Select(CrashRule.Count)] };
        return outcome;
    }

    async Task LoadAsync(Outcome outcome, CancellationToken cancel)
    {
        if (context.Sets.RecallOf(state) is { } recalled)
            (outcome, state) = (Outcome.Crashed, state with { Complaint = recalled });
        var goes = UpdateTable.Next(state.Step, outcome) is UpdateStep.TakeBack or UpdateStep.Withdraw;
        if (state.Serving is { } serving && !goes && await LoadAsync(serving, cancel) is { } complaint)
        {
            outcome = Outcome.Crashed;
            state = state with { Complaint = complaint };
        }

        state = state with { Step = UpdateTable.Next(state.Step, outcome) };
        TrySave(state);
        context.Needs.Set(context.Model, context.Slots.Needed(state.Slots()));
        Serve();
        Show(null, []);
    }

    /// <summary>Loads the serving release; returns why it cannot be.</summary>
    async Task<Complaint?> LoadAsync(Slot serving, CancellationToken cancel)
    {
        // Without this write a release that ends the process would do so for ever; with a full disk it is still served.
        TrySave(state = state.With(state.ExposureOf(serving) with { Open = true, Boot = context.Boot }));
        try
        {
            context.Host.Prepare(await Task.Run(() => context.Loader.Load(serving, cancel), cancel));
            if (serving.Settled)
            {
                state = state.With(state.ExposureOf(serving) with { Open = false, Crashes = 0 });
                context.Happened(AgentEventKind.Loaded, $"{serving} serves", serving.Release);
            }

            return null;
        }
        catch (InferenceException e) when (e.Fault != InferenceFault.Runtime)
        {
            state = state.With(state.ExposureOf(serving) with { Open = false });
            return new($"it does not load: {e.Message}", Refuse: true);
        }
        catch (Exception e) when (e is InferenceException || (e is IOException and not (FileNotFoundException or DirectoryNotFoundException)))
        {
            // What this program was installed with, or a disk that cannot be read just now, is at fault and not the release: nothing is given up for it.
            TrySave(state = state.With(state.ExposureOf(serving) with { Open = false }));
            throw;
        }
        catch (Exception e) when (e is DamagedSlotException or IOException)
        {
            state = state.With(state.ExposureOf(serving) with { Open = false });
            context.Happened(AgentEventKind.Damaged, e.Message, serving.Release);
            return new(e.Message, Refuse: false);
        }
    }

    /// <summary>Runs one step.</summary>
    /// <returns>How long to wait before the next one, unless somebody asks earlier.</returns>
    public async Task<TimeSpan> StepAsync(CancellationToken cancel)
    {
        // A release that goes back with its set does so from wherever it is.
        if (context.Sets.RecallOf(state) is { } recalled && state.Step is not (UpdateStep.TakeBack or UpdateStep.Withdraw) && !context.Sets.Concerns(state))
            state = state with { Step = UpdateStep.TakeBack, Target = null, Complaint = recalled };
        if (!context.Sets.Concerns(state))
        {
            isInStep = true;
            try
            {
                return await RunAsync(cancel);
            }
            finally
            {
                isInStep = false;
            }
        }

        using var held = await context.Sets.HoldAsync(cancel);
        try
        {
            context.Sets.Finish();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return Pause(new(Outcome.Later, state, $"what was decided for the set cannot be carried out yet: {e.Message}"));
        }

        if (context.Sets.RecallOf(state) is { } goes && state.Step is not (UpdateStep.TakeBack or UpdateStep.Withdraw))
            state = state with { Step = UpdateStep.TakeBack, Target = null, Complaint = goes };
        return await RunAsync(cancel);
    }

    async Task<TimeSpan> RunAsync(CancellationToken cancel)
    {
        var step = state.Step;
        context.Live = context.Live with { Step = step, Next = null };
        context.Shown();
        StepResult result;
        context.SavedInStep = null;
        try
        {
            result = await steps[step].RunAsync(state, cancel);
        }
        catch (Exception e) when (e is LinkException or IOException or UnauthorizedAccessException or DamagedSlotException)
        {
            result = new(Outcome.Later, Reached(), e.Message) { Wait = (e as LinkException)?.After };
        }

        if (result.Saved) // and told
            return Pause(result with { Wait = TimeSpan.Zero }, step);
        var before = state;
        var after = result.State with { Step = UpdateTable.Next(step, result.Outcome) };
        try
        {
            context.Save(after);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            state = Reached();
            return Pause(new(Outcome.Later, state, $"the state cannot be written: {e.Message}"));
        }

        (state, context.SavedInStep) = (after, null);
        Serve();
        if (result.Event is { } told)
            context.Happened(told.Kind, told.Text, after.Outbox.LastOrDefault()?.Release ?? (after.Target?.Slot ?? after.Serving)?.Release);
        Flush();
        context.Sets.Moved(before, after);
        return Pause(result, step);
    }

    /// <summary>Takes a state that was saved for it. Not while it is in a step, but for its own.</summary>
    internal void Adopt(UpdateState next) => (state, context.SavedInStep) = (next, null);

    /// <summary>Tells what came of a decision for several models, and lets its reports go.</summary>
    internal void Tell((AgentEventKind Kind, string Text)? happened)
    {
        if (happened is { } told)
            context.Happened(told.Kind, told.Text, state.Outbox.LastOrDefault()?.Release ?? state.Serving?.Release);
        Flush();
        Show(TimeSpan.Zero, []);
    }

    /// <summary>Ends in order: what happens to the process from here on is nobody's crash.</summary>
    public void Stop()
    {
        if (context.Sets.IsPending(context.Model))
            return; // the next start carries it out
        var reached = Reached();
        TrySave(state = reached with { Exposures = [.. reached.Exposures.Select(exposure => exposure with { Open = false })] });
    }

    /// <summary>Where a step that broke off has got to: what it saved by itself holds, but the danger that it announced is over, unless it is probation's or a shadow's.</summary>
    UpdateState Reached() => context.SavedInStep is not { } saved ? state : saved with
    {
        Step = state.Step,
        Exposures = [.. saved.Exposures.Select(exposure => IsWatched(saved, exposure) ? exposure : exposure with { Open = false })],
    };

    bool IsWatched(UpdateState saved, Exposure exposure) =>
        (saved.Serving is { Settled: false } serving && serving.Folder == exposure.Slot) || context.Host.Shadow?.Slot.Folder == exposure.Slot;

    TimeSpan Pause(StepResult result, UpdateStep? ran = null)
    {
        if (result.Outcome == Outcome.Later || (result.Outcome == Outcome.Failed && state.Step == UpdateStep.Idle))
        {
            failures++;
            if (trouble != result.Why[0])
                context.Happened(AgentEventKind.Trouble, trouble = result.Why[0]);
            var backoff = Backoff.After(failures, context.Policy.Retry, context.Policy.Poll, context.Random.NextDouble());
            var asked = result.Wait is { } wait && wait < LongestWait ? wait : result.Wait is null ? TimeSpan.Zero : LongestWait;
            return Show(backoff > asked ? backoff : asked, result.Why);
        }

        if (result.Outcome == Outcome.Nothing || ran >= UpdateStep.Stage)
            (failures, trouble) = (0, null);
        if (ran == UpdateStep.Decide && result.Outcome == Outcome.Nothing && kept != result.Why[^1])
            context.Happened(AgentEventKind.Kept, kept = result.Why[^1]);
        var rests = state.Step == UpdateStep.Idle && result.Outcome == Outcome.Nothing;
        return Show(result.Wait ?? (rests ? Backoff.Around(context.Policy.Poll, context.Random.NextDouble()) : TimeSpan.Zero), result.Why);
    }

    TimeSpan Show(TimeSpan? wait, IReadOnlyList<string> why)
    {
        context.Live = context.Live with
        {
            Step = state.Step,
            Next = wait is { } span ? context.Time.GetUtcNow() + span : null,
            Why = why.Count > 0 ? [.. why] : context.Live.Why,
        };
        context.Shown();
        return wait ?? TimeSpan.Zero;
    }

    /// <summary>What serves follows what is saved. A release that is to go stays until the one before is ready.</summary>
    internal void Serve()
    {
        if (context.Host.Shadow is { } run && run.Slot.Folder != state.Shadow?.Slot.Folder)
            context.Host.DropShadow();
        if (!context.Sets.IsPending(context.Model) && state.Step is not (UpdateStep.TakeBack or UpdateStep.Withdraw))
            context.Host.Serve(state.Serving, keep: state.Step == UpdateStep.Probation && context.Policy.KeepLoaded);
    }

    /// <summary>Reports leave as soon as they are safe; the Report step makes sure of it.</summary>
    void Flush()
    {
        try
        {
            context.Reports.Take(state.Model, state.Outbox);
        }
        catch (IOException) // they are in the saved state, and the next step tries again
        {
            return;
        }

        state = state with { Outbox = [] };
    }

    UpdateState Read()
    {
        var path = DataFolder.State(context.Model);
        if (context.Disk.ReadSmall(path, StateJson.MaxBytes) is not { } bytes)
            return state;
        if (StateJson.TryRead(bytes, out UpdateState? saved) && saved.Model == context.Model)
            return saved;
        context.Happened(AgentEventKind.Damaged, $"{path} cannot be read; it is put aside, and the model is fetched anew");
        context.Disk.Rename(path, path + ".damaged");
        return state with { Reported = context.Reports.TakenOf(context.Model) };
    }

    void TrySave(UpdateState next)
    {
        try
        {
            context.Save(next);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            context.Happened(AgentEventKind.Trouble, $"the state cannot be written: {e.Message}");
        }
    }
}
