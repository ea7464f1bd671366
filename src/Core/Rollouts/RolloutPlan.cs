using System.Collections.Immutable;
using Coppice.Fleet;
using Coppice.Registry;
using Coppice.Trust;

namespace Coppice.Rollouts;

/// <summary>The signed document by which each device finds out for itself which release of a model it should run. Specified in docs/formats/plan.md.</summary>
/// <param name="Schema">Version of the document's own form; this code writes and reads 1.</param>
/// <param name="Model">The model it is about.</param>
/// <param name="Serial">Grows with every change; a device never goes back to a lower one.</param>
/// <param name="Rollouts">Newest first.</param>
/// <param name="Revoked">Releases that no device may serve, whatever a rollout says.</param>
public sealed record RolloutPlan(
    int Schema, ModelName Model, long Serial, ImmutableArray<Rollout> Rollouts, ImmutableArray<SemanticVersion> Revoked)
{
    /// <summary>The schema this code writes.</summary>
    public const int CurrentSchema = 1;

    /// <summary>Largest plan taken, in bytes.</summary>
    public const int MaxBytes = 1 << 20;

    /// <summary>The plan of a model that nobody has rolled out.</summary>
    public static RolloutPlan None(ModelName model) => new(CurrentSchema, model, 0, [], []);
}

/// <summary>The way of a release through phases.</summary>
/// <param name="Id">Unique in the model: <c>r-7</c>.</param>
/// <param name="Release">What it brings; in an experiment, what its first arm that brings something does.</param>
/// <param name="Manifest">Digest of that release's manifest; a device refuses another one under the same version.</param>
/// <param name="Salt">Mixed into the devices' places, so that the first devices of one rollout are not those of the next.</param>
/// <param name="Selector">Which devices it is for, in <see cref="Fleet.Selector"/>'s language; empty for all.</param>
/// <param name="Phases">At least one; each reaches more devices than the one before.</param>
/// <param name="Phase">The phase it is in, 0 and up.</param>
/// <param name="State">Whether it goes on.</param>
/// <param name="Attempt">1 and up. A device that refused or took back the release tries again only when this has grown.</param>
public sealed record Rollout(
    string Id, SemanticVersion Release, Sha256Digest Manifest, string Salt, string Selector, ImmutableArray<Phase> Phases, int Phase, RolloutState State, int Attempt)
{
    /// <summary>When devices may switch, in their own local time; empty for always.</summary>
    public ImmutableArray<MaintenanceWindow> Windows { get; init => field = value.IsDefault ? [] : value; } = [];

    /// <summary>No device begins before this moment; null for at once.</summary>
    public DateTimeOffset? StartsAt { get; init; }

    /// <summary>When the present phase began.</summary>
    public DateTimeOffset? Since { get; init; }

    /// <summary>Devices begin spread over so long after <see cref="Since"/>, each at its own moment; null for all at once.</summary>
    public TimeSpan? Spread { get; init; }

    /// <summary>Whether devices fetch while they may not switch yet, so that a window costs no download.</summary>
    public bool? FetchEarly { get; init; }

    /// <summary>The question that a device asks its user before it switches; null to ask nobody.</summary>
    public string? Consent { get; init; }

    /// <summary>From this moment on neither windows nor users are waited for.</summary>
    public DateTimeOffset? ForcedFrom { get; init; }

    /// <summary>What must serve beside it before a device switches.</summary>
    public ImmutableArray<ModelRequirement>? Requires { get; init; }

    /// <summary>Releases side by side; null for one.</summary>
    public ImmutableArray<Arm>? Arms { get; init; }

    /// <summary>The releases of other models that it brings together with its own, all or none; null for its own alone.</summary>
    public ImmutableArray<SetMember>? With { get; init; }

    /// <summary>The model in whose plan the rollout stands, where this is the plan of another model of its set; null in that plan itself.</summary>
    public ModelName? Lead { get; init; }

    /// <summary>Of a set, whether it goes on, where <see cref="State"/> is for readers that know no sets; see <see cref="SetForm"/>. Null once it is read.</summary>
    public RolloutState? SetState { get; init; }

    /// <summary>The largest share of the selected devices that the phases so far reach.</summary>
    public double Share => Phases.Take(Phase + 1).Max(phase => phase.Share);

    /// <summary>Whether the phases so far reach a device.</summary>
    /// <param name="facts">The device's facts and labels.</param>
    /// <param name="place">Its <see cref="Cohort.Of"/>.</param>
    /// <param name="upTo">The last phase that counts; null for the present one.</param>
    public bool Reaches(FactSet facts, int place, int? upTo = null)
    {
        for (var i = 0; i <= (upTo ?? Phase); i++)
        {
            var phase = Phases[i];
            if (Cohort.Reaches(phase.Share, place) && (phase.Selector is not { } condition || (Fleet.Selector.TryParse(condition, out var selector, out _) && selector.Matches(facts))))
                return true;
        }

        return false;
    }

    /// <summary>How long after <see cref="Since"/> a device's turn comes: below <see cref="Spread"/>.</summary>
    public TimeSpan TurnOf(string device) => Spread is { } spread ? spread * (Cohort.Of(Salt + ":turn", device) / (double)Cohort.Places) : TimeSpan.Zero;

    /// <summary>The arm of a device, the same for ever; null where there are none.</summary>
    public Arm? ArmOf(string device)
    {
        if (Arms is not { } arms)
            return null;
        var place = Cohort.Of(Salt + ":arm", device) / (double)Cohort.Places * arms.Sum(arm => arm.Weight);
        foreach (var arm in arms)
        {
            place -= arm.Weight;
            if (place < 0)
                return arm;
        }

        return arms[^1];
    }

    /// <summary>Whether it brings a release to anybody, to serve.</summary>
    public bool Brings(SemanticVersion release) => Arms is { } arms ? arms.Any(arm => arm.Release == release) : Release == release;
}

/// <summary>One step of a rollout.</summary>
/// <param name="Share">Part of the selected devices that may hold the release, above 0 and up to 1.</param>
/// <param name="Soak">How long the phase must look well before the next starts; null when only an operator starts it.</param>
public sealed record Phase(double Share, TimeSpan? Soak = null)
{
    /// <summary>Which of the rollout's devices the phase adds; null for all.</summary>
    public string? Selector { get; init; }

    /// <summary>What must hold in this phase, in place of the rollout's gates; null for those. Not part of what devices read.</summary>
    public ImmutableArray<Gate>? Gates { get; init; }
}

/// <summary>One of several releases side by side.</summary>
/// <param name="Name">As reports and people name it: <c>control</c>, <c>b</c>.</param>
/// <param name="Weight">Its part of the devices, above 0, in any unit.</param>
/// <param name="Release">What it brings; null for a control that keeps what it has.</param>
/// <param name="Manifest">Digest of the release's manifest; null for a control.</param>
public sealed record Arm(string Name, double Weight, SemanticVersion? Release = null, Sha256Digest? Manifest = null)
{
    /// <summary>What its devices run beside the release that serves there, which goes on answering alone; null for an arm that is no shadow.</summary>
    /// <remarks>Apart from <see cref="Release"/>, so that a reader that knows no shadows takes the arm for one that keeps what it has.</remarks>
    public ShadowRelease? Shadow { get; init; }

    /// <summary>The release that its devices run for it, whether it answers or not; null for a control that keeps what it has.</summary>
    public SemanticVersion? Runs => Release ?? Shadow?.Release;
}

/// <summary>A release that runs on copies of requests, and answers none.</summary>
/// <param name="Release">Which.</param>
/// <param name="Manifest">Digest of its manifest.</param>
public sealed record ShadowRelease(SemanticVersion Release, Sha256Digest Manifest)
{
    /// <summary>The part of the requests that it is given, where a plan does not say.</summary>
    public const double DefaultShare = 0.1;

    /// <summary>The part of the requests that it is given, above 0 and up to 1; null for <see cref="DefaultShare"/>.</summary>
    public double? Share { get; init; }
}

/// <summary>Whether a rollout goes on.</summary>
public enum RolloutState
{
    /// <summary>Devices it reaches take the release.</summary>
    Running,

    /// <summary>Devices that have it keep it; no further device takes it.</summary>
    Held,

    /// <summary>Devices that have it go back to what the older rollouts say.</summary>
    Reverted,

    /// <summary>It has reached every selected device that could take it; late ones still take it.</summary>
    Complete,

    /// <summary>Given up: devices that have it keep it; no further device takes it, for good.</summary>
    Aborted,
}
