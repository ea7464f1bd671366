using System.Collections.Immutable;
using Coppice.Agent.Link;
using Coppice.Agent.Slots;
using Coppice.Fleet;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Rollouts;

namespace Coppice.Agent.Updates;

/// <summary>Reads the newest plan and chooses a release, and a variant of it.</summary>
sealed class DecideStep(UpdateContext context) : IUpdateStep
{
    /// <summary>A turn or window that opens is not waited for more exactly than this.</summary>
    static readonly TimeSpan Soonest = TimeSpan.FromSeconds(1);

    readonly SetDecision set = new(context);

    public async Task<StepResult> RunAsync(UpdateState state, CancellationToken cancel)
    {
        await context.Repository.RefreshAsync(cancel);
        if (await context.Repository.PlanAsync(context.Model, state.PlanSerial, cancel) is not { } plan)
            return new(Outcome.Nothing, state, "the repository has no plan for this model; nobody has rolled out a release");

        state = state with { PlanSerial = plan.Serial, Revoked = plan.Revoked };
        if (state.Serving is { Set: not null } served && plan.Revoked.Contains(served.Release))
            return new(Outcome.Crashed, state with { Target = null, Complaint = new($"{served.Release} is revoked", Refuse: false) }, $"{served} serves here but is revoked: its set goes back");
        if (set.Refused(state, plan) is { } refused)
            return refused;
        var facts = context.Facts();
        var view = new DeviceView(context.Device, facts, state.Serving?.Release, state.Refusals) { Others = context.Others(), NeededBy = context.NeededBy(), Answers = context.Answers(), ShadowBy = state.Shadow?.Slot.Rollout };
        var now = context.Time.GetLocalNow();
        var choice = plan.Rollouts.Any(rollout => rollout.With is not null || rollout.Lead is not null)
            ? await set.ChooseAsync(state, plan, view, now, cancel)
            : await ReleaseChoice.ChooseAsync(plan, view, now, async rollout => DocumentJson.TryRead((await ReadManifestAsync(rollout, cancel)).Span, out ReleaseManifest? manifest, out _) ? manifest : null);
        var question = choice.Asks is { } asks ? new Question(asks.Id, asks.Attempt, asks.Release, asks.Consent!) : null;
        var asked = question is not null && question != state.Question;
        state = state with { Question = question };
        var ends = state.Shadow is { } has && !IsOf(has.Slot, choice.Shadow) ? has : null;
        if (ends is not null)
            state = End(state, ends, choice);
        else if (state.Shadow is { } goes)
            state = state with { Shadow = goes with { Terms = TermsOf(choice.Shadow!) } };
        var result = choice.Kind switch
        {
            ChoiceKind.Keep when choice.Shadow is { } shadow && state.Shadow is null => await TakeAsync(state, shadow.Rollout, facts, choice.Reasons, fetchOnly: false, cancel, TermsOf(shadow)),
            ChoiceKind.Keep => new(Outcome.Nothing, state with { Target = null }, choice.Reasons),
            ChoiceKind.Stop => new(Outcome.Revoked, state with { Target = null, Complaint = new(choice.Reasons[0], Refuse: false) }, choice.Reasons),
            ChoiceKind.Leave => new(Outcome.Crashed, state with { Target = null, Complaint = new(choice.Reasons[^1], Refuse: false) }, choice.Reasons),
            _ => await TakeAsync(state, choice.Rollout!, facts, choice.Reasons, fetchOnly: choice.Kind == ChoiceKind.Prepare, cancel),
        };
        if (asked && result.Event is null) // also when it goes on to fetch
            result = result with { Event = (AgentEventKind.Asked, $"{question!.Release} by {question.Rollout}: {question.Text}") };
        if (result.Outcome != Outcome.Nothing)
            return result;
        return choice.Again is { } again && again - now is var wait && wait < context.Policy.Poll ? result with { Wait = wait > Soonest ? wait : Soonest } : result;
    }

    static bool IsOf(Slot slot, ShadowChoice? choice) =>
        choice is { Rollout: { } rollout } && (slot.Rollout, slot.Attempt, slot.Release, slot.Manifest) == (rollout.Id, rollout.Attempt, rollout.Release, rollout.Manifest);

    static ShadowTerms TermsOf(ShadowChoice choice) => new(choice.Arm, choice.Share);

    /// <summary>The shadow is no longer wanted. Its files stay when its release is to serve now; else they may go.</summary>
    UpdateState End(UpdateState state, ShadowSlot shadow, ReleaseChoice choice)
    {
        state = ShadowCare.Without(state);
        context.Save(state);
        context.Host.DropShadow();
        if (choice.Kind == ChoiceKind.Keep)
            context.Collect(state);
        context.Happened(AgentEventKind.ShadowEnded, $"{shadow.Slot} does not run beside {state.Serving} any more: the plan does not say so", shadow.Slot.Release);
        return state;
    }

    async Task<StepResult> TakeAsync(UpdateState state, Rollout rollout, FactSet facts, ImmutableArray<string> reasons, bool fetchOnly, CancellationToken cancel, ShadowTerms? shadow = null)
    {
        var bytes = await ReadManifestAsync(rollout, cancel);
        if (!DocumentJson.TryRead(bytes.Span, out ReleaseManifest? manifest, out var problems))
            return Unfit(state, rollout, $"its manifest cannot be read by this agent: {problems[0]}", reasons, shadow);
        if (manifest.Model != context.Model || manifest.Version != rollout.Release)
            throw new LinkException($"the signed manifest of {rollout.Release} is about {manifest.Model} {manifest.Version}.");

        long Held(Variant variant) => variant.Files.Where(context.Blobs.Has).Sum(file => file.Length);
        var choice = shadow is null ? VariantChoice.Choose(manifest, facts, Held) : VariantChoice.ChooseShadow(manifest, facts, Held);
        if (choice.Chosen is not { } variant)
            return Unfit(state, rollout, string.Join("; ", choice.Misfits.Select(misfit => $"{misfit.Variant} {string.Join(", and ", misfit.Reasons)}")), reasons, shadow);

        var slot = new Slot(rollout.Release, rollout.Manifest, variant.Name, rollout.Id, rollout.Attempt) { Set = LeadOf(rollout) };
        var lines = reasons.AddRange(choice.Misfits.Select(misfit => $"{misfit.Variant}: {string.Join(", and ", misfit.Reasons)}")).Add($"{variant.Name}: fits");
        var known = state.Target is { } target && target.Slot with { TrialLatency = null } == slot && target.Shadow == shadow ? target : null;
        if (fetchOnly && known is not null && variant.Files.Concat(manifest.Trial?.Files ?? []).All(context.Blobs.Has))
            return new(Outcome.Nothing, state, lines); // all of it is here, and waits
        if (known is not null && (fetchOnly || !known.FetchOnly))
            return new(Outcome.Done, state, lines); // goes on after a pause: told and reported before

        if (rollout.With is not null && known is null)
        {
            var (misfit, lacking) = await set.WeighAsync(state, rollout, facts, cancel);
            if (misfit is not null)
                return Unfit(state, rollout, misfit, reasons, null);
            if (lacking is not null)
                return new(Outcome.Later, state with { Target = null }, lacking);
        }

        context.Slots.Keep(bytes.Span);
        // A variant may name one blob twice, and share it with the trial.
        var total = variant.Files.Concat(manifest.Trial?.Files ?? []).DistinctBy(file => file.Digest).Sum(file => file.Length);
        var next = state with { Target = new(slot, total, known?.BytesFetched ?? 0) { FetchOnly = fetchOnly, With = rollout.With ?? [], Shadow = shadow }, Misfit = null };
        if (fetchOnly) // not begun, as the server counts: the device may wait for days
            return new(Outcome.Done, next, lines);
        if (slot.Set is null || slot.Set == context.Model) // of a set, its leading model speaks
            next = next.Reporting(next.ReportOf(ReportKind.Started, slot, context.Time.GetUtcNow()));
        return new(Outcome.Done, next, lines)
        {
            Event = (AgentEventKind.Started, $"{slot} by {rollout.Id}{(shadow is null ? "" : " as a shadow")}, {ByteSize.Format(total)}"),
        };
    }

    Task<ReadOnlyMemory<byte>> ReadManifestAsync(Rollout rollout, CancellationToken cancel) => context.Repository.ManifestAsync(context.Model, rollout.Release, rollout.Manifest, cancel);

    ModelName? LeadOf(Rollout rollout) => rollout.With is null ? null : rollout.Lead ?? context.Model;

    /// <summary>Said once for each attempt and reason; looked at again at every poll.</summary>
    StepResult Unfit(UpdateState state, Rollout rollout, string why, ImmutableArray<string> reasons, ShadowTerms? shadow)
    {
        var memo = $"{rollout.Id} {rollout.Attempt}: {why}";
        var lines = reasons.Add($"{rollout.Release}: {why}");
        if (state.Misfit == memo || LeadOf(rollout) is { } lead && lead != context.Model)
            return new(Outcome.Nothing, state with { Target = null }, lines);
        var slot = new Slot(rollout.Release, rollout.Manifest, "", rollout.Id, rollout.Attempt);
        var next = state with { Target = null, Misfit = memo };
        return new(Outcome.Nothing, next.Reporting(next.ReportOf(ReportKind.Unfit, slot, context.Time.GetUtcNow(), why) with { Shadow = shadow is null ? null : true }), lines)
        {
            Event = (AgentEventKind.Unfit, $"{rollout.Release}: {why}"),
        };
    }
}
