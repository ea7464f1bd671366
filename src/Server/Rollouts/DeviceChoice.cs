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

    /// <summary>Decides.</summary>
    /// <param name="plan">The model's plan.</param>
    /// <param name="repository">Where manifests are: what releases need decides too.</param>
    /// <param name="now">The device's time, with its local offset.</param>
    public Task<ReleaseChoice> ChooseAsync(RolloutPlan plan, Repository repository, DateTimeOffset now)
    {
        var others = Models.Where(row => row.Model != plan.Model && row.Serving is not null).ToArray();
        var view = new DeviceView(Device, Facts, Serving(plan.Model), Refusals(plan))
        {
            Others = others.ToImmutableDictionary(row => row.Model, row => row.Serving!),
            NeededBy = [.. others.Select(row => repository.Manifest(row.Model, row.Serving!)).OfType<ReleaseManifest>().SelectMany(other => ModelNeed.Of(other, plan.Model))],
            Answers = Answers,
        };
        return ReleaseChoice.ChooseAsync(plan, view, now, rollout => Task.FromResult(repository.Manifest(plan.Model, rollout.Release)));
    }

    /// <summary>What failed on the device, as it remembers it.</summary>
    ImmutableArray<Refusal> Refusals(RolloutPlan plan) =>
    [
        .. from word in Words
           where word.Kind is ReportKind.Refused or ReportKind.TakenBack
           join rollout in plan.Rollouts on (long?)word.Rollout equals RolloutRow.TryNumber(rollout.Id)
           select new Refusal(rollout.Id, rollout.ArmOf(Device)?.Release ?? rollout.Release, word.Attempt, word.Why ?? "it does not say why"),
    ];
}
