using System.Collections.Immutable;
using Coppice.Registry;

namespace Coppice.Protocol;

/// <summary>A device as the server knows it.</summary>
/// <param name="Id">As it enrolled.</param>
/// <param name="EnrolledAt">When it joined.</param>
/// <param name="LastSeen">When it last reported.</param>
/// <param name="Facts">What it says it is.</param>
/// <param name="Labels">What the operator calls it, without the prefix <c>label.</c>.</param>
/// <param name="Models">Its last word on each model, in the order of their names.</param>
/// <param name="RetiredAt">Null while it may report.</param>
public sealed record KnownDevice(
    string Id, DateTimeOffset EnrolledAt, DateTimeOffset LastSeen, ImmutableDictionary<string, string> Facts, ImmutableDictionary<string, string> Labels,
    ImmutableArray<DeviceModel> Models, DateTimeOffset? RetiredAt = null);

/// <summary>A device's last word on a model.</summary>
/// <param name="Model">The model.</param>
/// <param name="Settled">Whether what serves has passed probation.</param>
/// <param name="Last">What the last report said.</param>
/// <param name="Release">The release that report is about.</param>
/// <param name="At">When, by the device's clock.</param>
/// <param name="Serving">What serves there; null when nothing does, as far as reports tell.</param>
public sealed record DeviceModel(ModelName Model, bool Settled, ReportKind Last, SemanticVersion Release, DateTimeOffset At, SemanticVersion? Serving = null)
{
    /// <summary>The variant that serves.</summary>
    public string? Variant { get; init; }

    /// <summary>The rollout that the last report is about.</summary>
    public string? Rollout { get; init; }

    /// <summary>Why, in the device's words.</summary>
    public string? Why { get; init; }
}

/// <summary>Devices in the order of their ids.</summary>
/// <param name="Devices">At most as many as were asked for; may be fewer, even none, while there is a next page.</param>
/// <param name="Next">Give it as <c>after</c> for the next page; null at the end.</param>
public sealed record DevicePage(ImmutableArray<KnownDevice> Devices, string? Next = null);

/// <summary>All labels of a device: <c>PUT /v1/devices/{id}/labels</c>.</summary>
/// <param name="Labels">Without the prefix <c>label.</c>; these replace the ones before.</param>
public sealed record DeviceLabels(ImmutableDictionary<string, string> Labels);

/// <summary>A report as it was kept.</summary>
public sealed record KeptReport(Report Report, DateTimeOffset ReceivedAt);

/// <summary>Reports of a device, newest first.</summary>
/// <param name="Reports">At most as many as were asked for.</param>
/// <param name="Next">Give it as <c>before</c> for older ones; null at the end.</param>
public sealed record ReportPage(ImmutableArray<KeptReport> Reports, long? Next = null);

/// <summary>A join token is wanted: <c>POST /v1/join-tokens</c>.</summary>
/// <param name="ExpiresIn">How long it is good for, above 0 and up to a year.</param>
/// <param name="MaxUses">How many devices may join by it, 1 and up.</param>
public sealed record CreateJoinToken(TimeSpan ExpiresIn, int MaxUses)
{
    /// <summary>Labels that devices get which join by it.</summary>
    public ImmutableDictionary<string, string> Labels { get; init => field = value ?? []; } = [];
}

/// <summary>A new join token; its text is told only now.</summary>
/// <param name="Token">As <see cref="JoinToken"/> writes it.</param>
/// <param name="ExpiresAt">From this moment on it is refused.</param>
/// <param name="MaxUses">How many devices may join by it.</param>
public sealed record CreatedJoinToken(string Token, DateTimeOffset ExpiresAt, int MaxUses);

/// <summary>Something that happened, for the feed <c>GET /v1/events</c>.</summary>
/// <param name="Id">Grows; give the last one as <c>after</c> to go on.</param>
/// <param name="At">By the server's clock.</param>
/// <param name="Kind">What happened.</param>
/// <param name="By">The operator, or <c>coppice</c> when the server acted by itself.</param>
/// <param name="Why">In words for a person; may be empty.</param>
public sealed record ControlEvent(long Id, DateTimeOffset At, EventKind Kind, string By, string Why)
{
    /// <summary>Which model it is about.</summary>
    public ModelName? Model { get; init; }

    /// <summary>Which release it is about.</summary>
    public SemanticVersion? Release { get; init; }

    /// <summary>Which rollout it is about.</summary>
    public string? Rollout { get; init; }

    /// <summary>Which device it is about.</summary>
    public string? Device { get; init; }
}

/// <summary>Kinds of events.</summary>
public enum EventKind
{
    /// <summary>A release was taken into the repository.</summary>
    ReleasePublished,

    /// <summary>A release may serve nowhere any more.</summary>
    ReleaseRevoked,

    /// <summary>A rollout began.</summary>
    RolloutStarted,

    /// <summary>A rollout is in its next phase.</summary>
    RolloutAdvanced,

    /// <summary>No further device takes the release.</summary>
    RolloutHeld,

    /// <summary>A held rollout goes on.</summary>
    RolloutResumed,

    /// <summary>The release is taken back everywhere.</summary>
    RolloutReverted,

    /// <summary>Devices that failed try again.</summary>
    RolloutRetried,

    /// <summary>The last phase has done its work.</summary>
    RolloutCompleted,

    /// <summary>What offline keys signed was put in force: other keys, teams, thresholds or expiries.</summary>
    KeysChanged,

    /// <summary>A device was retired.</summary>
    DeviceRetired,

    /// <summary>A device's labels were set.</summary>
    DeviceLabelled,

    /// <summary>A group of devices was made, or is made by another selector.</summary>
    GroupChanged,

    /// <summary>Devices were put into a group or taken out.</summary>
    GroupMembersChanged,

    /// <summary>A group of devices was deleted.</summary>
    GroupDeleted,

    /// <summary>A join token was made.</summary>
    JoinTokenCreated,

    /// <summary>A model's releases must be sealed, and some devices are given its keys.</summary>
    ModelSealed,

    /// <summary>A model's releases need not be sealed any more, and no device is given its keys.</summary>
    ModelUnsealed,

    /// <summary>A publisher handed in content keys.</summary>
    KeysKept,

    /// <summary>A device was given content keys for the first time.</summary>
    KeysGranted,

    /// <summary>Grants to a public key were taken out of the repository.</summary>
    KeysWithdrawn,

    /// <summary>An operator was made known, or may do something else than before.</summary>
    OperatorChanged,

    /// <summary>An operator may do nothing any more.</summary>
    OperatorRemoved,

    /// <summary>An API token was made.</summary>
    TokenCreated,

    /// <summary>An API token opens nothing any more.</summary>
    TokenRevoked,

    /// <summary>An act waits for another person.</summary>
    ApprovalAsked,

    /// <summary>Another person approved an act.</summary>
    ApprovalGiven,

    /// <summary>An act that waited is not done.</summary>
    ApprovalRejected,

    /// <summary>Acts on some models need more or fewer approvals than before.</summary>
    PolicyChanged,

    /// <summary>Events are sent somewhere from now on.</summary>
    WebhookCreated,

    /// <summary>Events are sent somewhere no more.</summary>
    WebhookDeleted,

    /// <summary>Made up, to try a webhook; never in a list.</summary>
    WebhookTested,

    /// <summary>Somebody who is known asked for something that they may not do, or that could not be done.</summary>
    ActRefused,
}

/// <summary>Events, oldest first.</summary>
/// <param name="Events">At most as many as were asked for; may be fewer, even none, while there is a next page.</param>
/// <param name="Next">Give it as <c>after</c> for the next page; null at the end.</param>
public sealed record EventPage(ImmutableArray<ControlEvent> Events, long? Next = null);

/// <summary>Whether a server can do its work: <c>GET /readyz</c>.</summary>
/// <param name="Ready">Whether there is no problem.</param>
/// <param name="Problems">What keeps it from its work, one sentence each.</param>
/// <param name="Warnings">What somebody should do soon, one sentence each.</param>
public sealed record Readiness(bool Ready, ImmutableArray<string> Problems, ImmutableArray<string> Warnings);
