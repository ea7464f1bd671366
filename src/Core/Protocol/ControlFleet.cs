using System.Collections.Immutable;
using Coppice.Registry;
using Coppice.Trust;

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
    ImmutableArray<DeviceModel> Models, DateTimeOffset? RetiredAt = null)
{
    /// <summary>Names the labels as they are now: give it as <c>If-Match</c> to replace them only while they are so.</summary>
    public string? Revision { get; init; }

    /// <summary>The groups that it is in, in the order of their names.</summary>
    public ImmutableArray<string> Groups { get; init => field = value.IsDefault ? [] : value; } = [];

    /// <summary>Where it is in its life.</summary>
    public DeviceState State { get; init; }

    /// <summary>SHA-256 of its signing key; null for a device that has none, because it speaks hawkBit's device API and shows a token.</summary>
    public Sha256Digest? Key { get; init; }

    /// <summary>When its latest certificate expires; null while it has none.</summary>
    public DateTimeOffset? CertificateExpires { get; init; }

    /// <summary>When it was revoked; null while it is not.</summary>
    public DateTimeOffset? RevokedAt { get; init; }

    /// <summary>Why it was revoked.</summary>
    public string? RevokedWhy { get; init; }

    /// <summary>What is wrong with its identity: <c>cloned</c> when two installations have it; null when nothing was noticed.</summary>
    public string? Suspect { get; init; }

    /// <summary>When that was noticed.</summary>
    public DateTimeOffset? SuspectSince { get; init; }
}

/// <summary>Where a device is in its life.</summary>
public enum DeviceState
{
    /// <summary>It asks to be let in, and waits for an operator.</summary>
    Pending,

    /// <summary>It is known, and was heard of lately.</summary>
    Enrolled,

    /// <summary>It is known, and was not heard of for longer than the server takes for usual.</summary>
    Silent,

    /// <summary>It was taken out for good.</summary>
    Retired,

    /// <summary>Its keys are not believed any more, as after a theft; new keys may take its place.</summary>
    Revoked,
}

/// <summary>A device that asks to be let in.</summary>
/// <param name="Device">The id it asks for.</param>
/// <param name="Key">SHA-256 of its signing key: compare it with what the device itself says.</param>
/// <param name="Facts">What it says it is.</param>
/// <param name="Address">From where it asks.</param>
/// <param name="AskedAt">When it asked first.</param>
/// <param name="LastAsked">When it asked last.</param>
public sealed record WaitingDevice(string Device, Sha256Digest Key, ImmutableDictionary<string, string> Facts, string Address, DateTimeOffset AskedAt, DateTimeOffset LastAsked);

/// <summary>Devices that ask to be let in, those that asked last first.</summary>
public sealed record WaitingPage(ImmutableArray<WaitingDevice> Devices);

/// <summary>An operator's answer to a device that asks: <c>POST /v1/waiting-devices/{id}/accept</c> and <c>…/reject</c>.</summary>
public sealed record WaitingAnswer
{
    /// <summary>SHA-256 of the key that is meant; needed when two ask for one id.</summary>
    public Sha256Digest? Key { get; init; }

    /// <summary>Labels for the device that is accepted.</summary>
    public ImmutableDictionary<string, string> Labels { get; init => field = value ?? []; } = [];
}

/// <summary>A device that may join without a token.</summary>
public sealed record AuthorisedDevice
{
    /// <summary>Its id; null for any.</summary>
    public string? Device { get; init; }

    /// <summary>SHA-256 of its signing key; null for any, and then whoever comes first with the id has it.</summary>
    public Sha256Digest? Key { get; init; }

    /// <summary>Labels that it gets.</summary>
    public ImmutableDictionary<string, string> Labels { get; init => field = value ?? []; } = [];
}

/// <summary>Devices that may join without a token: <c>POST /v1/authorised-devices</c>.</summary>
/// <param name="Devices">1 to <see cref="MaxDevices"/>. What is on the list already stays on it once.</param>
public sealed record AuthoriseDevices(ImmutableArray<AuthorisedDevice> Devices)
{
    /// <summary>Most devices of one call.</summary>
    public const int MaxDevices = 10_000;
}

/// <summary>What came of a list.</summary>
/// <param name="Added">Devices that were not on it.</param>
/// <param name="Known">Devices that were on it, or have joined.</param>
public sealed record AuthoriseAnswer(int Added, int Known);

/// <summary>Devices that may join without a token and have not yet.</summary>
/// <param name="Devices">In the order in which they were put there.</param>
/// <param name="Next">Give it as <c>after</c> for the next page; null at the end.</param>
public sealed record AuthorisedPage(ImmutableArray<AuthorisedDevice> Devices, long? Next = null);

/// <summary>An authority of the server, which certifies its devices.</summary>
/// <param name="Number">Counted from 1; the highest issues.</param>
/// <param name="Subject">Its name.</param>
/// <param name="Root">The name of the root above it; its own when it vouches for itself.</param>
/// <param name="Pin">SHA-256 of the root's public key, as join tokens pin it.</param>
/// <param name="Expires">From then on nothing of it is believed.</param>
public sealed record AuthorityView(int Number, string Subject, string Root, Sha256Digest Pin, DateTimeOffset Expires);

/// <summary>The authorities of the server, oldest first.</summary>
public sealed record AuthorityList(ImmutableArray<AuthorityView> Authorities);

/// <summary>Text in PEM: a request for a certificate, or certificates.</summary>
public sealed record PemText(string Pem);

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

/// <summary>What came of an import of labels.</summary>
/// <param name="Changed">Devices that have other labels than before.</param>
/// <param name="Unknown">Ids that no device has; nothing was done about them.</param>
public sealed record ImportedLabels(int Changed, ImmutableArray<string> Unknown);

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

    /// <summary>Whether devices that join by it know the server by public authorities, as behind a proxy with a public certificate.</summary>
    public bool PublicTls { get; init; }
}

/// <summary>A device with new keys is to take the place of another, once: <c>POST /v1/devices/{id}/replace</c>.</summary>
/// <param name="ExpiresIn">How long that is allowed, above 0 and up to a year.</param>
public sealed record ReplaceDevice(TimeSpan ExpiresIn)
{
    /// <summary>The reason.</summary>
    public string Why { get; init => field = value ?? ""; } = "";

    /// <summary>As in <see cref="CreateJoinToken.PublicTls"/>.</summary>
    public bool PublicTls { get; init; }
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

    /// <summary>A rollout was given up; devices keep what they have.</summary>
    RolloutAborted,

    /// <summary>An arm of an experiment is everybody's now.</summary>
    ArmPromoted,

    /// <summary>Nothing that is still to come would tell how a rollout's phase does: an operator decides.</summary>
    RolloutUndecided,

    /// <summary>Somebody outside said how a check came out.</summary>
    CheckSaid,

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

    /// <summary>A device joined.</summary>
    DeviceEnrolled,

    /// <summary>A device that asked was let in.</summary>
    DeviceAccepted,

    /// <summary>A device that asked was turned away.</summary>
    DeviceRejected,

    /// <summary>Devices were put on the list of those that may join.</summary>
    DevicesAuthorised,

    /// <summary>The keys of a device are not believed any more.</summary>
    DeviceRevoked,

    /// <summary>One device may take the place of another, once.</summary>
    DeviceReplacementAllowed,

    /// <summary>A device with new keys took the place of another; what that one reported is kept.</summary>
    DeviceReplaced,

    /// <summary>Two installations have the identity of one device.</summary>
    DeviceSuspected,

    /// <summary>An operator has put a device's identity right.</summary>
    DeviceCleared,

    /// <summary>Another authority certifies devices from now on.</summary>
    AuthorityChanged,

    /// <summary>A token was made by which devices come in that speak hawkBit's device API.</summary>
    DdiTokenCreated,

    /// <summary>Such a token opens nothing any more.</summary>
    DdiTokenRevoked,

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

    /// <summary>The server's state was put back from a backup; what happened after that backup is not in the log.</summary>
    ServerRestored,

    /// <summary>Devices, groups and operators of another server were taken over.</summary>
    ServerImported,

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
