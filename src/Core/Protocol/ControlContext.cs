using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Json.Serialization;
using Coppice.Access;
using Coppice.Formats;
using Coppice.Rollouts;
using Coppice.Trust;

namespace Coppice.Protocol;

/// <summary>A refusal as RFC 9457 writes it.</summary>
/// <param name="Type">Stable; clients branch on it: <c>/problems/rollout-active</c>.</param>
/// <param name="Title">What is wrong, in few words.</param>
/// <param name="Status">The HTTP status.</param>
/// <param name="Detail">What was found, what is wanted, what to do.</param>
public sealed record ControlProblem(string? Type = null, string? Title = null, int? Status = null, string? Detail = null)
{
    /// <summary>With <c>/problems/validation</c>: everything that is wrong, by field.</summary>
    public ImmutableDictionary<string, ImmutableArray<string>>? Errors { get; init; }

    /// <summary>With <c>/problems/missing-blobs</c>: every blob the repository lacks.</summary>
    public ImmutableArray<Sha256Digest>? Missing { get; init; }

    /// <summary>With <c>/problems/forbidden</c>: the permission that the caller lacks, as <c>rollout.start</c>.</summary>
    public string? Permission { get; init; }
}

/// <summary>JSON of the control API, the same on both sides.</summary>
[JsonSourceGenerationOptions(
    JsonSerializerDefaults.Web,
    PropertyNameCaseInsensitive = false,
    NumberHandling = JsonNumberHandling.Strict,
    AllowDuplicateProperties = false,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true,
    IgnoreReadOnlyProperties = true,
    MaxDepth = 32,
    Converters =
    [
        typeof(SemanticVersionConverter), typeof(VersionRangeConverter), typeof(ModelNameConverter), typeof(Sha256DigestConverter), typeof(SignedDurationConverter),
        typeof(NamedEnum<RolloutState>), typeof(NamedEnum<PhaseAction>), typeof(NamedEnum<DayOfWeek>), typeof(NamedEnum<ModelFormat>), typeof(NamedEnum<ElementType>),
        typeof(NamedEnum<ReportKind>), typeof(NamedEnum<EventKind>), typeof(NamedEnum<DeviceState>), typeof(NamedEnum<Role>), typeof(NamedEnum<Reach>), typeof(NamedEnum<ApprovalAct>), typeof(NamedEnum<ApprovalState>), typeof(NamedEnum<DeliveryState>),
        typeof(NamedEnum<GateKind>), typeof(NamedEnum<Reference>), typeof(NamedEnum<GateStanding>), typeof(NamedEnum<Goal>),
    ])]
[JsonSerializable(typeof(ControlProblem))]
[JsonSerializable(typeof(PublishRelease))]
[JsonSerializable(typeof(ReleaseView))]
[JsonSerializable(typeof(ReleaseDetail))]
[JsonSerializable(typeof(ImmutableArray<ReleaseView>))]
[JsonSerializable(typeof(ImmutableArray<ModelView>))]
[JsonSerializable(typeof(ModelDetail))]
[JsonSerializable(typeof(Reason))]
[JsonSerializable(typeof(StartRollout))]
[JsonSerializable(typeof(RolloutOrder))]
[JsonSerializable(typeof(SayCheck))]
[JsonSerializable(typeof(PromoteArm))]
[JsonSerializable(typeof(RolloutWhy))]
[JsonSerializable(typeof(PhaseEvidence))]
[JsonSerializable(typeof(RolloutView))]
[JsonSerializable(typeof(ImmutableArray<Arm>))]
[JsonSerializable(typeof(ImmutableArray<SetMember>))]
[JsonSerializable(typeof(ImmutableArray<RolloutView>))]
[JsonSerializable(typeof(RolloutPage))]
[JsonSerializable(typeof(RolloutDetail))]
[JsonSerializable(typeof(DevicePage))]
[JsonSerializable(typeof(DeviceLabels))]
[JsonSerializable(typeof(ImmutableArray<GroupView>))]
[JsonSerializable(typeof(PutGroup))]
[JsonSerializable(typeof(GroupMembers))]
[JsonSerializable(typeof(GroupChange))]
[JsonSerializable(typeof(DeviceExplanation))]
[JsonSerializable(typeof(ImportedLabels))]
[JsonSerializable(typeof(ReportPage))]
[JsonSerializable(typeof(ImmutableSortedDictionary<string, long>))]
[JsonSerializable(typeof(CreateJoinToken))]
[JsonSerializable(typeof(ReplaceDevice))]
[JsonSerializable(typeof(CreatedJoinToken))]
[JsonSerializable(typeof(CreateDdiToken))]
[JsonSerializable(typeof(CreatedDdiToken))]
[JsonSerializable(typeof(DdiTokenView))]
[JsonSerializable(typeof(DdiTokenPage))]
[JsonSerializable(typeof(WaitingPage))]
[JsonSerializable(typeof(WaitingAnswer))]
[JsonSerializable(typeof(AuthoriseDevices))]
[JsonSerializable(typeof(AuthoriseAnswer))]
[JsonSerializable(typeof(AuthorisedPage))]
[JsonSerializable(typeof(AuthorityList))]
[JsonSerializable(typeof(PemText))]
[JsonSerializable(typeof(EventPage))]
[JsonSerializable(typeof(Readiness))]
[JsonSerializable(typeof(RepositoryView))]
[JsonSerializable(typeof(ApplyMetadata))]
[JsonSerializable(typeof(AppliedMetadata))]
[JsonSerializable(typeof(ServerSealing))]
[JsonSerializable(typeof(SealModel))]
[JsonSerializable(typeof(SealedModel))]
[JsonSerializable(typeof(SealedGrants))]
[JsonSerializable(typeof(OperatorView))]
[JsonSerializable(typeof(PutOperator))]
[JsonSerializable(typeof(OperatorPage))]
[JsonSerializable(typeof(CreateApiToken))]
[JsonSerializable(typeof(CreatedApiToken))]
[JsonSerializable(typeof(ApiTokenPage))]
[JsonSerializable(typeof(WhoAmI))]
[JsonSerializable(typeof(ImmutableArray<PermissionRow>))]
[JsonSerializable(typeof(SignIn))]
[JsonSerializable(typeof(ControlEvent))]
[JsonSerializable(typeof(CreateWebhook))]
[JsonSerializable(typeof(CreatedWebhook))]
[JsonSerializable(typeof(WebhookPage))]
[JsonSerializable(typeof(DeliveryPage))]
[JsonSerializable(typeof(ReplayEvents))]
[JsonSerializable(typeof(WebhookTest))]
[JsonSerializable(typeof(WebhookBody))]
[JsonSerializable(typeof(ApprovalPage))]
[JsonSerializable(typeof(SetPolicy))]
[JsonSerializable(typeof(ImmutableArray<PolicyView>))]
[JsonSerializable(typeof(AuditPage))]
[JsonSerializable(typeof(AuditLine))]
public sealed partial class ControlContext : JsonSerializerContext;
