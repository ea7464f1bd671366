using System.Collections.Immutable;
using Coppice.Agent.Link;
using Coppice.Agent.Slots;
using Coppice.Fleet;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Rollouts;

namespace Coppice.Agent.Updates;

/// <summary>What a model's decision takes from the device's other models, where its plan names a set.</summary>
sealed class SetDecision(UpdateContext context)
{
    /// <summary>Chooses for the model as <see cref="SetChoice"/> does for all that its sets join.</summary>
    /// <param name="state">Of the model.</param>
    /// <param name="plan">Its plan.</param>
    /// <param name="own">The device as the model's decision sees it.</param>
    /// <param name="now">The device's time.</param>
    /// <param name="cancel">Ends the reading.</param>
    public async Task<ReleaseChoice> ChooseAsync(UpdateState state, RolloutPlan plan, DeviceView own, DateTimeOffset now, CancellationToken cancel)
    {
        var plans = await PlansAsync(state, plan, cancel);
        var answers = own.Answers.AddRange(context.Sets.Runners.Where(other => other.State.Model != context.Model).SelectMany(other => other.Answers()));
        var sides = context.Sets.Runners.ToDictionary(runner => runner.State.Model, runner =>
        {
            var known = runner.State.Model == context.Model ? state : runner.State;
            var view = known.Model == context.Model ? own : new DeviceView(context.Device, own.Facts, known.Serving?.Release, known.Refusals) { Others = runner.Context.Others(), NeededBy = runner.Context.NeededBy() };
            return new SetSide(plans.GetValueOrDefault(known.Model), view with
            {
                Answers = answers,
                ServingBy = known.Serving is { Set: not null } serving ? serving.Rollout : null,
                CanGoBack = (known.Serving?.Instead ?? known.Previous) is not null,
            });
        });
        var choices = await SetChoice.ChooseAsync(sides, plans, now, (model, rollout) => ManifestAsync(model, rollout, cancel));
        return choices[context.Model];
    }

    /// <summary>The plan and those that it reaches by the sets that they name.</summary>
    async Task<Dictionary<ModelName, RolloutPlan>> PlansAsync(UpdateState state, RolloutPlan plan, CancellationToken cancel)
    {
        var plans = new Dictionary<ModelName, RolloutPlan> { [context.Model] = plan };
        var (looked, named) = (new HashSet<ModelName> { context.Model }, new Queue<ModelName>(Named(plan)));
        while (named.TryDequeue(out var model))
        {
            if (!looked.Add(model))
                continue;
            try
            {
                if (await context.Repository.PlanAsync(model, context.Sets.Find(model)?.State.PlanSerial ?? 0, cancel) is not { } other)
                    continue;
                plans[model] = other;
                foreach (var further in Named(other))
                    named.Enqueue(further);
            }
            catch (LinkException e) when (state.Serving?.Set is null) // another model's plan keeps its sets back, not this model; what serves by a set does not leave it unheard
            {
                context.Happened(AgentEventKind.Trouble, $"{model}: {e.Message}");
            }
        }

        return plans;
    }

    static IEnumerable<ModelName> Named(RolloutPlan plan) => plan.Rollouts.SelectMany(rollout => (rollout.With ?? []).Select(member => member.Model).Concat(rollout.Lead is { } lead ? [lead] : []));

    async Task<ReleaseManifest?> ManifestAsync(ModelName model, Rollout rollout, CancellationToken cancel)
    {
        try
        {
            return DocumentJson.TryRead((await context.Repository.ManifestAsync(model, rollout.Release, rollout.Manifest, cancel)).Span, out ReleaseManifest? manifest, out _) ? manifest : null;
        }
        catch (LinkException) when (model != context.Model) // told by the model that it is of
        {
            return null;
        }
    }

    /// <summary>A set that another model of the device has refused is refused here, where it is the leading model's to say so; null otherwise.</summary>
    public StepResult? Refused(UpdateState state, RolloutPlan plan)
    {
        foreach (var rollout in plan.Rollouts)
        {
            if (rollout is not { With: { } with, Lead: null } || state.Refusals.Any(refusal => refusal.Covers(rollout)))
                continue;
            var target = state.Target is { } known && known.Slot.Rollout == rollout.Id && known.Slot.Attempt == rollout.Attempt
                ? known
                : new Target(new Slot(rollout.Release, rollout.Manifest, "", rollout.Id, rollout.Attempt) { Set = context.Model }, 0) { With = with };
            if (context.RefusedBeside(state, target) is { } refused)
                return refused;
        }

        return null;
    }

    /// <summary>Whether the device can take a set at all, before any of it is fetched: every model has a variant that fits, and there is room for all of them.</summary>
    /// <returns>Why no variant of a model fits, or why there is no room; neither when nothing is in the way.</returns>
    public async Task<(string? Misfit, string? Short)> WeighAsync(UpdateState state, Rollout rollout, FactSet facts, CancellationToken cancel)
    {
        var files = new List<ReleaseFile>();
        foreach (var member in rollout.With!.Value.Append(new(context.Model, rollout.Release, rollout.Manifest)))
        {
            var bytes = await context.Repository.ManifestAsync(member.Model, member.Release, member.Manifest, cancel);
            if (!DocumentJson.TryRead(bytes.Span, out ReleaseManifest? manifest, out var problems))
                return ($"{member.Model} {member.Release}: its manifest cannot be read by this agent: {problems[0]}", null);
            var choice = VariantChoice.Choose(manifest, facts, variant => variant.Files.Where(context.Blobs.Has).Sum(file => file.Length));
            if (choice.Chosen is not { } variant)
                return ($"{member.Model} {member.Release}: {string.Join("; ", choice.Misfits.Select(misfit => $"{misfit.Variant} {string.Join(", and ", misfit.Reasons)}"))}", null);
            files.AddRange(variant.Files.Concat(manifest.Trial?.Files ?? []));
        }

        var missing = files.DistinctBy(file => file.Digest).Where(file => !context.Blobs.Has(file)).Sum(file => file.Length);
        var models = rollout.With.Value.Select(member => member.Model).Append(context.Model).ToHashSet();
        // A release before may go once the one that serves has settled.
        var freed = context.FreedBy(context.Sets.Runners.Where(runner => models.Contains(runner.State.Model))
            .Select(runner => (runner.Context, runner.State.Serving is { Settled: true } ? runner.State with { Previous = null } : runner.State)));
        return (null, context.Short(missing, freed) is { } why ? $"the set of {rollout.Id}: {why}" : null);
    }
}
