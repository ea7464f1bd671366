using System.Collections.Immutable;
using Coppice.Fleet;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Rollouts;
using Coppice.Server.Fleet;
using Coppice.Server.Registry;

namespace Coppice.Server.Rollouts;

/// <summary>Decides for a device, by what it has said, as the device itself decides.</summary>
/// <param name="Device">Its id.</param>
/// <param name="Facts">Facts, labels, groups.</param>
/// <param name="Models">What it was last heard to run.</param>
/// <param name="Words">What it said of rollouts.</param>
sealed record DeviceChoice(string Device, FactSet Facts, ImmutableArray<DeviceModelRow> Models, ImmutableArray<RolloutDeviceRow> Words)
{
    /// <summary>What its user answered.</summary>
    public ImmutableArray<ConsentAnswer> Answers { get; init; } = [];

    /// <summary>The release of a model that serves; null for none.</summary>
    public SemanticVersion? Serving(ModelName model) => Models.FirstOrDefault(row => row.Model == model)?.Serving;

    /// <summary>Whether it speaks hawkBit's API: then it takes one model at a time, and no sets.</summary>
    public bool SpeaksDdi { get; init; }

    /// <summary>Decides.</summary>
    /// <param name="plan">The model's plan.</param>
    /// <param name="repository">Where plans and manifests are: what releases need, and what sets bring, decides too.</param>
    /// <param name="now">The device's time, with its local offset.</param>
    public async Task<ReleaseChoice> ChooseAsync(RolloutPlan plan, Repository repository, DateTimeOffset now)
    {
        Task<ReleaseManifest?> Manifest(ModelName model, Rollout rollout) => Task.FromResult(repository.Manifest(model, rollout.Release));
        if (!plan.Rollouts.Any(rollout => rollout.With is not null || rollout.Lead is not null))
            return await ReleaseChoice.ChooseAsync(plan, Limited(ViewOf(plan, repository), plan), now, rollout => Manifest(plan.Model, rollout));

        var plans = PlansOf(plan, repository);
        if (SpeaksDdi)
        {
            var resolved = SetForm.Resolved(plan, plans);
            var lacks = resolved.Rollouts.Where(rollout => rollout.With is not null).ToImmutableDictionary(rollout => rollout.Id, rollout =>
                $"brings {string.Join(" and ", rollout.With!.Value.Select(member => $"{member.Model} {member.Release}"))} with it, and a device that speaks hawkBit's API takes one model at a time");
            var view = Limited(ViewOf(resolved, repository), resolved);
            return await ReleaseChoice.ChooseAsync(resolved, view with { Lacks = view.Lacks.SetItems(lacks) }, now, rollout => Manifest(plan.Model, rollout));
        }

        // Which models the device keeps it does not tell: those of a set are taken to be there.
        var sides = plans.ToDictionary(known => known.Key, known => new SetSide(known.Value, ViewOf(SetForm.Resolved(known.Value, plans), repository)));
        return (await SetChoice.ChooseAsync(sides, plans, now, Manifest))[plan.Model];
    }

    /// <summary>What a device that speaks hawkBit's API cannot do.</summary>
    DeviceView Limited(DeviceView view, RolloutPlan plan) => !SpeaksDdi ? view : view with
    {
        Lacks = plan.Rollouts.Where(rollout => rollout.ArmOf(Device)?.Shadow is not null).ToImmutableDictionary(rollout => rollout.Id, _ => "a device that speaks hawkBit's API runs no release beside another"),
    };

    /// <summary>A plan and those that it reaches by the sets that they name.</summary>
    static Dictionary<ModelName, RolloutPlan> PlansOf(RolloutPlan plan, Repository repository)
    {
        var (plans, named) = (new Dictionary<ModelName, RolloutPlan>(), new Queue<RolloutPlan>([plan]));
        while (named.TryDequeue(out var next))
        {
            if (!plans.TryAdd(next.Model, next))
                continue;
            foreach (var model in next.Rollouts.SelectMany(rollout => (rollout.With ?? []).Select(member => member.Model).Concat(rollout.Lead is { } lead ? [lead] : [])).Distinct())
            {
                if (repository.Plan(model) is { } other)
                    named.Enqueue(other);
            }
        }

        return plans;
    }

    DeviceView ViewOf(RolloutPlan plan, Repository repository)
    {
        var others = Models.Where(row => row.Model != plan.Model && row.Serving is not null).ToArray();
        var own = Models.FirstOrDefault(row => row.Model == plan.Model);
        return new(Device, Facts, own?.Serving, Refusals(plan))
        {
            Others = others.ToImmutableDictionary(row => row.Model, row => row.Serving!),
            NeededBy = [.. others.Select(row => repository.Manifest(row.Model, row.Serving!)).OfType<ReleaseManifest>().SelectMany(other => ModelNeed.Of(other, plan.Model))],
            Answers = Answers,
            ServingBy = plan.Rollouts.FirstOrDefault(rollout => rollout.With is { } with && own?.Serving == rollout.Release && with.All(member => Serving(member.Model) == member.Release))?.Id,
            CanGoBack = own?.Before is not null,
            ShadowBy = ShadowOf(plan)?.Id,
        };
    }

    /// <summary>The rollout whose shadow runs there, as far as is known; null for none.</summary>
    Rollout? ShadowOf(RolloutPlan plan) => plan.Rollouts.FirstOrDefault(rollout =>
        Words.Any(word => word.Shadow && word.Kind is ReportKind.Switched or ReportKind.Settled && word.Rollout == RolloutRow.TryNumber(rollout.Id)));

    /// <summary>What failed on the device, as it remembers it.</summary>
    ImmutableArray<Refusal> Refusals(RolloutPlan plan) =>
    [
        .. from word in Words
           where word.Kind is ReportKind.Refused or ReportKind.TakenBack
           join rollout in plan.Rollouts on (long?)word.Rollout equals RolloutRow.TryNumber(rollout.Id)
           select new Refusal(rollout.Id, rollout.ArmOf(Device)?.Runs ?? rollout.Release, word.Attempt, word.Why ?? "it does not say why"),
    ];
}
