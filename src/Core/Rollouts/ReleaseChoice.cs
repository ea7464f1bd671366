using System.Collections.Immutable;
using Coppice.Fleet;
using Coppice.Registry;

namespace Coppice.Rollouts;

/// <summary>What a device should do about a model's plan.</summary>
public enum ChoiceKind
{
    /// <summary>Go on with what it has, which may be nothing.</summary>
    Keep,

    /// <summary>Move to <see cref="ReleaseChoice.Rollout"/>'s release.</summary>
    Take,

    /// <summary>Fetch <see cref="ReleaseChoice.Rollout"/>'s release, and go on with what it has until the way is free.</summary>
    Prepare,

    /// <summary>Stop serving: the release is revoked and nothing may stand in for it.</summary>
    Stop,

    /// <summary>Go back to what served before <see cref="ReleaseChoice.Rollout"/>'s set, together with all of it.</summary>
    Leave,
}

/// <summary>Which release of a model a device should run, and why: the same function on the device, the server and in a rehearsal.</summary>
/// <param name="Kind">What to do.</param>
/// <param name="Rollout">The rollout that decided, with the release of the device's own arm; null when none did.</param>
/// <param name="Reasons">One line for each rollout looked at, newest first, in words for a person.</param>
public sealed record ReleaseChoice(ChoiceKind Kind, Rollout? Rollout, ImmutableArray<string> Reasons)
{
    /// <summary>When the answer may be another by the clock alone; null when only a newer plan changes it.</summary>
    public DateTimeOffset? Again { get; init; }

    /// <summary>The rollout whose question waits for the device's user; null when none does.</summary>
    public Rollout? Asks { get; init; }

    /// <summary>What is to run beside the serving release without answering; null for nothing.</summary>
    public ShadowChoice? Shadow { get; init; }

    /// <summary>Chooses among releases whose manifests are looked at only where they would be taken: what they say that they need decides too.</summary>
    /// <param name="plan">The model's plan, trusted already.</param>
    /// <param name="device">Who asks.</param>
    /// <param name="now">The device's time, with its local offset for maintenance windows.</param>
    /// <param name="manifest">The signed manifest of a rollout's release; null when it cannot be read.</param>
    public static async Task<ReleaseChoice> ChooseAsync(RolloutPlan plan, DeviceView device, DateTimeOffset now, Func<Rollout, Task<ReleaseManifest?>> manifest)
    {
        while (true)
        {
            var choice = Choose(plan, device, now);
            if (await LackingAsync(choice) is not var (rollout, why))
                return choice;
            device = device with { Lacks = device.Lacks.SetItem(rollout, why) }; // another one the next time
        }

        async Task<(string Rollout, string Why)?> LackingAsync(ReleaseChoice choice)
        {
            foreach (var brought in (Rollout?[])[choice.Kind is ChoiceKind.Take or ChoiceKind.Prepare ? choice.Rollout : null, choice.Shadow?.Rollout])
            {
                if (brought is not null && await manifest(brought) is { Requires: { } requires } && ModelRequirement.Missing(requires, device.Beside(brought)) is { } why)
                    return (brought.Id, why);
            }

            return null;
        }
    }

    /// <summary>Chooses.</summary>
    /// <param name="plan">The model's plan, trusted already.</param>
    /// <param name="device">Who asks.</param>
    /// <param name="now">The device's time, with its local offset for maintenance windows.</param>
    public static ReleaseChoice Choose(RolloutPlan plan, DeviceView device, DateTimeOffset now)
    {
        var reasons = ImmutableArray.CreateBuilder<string>();
        var servingRevoked = device.Serving is { } serving && plan.Revoked.Contains(serving);
        var servingReverted = false;
        DateTimeOffset? again = null;
        void Later(DateTimeOffset at) => again = again < at ? again : at;
        if (servingRevoked)
            reasons.Add($"{device.Serving} serves here but is revoked");
        ShadowChoice? shadow = null;

        foreach (var planned in plan.Rollouts)
        {
            if (planned.State == RolloutState.Reverted)
            {
                servingReverted |= device.Serving is { } has && planned.Brings(has) && (planned.With is null || device.ServingBy == planned.Id);
                reasons.Add($"{planned.Id} ({planned.Release}): reverted");
                continue;
            }

            var arm = planned.ArmOf(device.Id);
            var rollout = arm switch
            {
                { Release: { } release, Manifest: { } manifest } => planned with { Release = release, Manifest = manifest },
                { Shadow: { } beside } => planned with { Release = beside.Release, Manifest = beside.Manifest },
                _ => planned,
            };
            var name = arm is null ? $"{rollout.Id} ({rollout.Release})" : $"{rollout.Id} (arm {arm.Name}{(arm.Runs is null ? "" : $", {arm.Runs}")}{(arm.Shadow is null ? "" : " as a shadow")})";
            // Of a set, what serves by another rollout's order may have its release without its other models.
            var serves = rollout.Release == device.Serving && (rollout.With is null || device.ServingBy == rollout.Id);
            if (device.Over.TryGetValue(rollout.Id, out var over))
            {
                servingReverted |= serves;
                reasons.Add($"{name}: {over}");
            }
            else if (plan.Revoked.Contains(rollout.Release))
                reasons.Add($"{name}: the release is revoked");
            else if (!Selector.TryParse(rollout.Selector, out var selector, out var problems))
                reasons.Add($"{name}: its selector cannot be read by this agent ({problems[0]})");
            else if (!selector.Matches(device.Facts))
                reasons.Add($"{name}: for devices where {rollout.Selector}");
            else if (Cohort.Of(rollout.Salt, device.Id) is var place && !rollout.Reaches(device.Facts, place))
                reasons.Add(NotReached(name, rollout, place));
            else if (arm is { Shadow: { } terms })
            {
                if (shadow is not null)
                    reasons.Add($"{name}: {shadow.Rollout.Id} has a shadow here already");
                else if (ShadowWaits(rollout, device, now, Later) is { } waits)
                    reasons.Add($"{name}: {waits}");
                else
                {
                    shadow = new(rollout, arm.Name, terms.Share ?? ShadowRelease.DefaultShare);
                    reasons.Add($"{name}: runs beside what serves, and answers nobody");
                }
            }
            else if (arm is { Release: null })
                reasons.Add($"{name}: keeps what it has, to be compared with");
            else if (serves)
                return new(ChoiceKind.Keep, rollout, reasons.With($"{name}: serves here")) { Again = again, Shadow = shadow };
            else if (rollout is { Lead: { } lead, With: null })
                reasons.Add($"{name}: comes with {lead}, whose plan does not bring it");
            else if (rollout.State is RolloutState.Held or RolloutState.Aborted)
                reasons.Add($"{name}: {(rollout.State == RolloutState.Held ? "held" : "aborted")}");
            else if (device.Refusals.FirstOrDefault(refusal => refusal.Covers(rollout)) is { } refusal)
                reasons.Add($"{name}: not tried again after attempt {refusal.Attempt} ({refusal.Why})");
            else if (rollout.StartsAt is { } starts && now < starts)
            {
                Later(starts);
                reasons.Add($"{name}: starts at {starts.UtcDateTime:u}");
            }
            else if (!servingRevoked && !device.Urgent.Contains(rollout.Id) && rollout.Spread is not null && rollout.Since + rollout.TurnOf(device.Id) is { } turn && now < turn)
            {
                Later(turn);
                reasons.Add($"{name}: its turn comes at {turn.UtcDateTime:u}, for the devices begin spread over {Duration.Format(rollout.Spread.Value)}");
            }
            else if ((device.Lacks.GetValueOrDefault(rollout.Id) ?? ModelRequirement.Missing(rollout.Requires ?? [], device.Beside(rollout))) is { } missing)
                reasons.Add($"{name}: {missing}");
            else if (rollout.With is { } with && !device.Sets.Contains(rollout.Id))
                reasons.Add($"{name}: comes together with {string.Join(" and ", with.Select(member => $"{member.Model} {member.Release}"))}, and is not taken alone");
            else if (device.Serving is not null && !servingRevoked && !servingReverted && device.NeededBy.FirstOrDefault(need => !need.Versions.Contains(rollout.Release) && rollout.With?.Any(member => member.Model == need.Model) != true) is { } need)
                reasons.Add($"{name}: {need.Model} {need.Release}, which serves here, needs {plan.Model} {need.Versions}");
            else if (device.Serving is not null && !servingRevoked && !servingReverted && !device.Urgent.Contains(rollout.Id) && !(rollout.ForcedFrom <= now) && Waits(rollout, device, now) is (var why, var until, var asks))
            {
                if (rollout.ForcedFrom is { } forced)
                    Later(forced);
                if (until is { } opens)
                    Later(opens);
                var early = rollout.FetchEarly == true;
                return new(early ? ChoiceKind.Prepare : ChoiceKind.Keep, rollout, reasons.With($"{name}: {(early ? "is fetched, and " : "")}{why}")) { Again = again, Asks = asks ? rollout : null, Shadow = shadow };
            }
            else
                return new(ChoiceKind.Take, rollout, reasons.With($"{name}: reaches this device")) { Again = again, Shadow = shadow };
        }

        if (servingRevoked)
            return new(ChoiceKind.Stop, null, reasons.With("no other release is planned for this device")) { Again = again };
        return new(ChoiceKind.Keep, null, reasons.With(device.Serving is null ? "no rollout reaches this device" : $"{device.Serving} goes on")) { Again = again, Shadow = shadow };
    }

    /// <summary>Why a shadow that reaches a device does not run there; null when it does. It serves nobody, so that neither windows nor users are waited for.</summary>
    static string? ShadowWaits(Rollout rollout, DeviceView device, DateTimeOffset now, Action<DateTimeOffset> later)
    {
        if (device.Serving is null)
            return "nothing serves here that it could run beside";
        if (device.Serving == rollout.Release)
            return "serves here, and is no shadow of itself";
        var runs = device.ShadowBy == rollout.Id;
        if (rollout.State == RolloutState.Aborted || (rollout.State == RolloutState.Held && !runs))
            return rollout.State == RolloutState.Held ? "held" : "aborted";
        if (device.Refusals.FirstOrDefault(refusal => refusal.Covers(rollout)) is { } refusal)
            return $"not tried again after attempt {refusal.Attempt} ({refusal.Why})";
        if (rollout.StartsAt is { } starts && now < starts)
        {
            later(starts);
            return $"starts at {starts.UtcDateTime:u}";
        }

        if (!runs && rollout.Spread is not null && rollout.Since + rollout.TurnOf(device.Id) is { } turn && now < turn)
        {
            later(turn);
            return $"its turn comes at {turn.UtcDateTime:u}, for the devices begin spread over {Duration.Format(rollout.Spread.Value)}";
        }

        return device.Lacks.GetValueOrDefault(rollout.Id) ?? ModelRequirement.Missing(rollout.Requires ?? [], device.Others);
    }

    static string NotReached(string name, Rollout rollout, int place)
    {
        var phase = $"{name}: phase {rollout.Phase + 1} of {rollout.Phases.Length} reaches";
        return rollout.Phases.Take(rollout.Phase + 1).Any(step => step.Selector is not null)
            ? $"{phase} {string.Join(" and ", rollout.Phases.Take(rollout.Phase + 1).Select(step => $"{step.Share:P0} of {(step.Selector is null ? "the devices" : $"those where {step.Selector}")}"))}; this one is at {(place + 1) / (double)Cohort.Places:P1}"
            : $"{phase} {rollout.Share:P0} of the devices; this one is at {(place + 1) / (double)Cohort.Places:P1}";
    }

    /// <summary>What a device that serves something good is asked to wait for.</summary>
    static (string Why, DateTimeOffset? Until, bool Asks)? Waits(Rollout rollout, DeviceView device, DateTimeOffset now)
    {
        var local = now.DateTime;
        if (!rollout.Windows.IsEmpty && !rollout.Windows.Any(window => window.Contains(local)))
        {
            var opens = rollout.Windows.Select(window => window.OpensAfter(local)).Min();
            return ("waits for its maintenance window", opens is { } at ? new(at, now.Offset) : null, false);
        }

        if (rollout.Consent is null)
            return null;
        return device.Answers.FirstOrDefault(answer => answer.Rollout == rollout.Id && answer.Attempt == rollout.Attempt) switch
        {
            { Yes: true } => null,
            { Yes: false } => ("its user said no", null, false),
            null => ("waits for its user's consent", null, true),
        };
    }
}

/// <summary>A release that is to run beside the serving one without answering.</summary>
/// <param name="Rollout">The experiment, with the release of the device's own arm.</param>
/// <param name="Arm">That arm.</param>
/// <param name="Share">The part of the requests that it is given, above 0 and up to 1.</param>
public sealed record ShadowChoice(Rollout Rollout, string Arm, double Share);

/// <summary>What of a device its decision depends on.</summary>
/// <param name="Id">The device's id, as enrolled.</param>
/// <param name="Facts">Facts and labels.</param>
/// <param name="Serving">The release that serves; null when none does.</param>
/// <param name="Refusals">Releases that failed here.</param>
public sealed record DeviceView(string Id, FactSet Facts, SemanticVersion? Serving, ImmutableArray<Refusal> Refusals)
{
    /// <summary>What serves of the device's other models.</summary>
    public ImmutableDictionary<ModelName, SemanticVersion> Others { get; init; } = ImmutableDictionary<ModelName, SemanticVersion>.Empty;

    /// <summary>Why rollouts wait for other models, by id: what the manifest of the release says that it needs, and does not serve here.</summary>
    public ImmutableDictionary<string, string> Lacks { get; init; } = ImmutableDictionary<string, string>.Empty;

    /// <summary>What the releases of other models that serve here need of this one.</summary>
    public ImmutableArray<ModelNeed> NeededBy { get; init => field = value.IsDefault ? [] : value; } = [];

    /// <summary>What its user answered.</summary>
    public ImmutableArray<ConsentAnswer> Answers { get; init => field = value.IsDefault ? [] : value; } = [];

    /// <summary>The rollout by whose order <see cref="Serving"/> serves, as far as is known; sets go by it.</summary>
    public string? ServingBy { get; init; }

    /// <summary>The rollout whose shadow runs here; null for none.</summary>
    public string? ShadowBy { get; init; }

    /// <summary>Whether something served before it that could serve again.</summary>
    public bool CanGoBack { get; init; }

    /// <summary>Rollouts of sets that may be taken, because every model of them may; the others are passed over. See <see cref="SetChoice"/>.</summary>
    public ImmutableHashSet<string> Sets { get; init; } = [];

    /// <summary>Rollouts of sets that are over for this device, and why.</summary>
    public ImmutableDictionary<string, string> Over { get; init; } = ImmutableDictionary<string, string>.Empty;

    /// <summary>Rollouts of sets that are not waited for, because a model of them serves a revoked release.</summary>
    public ImmutableHashSet<string> Urgent { get; init; } = [];

    /// <summary>What would serve beside a rollout's release.</summary>
    internal ImmutableDictionary<ModelName, SemanticVersion> Beside(Rollout rollout) =>
        rollout.With is { } with ? Others.SetItems(with.Select(member => KeyValuePair.Create(member.Model, member.Release))) : Others;
}

/// <summary>What a release that serves needs of another model.</summary>
/// <param name="Model">Whose release serves.</param>
/// <param name="Release">Which.</param>
/// <param name="Versions">Of the other model, that will do.</param>
public sealed record ModelNeed(ModelName Model, SemanticVersion Release, VersionRange Versions)
{
    /// <summary>What a release needs of a model; nothing when it needs nothing.</summary>
    public static IEnumerable<ModelNeed> Of(ReleaseManifest manifest, ModelName model) =>
        (manifest.Requires ?? []).Where(needs => needs.Model == model).Select(needs => new ModelNeed(manifest.Model, manifest.Version, needs.Versions));
}

/// <summary>What a device's user answered to a rollout's question.</summary>
/// <param name="Rollout">Which rollout asked.</param>
/// <param name="Attempt">In which attempt; a later one asks again.</param>
/// <param name="Yes">Whether it may switch.</param>
public sealed record ConsentAnswer(string Rollout, int Attempt, bool Yes);

/// <summary>A release that failed on this device: in trial, on loading, or in probation.</summary>
/// <param name="Rollout">The rollout that brought it.</param>
/// <param name="Release">The release.</param>
/// <param name="Attempt">The rollout's attempt at that time.</param>
/// <param name="Why">In words for a person.</param>
public sealed record Refusal(string Rollout, SemanticVersion Release, int Attempt, string Why)
{
    /// <summary>Whether the rollout would bring the same failure again: the same release, and no newer attempt ordered by this very rollout.</summary>
    /// <remarks>Another rollout of the same release is a new order, and tries again.</remarks>
    public bool Covers(Rollout rollout) => Rollout == rollout.Id && Release == rollout.Release && rollout.Attempt <= Attempt;

    /// <summary>Whether it took its host down.</summary>
    public bool Crash { get; init; }
}

static class Reasons
{
    public static ImmutableArray<string> With(this ImmutableArray<string>.Builder reasons, string last)
    {
        reasons.Add(last);
        return reasons.ToImmutable();
    }
}
