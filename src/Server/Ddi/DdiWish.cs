using System.Collections.Immutable;
using Coppice.Fleet;
using Coppice.Registry;
using Coppice.Rollouts;
using Coppice.Server.Fleet;
using Coppice.Server.Registry;
using Coppice.Server.Rollouts;

namespace Coppice.Server.Ddi;

/// <summary>What a device is to do about a model.</summary>
enum DdiNeed
{
    /// <summary>Fetch and install.</summary>
    Deploy,

    /// <summary>Fetch, and install later.</summary>
    Prepare,

    /// <summary>Ask its user.</summary>
    Confirm,

    /// <summary>Nothing yet: a window is shut, or the user said no.</summary>
    Wait,

    /// <summary>Nothing: no variant of the release fits.</summary>
    Unfit,
}

/// <summary>What of a device that speaks DDI its next action depends on, read at one moment.</summary>
/// <param name="Device">Its row.</param>
/// <param name="Facts">With labels and groups.</param>
/// <param name="Models">What it was last heard to run.</param>
/// <param name="Words">What it said of rollouts.</param>
/// <param name="Active">The action that it has; null for none.</param>
/// <param name="Last">The last one that it carried out; null for none.</param>
/// <param name="Answers">What its user said.</param>
/// <param name="ToldAt">When it last told its attributes.</param>
sealed record DdiStanding(
    DeviceRow Device, FactSet Facts, ImmutableArray<DeviceModelRow> Models, ImmutableArray<RolloutDeviceRow> Words, DdiActionRow? Active, DdiActionRow? Last,
    ImmutableArray<ConsentAnswer> Answers, DateTimeOffset? ToldAt)
{
    /// <summary>The device's own time, for windows: by the fact <c>timezone</c>, an IANA name; else UTC.</summary>
    public DateTimeOffset Local(DateTimeOffset now) =>
        Facts.Find("timezone") is { } name && TimeZoneInfo.TryFindSystemTimeZoneById(name, out var zone) ? TimeZoneInfo.ConvertTime(now, zone) : now;
}

/// <summary>What a rollout wants of a device that speaks DDI: decided here, by the rules that agents go by themselves.</summary>
/// <param name="Model">The model.</param>
/// <param name="Rollout">With the release of the device's own arm.</param>
/// <param name="Need">What is to be done.</param>
/// <param name="Variant">Which one; null when none fits.</param>
/// <param name="Why">Why none fits.</param>
sealed record DdiWish(ModelName Model, Rollout Rollout, DdiNeed Need, Variant? Variant, string Why)
{
    /// <summary>Decides for one model.</summary>
    /// <param name="model">The model.</param>
    /// <param name="plan">Its plan.</param>
    /// <param name="standing">Of the device.</param>
    /// <param name="now">The clock.</param>
    /// <param name="repository">Where manifests are.</param>
    /// <returns>Null when the device is to go on as it is.</returns>
    public static async Task<DdiWish?> OfAsync(ModelName model, RolloutPlan plan, DdiStanding standing, DateTimeOffset now, Repository repository)
    {
        var device = new DeviceChoice(standing.Device.Id, standing.Facts, standing.Models, standing.Words) { Answers = standing.Answers, SpeaksDdi = true };
        var (choice, serving) = (await device.ChooseAsync(plan, repository, standing.Local(now)), device.Serving(model));
        if (choice.Rollout is not { } rollout || rollout.Release == serving)
            return null;
        var need = choice.Kind switch
        {
            ChoiceKind.Take => DdiNeed.Deploy,
            _ when choice.Asks is not null => DdiNeed.Confirm,
            ChoiceKind.Prepare => DdiNeed.Prepare,
            _ => DdiNeed.Wait,
        };
        if (repository.Manifest(model, rollout.Release) is not { } manifest)
            return new(model, rollout, DdiNeed.Wait, null, $"the manifest of {rollout.Release} is not in the repository");
        // Whether there is room, the device's own client finds out; these devices do not tell.
        var variant = VariantChoice.Choose(manifest with { Variants = [.. manifest.Variants.Where(IsPlain)] }, standing.Facts, variant => variant.Length);
        if (variant.Chosen is { } chosen)
            return new(model, rollout, need, chosen, "");
        var reasons = manifest.Variants.Where(variant => !IsPlain(variant)).Select(variant => $"{variant.Name} is sealed or an adapter, and a device that speaks DDI has neither key nor base")
            .Concat(variant.Misfits.Select(misfit => $"{misfit.Variant} {string.Join(", and ", misfit.Reasons)}"));
        return new(model, rollout, DdiNeed.Unfit, null, string.Join("; ", reasons));
    }

    static bool IsPlain(Variant variant) => variant.AdapterBase is null && variant.Files.All(file => file.Sealed is null);

    /// <summary>Whether an action is what is wished.</summary>
    public bool IsOf(DdiActionRow action) =>
        Need != DdiNeed.Unfit && Model == action.Model && Rollout.Id == action.Rollout && Rollout.Attempt == action.Attempt && Rollout.Release == action.Release;
}
