using System.Collections.Immutable;
using Coppice.Registry;

namespace Coppice.Rollouts;

/// <summary>A model of a device, for a decision on all that sets join.</summary>
/// <param name="Plan">Its plan as it is meant, trusted already; null when it has none that can be followed.</param>
/// <param name="View">The device, as this model's decision sees it.</param>
public sealed record SetSide(RolloutPlan? Plan, DeviceView View);

/// <summary>Chooses for the models of a device that rollouts bring together: each by <see cref="ReleaseChoice"/>, and a set only where every model of it would take it.</summary>
public static class SetChoice
{
    /// <summary>Chooses.</summary>
    /// <param name="sides">Every model that the device keeps.</param>
    /// <param name="plans">Plans of models that it does not keep, and that rollouts point to.</param>
    /// <param name="now">The device's time, with its local offset.</param>
    /// <param name="manifest">The signed manifest of a model's release; null when it cannot be read.</param>
    public static async Task<ImmutableDictionary<ModelName, ReleaseChoice>> ChooseAsync(
        IReadOnlyDictionary<ModelName, SetSide> sides, IReadOnlyDictionary<ModelName, RolloutPlan> plans, DateTimeOffset now, Func<ModelName, Rollout, Task<ReleaseManifest?>> manifest)
    {
        var known = plans.ToDictionary();
        foreach (var (model, side) in sides)
        {
            if (side.Plan is { } plan)
                known[model] = plan;
        }

        var resolved = sides.Where(side => side.Value.Plan is not null).ToDictionary(side => side.Key, side => SetForm.Resolved(side.Value.Plan!, known));
        var views = resolved.ToDictionary(side => side.Key, side => sides[side.Key].View);
        var sets = resolved.SelectMany(plan => plan.Value.Rollouts).Where(rollout => rollout.With is not null).Select(rollout => rollout.Id).ToHashSet(StringComparer.Ordinal);
        var lacks = new Dictionary<string, string>(StringComparer.Ordinal);
        var over = new Dictionary<string, string>(StringComparer.Ordinal);
        var revoked = new HashSet<string>(StringComparer.Ordinal);
        foreach (var id in sets)
            Look(id, sides, resolved, lacks, over, revoked);
        var urgent = sets.Where(id => Of(id, resolved).Any(entry => views[entry.Model].Serving is { } serving && resolved[entry.Model].Revoked.Contains(serving))).ToImmutableHashSet(StringComparer.Ordinal);

        while (true)
        {
            var choices = ImmutableDictionary.CreateBuilder<ModelName, ReleaseChoice>();
            foreach (var (model, plan) in resolved)
            {
                var view = views[model] with
                {
                    Sets = [.. sets.Where(id => !lacks.ContainsKey(id))],
                    Lacks = views[model].Lacks.SetItems(lacks),
                    Over = over.ToImmutableDictionary(StringComparer.Ordinal),
                    Urgent = urgent,
                };
                choices[model] = Leaves(model, plan, view, over, revoked) ?? await ReleaseChoice.ChooseAsync(plan, view, now, rollout => manifest(model, rollout));
            }

            if (sets.FirstOrDefault(id => !lacks.ContainsKey(id) && Torn(id, resolved, views, choices) is not null) is not { } torn)
                return Together(choices, sets, resolved, views);
            lacks[torn] = Torn(torn, resolved, views, choices)!;
        }
    }

    /// <summary>The models of the device in whose plans a set stands, with its entries there.</summary>
    static IEnumerable<(ModelName Model, Rollout Rollout)> Of(string id, Dictionary<ModelName, RolloutPlan> resolved) =>
        from plan in resolved
        let rollout = plan.Value.Rollouts.FirstOrDefault(rollout => rollout.Id == id && rollout.With is not null)
        where rollout is not null
        select (plan.Key, rollout);

    /// <summary>What of a set does not depend on choices: whether the device can take it at all, and whether it may go on serving it.</summary>
    static void Look(string id, IReadOnlyDictionary<ModelName, SetSide> sides, Dictionary<ModelName, RolloutPlan> resolved, Dictionary<string, string> lacks, Dictionary<string, string> over, HashSet<string> revoked)
    {
        var entries = Of(id, resolved).ToList();
        var (first, entry) = entries[0];
        foreach (var member in entry.With!.Value.Append(new(first, entry.Release, entry.Manifest)).OrderBy(member => member.Model.ToString(), StringComparer.Ordinal))
        {
            if (!sides.ContainsKey(member.Model))
                lacks.TryAdd(id, $"brings {member.Model} {member.Release} with it, and this device does not keep {member.Model}");
            else if (!resolved.TryGetValue(member.Model, out var plan) || entries.All(known => known.Model != member.Model))
                lacks.TryAdd(id, $"brings {member.Model} {member.Release} with it, whose own plan does not say so yet");
            else if (plan.Revoked.Contains(member.Release) && revoked.Add(id))
                over.TryAdd(id, $"brings {member.Model} {member.Release}, which is revoked");
        }

        foreach (var (model, rollout) in entries)
        {
            if (sides[model].View.Refusals.FirstOrDefault(refusal => refusal.Covers(rollout)) is not { } refusal)
                continue;
            var why = $"not tried again after attempt {refusal.Attempt} ({model} {refusal.Release}: {refusal.Why})";
            lacks.TryAdd(id, why);
            if (entries.Any(known => sides[known.Model].View.ServingBy == id))
                over.TryAdd(id, why);
        }
    }

    /// <summary>What serves by a set that is over goes back with all of it: always when a release of it is revoked, else where there is something to go back to.</summary>
    static ReleaseChoice? Leaves(ModelName model, RolloutPlan plan, DeviceView view, Dictionary<string, string> over, HashSet<string> revoked)
    {
        if (view.ServingBy is not { } id || view.Serving is null || plan.Rollouts.FirstOrDefault(rollout => rollout.Id == id && rollout.With is not null) is not { } rollout || rollout.Release != view.Serving)
            return null;
        var why = over.GetValueOrDefault(id) ?? (rollout.State == RolloutState.Reverted ? "reverted" : null);
        return why is null || !(view.CanGoBack || revoked.Contains(id))
            ? null
            : new(ChoiceKind.Leave, rollout, [$"{rollout.Id} ({rollout.Release}): {why}; {model} goes back together with {string.Join(" and ", rollout.With!.Value.Select(member => member.Model))}"]);
    }

    /// <summary>Why a set that some model would take is not taken: another would not.</summary>
    static string? Torn(string id, Dictionary<ModelName, RolloutPlan> resolved, Dictionary<ModelName, DeviceView> views, ImmutableDictionary<ModelName, ReleaseChoice>.Builder choices)
    {
        var entries = Of(id, resolved).ToList();
        if (!entries.Any(entry => choices[entry.Model].Rollout?.Id == id && views[entry.Model].ServingBy != id))
            return null;
        foreach (var (model, rollout) in entries)
        {
            if (choices[model].Rollout?.Id != id)
                return $"brings {model} {rollout.Release} with it, and {model} is not to take that: {choices[model].Reasons.FirstOrDefault(why => why.StartsWith($"{id} ", StringComparison.Ordinal)) ?? choices[model].Reasons[^1]}";
        }

        return null;
    }

    /// <summary>A set waits as long as any of its models does; its leading model asks.</summary>
    static ImmutableDictionary<ModelName, ReleaseChoice> Together(
        ImmutableDictionary<ModelName, ReleaseChoice>.Builder choices, HashSet<string> sets, Dictionary<ModelName, RolloutPlan> resolved, Dictionary<ModelName, DeviceView> views)
    {
        foreach (var id in sets)
        {
            var taken = Of(id, resolved).Where(entry => choices[entry.Model].Rollout?.Id == id && choices[entry.Model].Kind != ChoiceKind.Leave && views[entry.Model].ServingBy != id).ToList();
            var asks = taken.Any(entry => choices[entry.Model].Asks is not null);
            if ((taken.Find(entry => choices[entry.Model].Kind == ChoiceKind.Keep).Model ?? taken.Find(entry => choices[entry.Model].Kind == ChoiceKind.Prepare).Model) is not { } slowest)
                continue;
            var (kind, reason, again) = (choices[slowest].Kind, choices[slowest].Reasons[^1], choices[slowest].Again);
            foreach (var (model, rollout) in taken)
            {
                choices[model] = choices[model] with
                {
                    Kind = kind,
                    Reasons = model == slowest || choices[model].Kind == kind ? choices[model].Reasons : choices[model].Reasons.Add($"{slowest}: {reason}"),
                    Again = again,
                    Asks = asks && rollout.Lead is null ? rollout : null,
                };
            }
        }

        return choices.ToImmutable();
    }
}
