using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Json.Serialization;
using Coppice.Registry;

namespace Coppice.Protocol;

/// <summary>A device asks to be known: <c>POST /v1/enrol</c>, signed by the key of its request. Sent again with the same id and key, it gives the same answer.</summary>
/// <param name="Device">The id the device made for itself: 1 to 64 of a-z, 0-9, '-', '_', '.'.</param>
/// <param name="Request">PKCS#10 in base64, with the id as common name: see <see cref="Trust.DeviceRequest"/>.</param>
/// <param name="SealingKey">Public key that content keys are sealed to: see <see cref="Trust.DevicePublicKey"/>.</param>
/// <param name="Facts">What it is; see <see cref="Fleet.FactSet"/>.</param>
[JsonUnmappedMemberHandling(JsonUnmappedMemberHandling.Skip)] // an agent may be newer than its server
public sealed record EnrolRequest(string Device, string Request, string SealingKey, ImmutableDictionary<string, string> Facts)
{
    /// <summary>The join token's secret part; null for a device that is on the list, or that an operator accepts.</summary>
    public string? Token { get; init; }
}

/// <summary>The device is known.</summary>
/// <param name="Device">The id as it was taken.</param>
/// <param name="Labels">What the operator calls the device, without the prefix <c>label.</c>: for who looks. The device itself goes by its <see cref="DevicePassport"/>.</param>
[JsonUnmappedMemberHandling(JsonUnmappedMemberHandling.Skip)] // a server may be newer than its agents
public sealed record EnrolAnswer(string Device, ImmutableDictionary<string, string> Labels)
{
    /// <summary>The device's certificate, PEM, followed by those above it but for the root. Null while none is issued, as with an authority elsewhere.</summary>
    public string? Certificate { get; init; }

    /// <summary>The roots, PEM, by which the device knows this server from now on; null where the server's certificate is of public ones.</summary>
    public string? Authorities { get; init; }
}

/// <summary>The device waits for an operator to accept it: status 202. It asks again when the answer's <c>Retry-After</c> is over.</summary>
/// <param name="Device">The id it asks for.</param>
/// <param name="Key">SHA-256 of its signing key, for the operator to compare.</param>
public sealed record EnrolWaiting(string Device, Trust.Sha256Digest Key);

/// <summary>A device asks for its next certificate: <c>POST /v1/renew</c>, as itself.</summary>
/// <param name="Request">PKCS#10 in base64, by the key it enrolled with.</param>
[JsonUnmappedMemberHandling(JsonUnmappedMemberHandling.Skip)] // an agent may be newer than its server
public sealed record RenewRequest(string Request);

/// <summary>The next certificate.</summary>
/// <param name="Certificate">As in <see cref="EnrolAnswer.Certificate"/>.</param>
[JsonUnmappedMemberHandling(JsonUnmappedMemberHandling.Skip)] // a server may be newer than its agents
public sealed record RenewAnswer(string Certificate)
{
    /// <summary>As in <see cref="EnrolAnswer.Authorities"/>.</summary>
    public string? Authorities { get; init; }
}

/// <summary>What happened on a device: <c>POST /v1/reports</c>, as itself.</summary>
/// <param name="Reports">Oldest first, at most <see cref="MaxReports"/>; empty to say only that the device is there.</param>
/// <param name="Facts">The facts now, when they changed since they were last taken; null otherwise.</param>
[JsonUnmappedMemberHandling(JsonUnmappedMemberHandling.Skip)] // an agent may be newer than its server
public sealed record ReportBatch(ImmutableArray<Report> Reports, ImmutableDictionary<string, string>? Facts = null)
{
    /// <summary>Most reports in one batch.</summary>
    public const int MaxReports = 50;

    /// <summary>Most bytes of one batch.</summary>
    public const int MaxBytes = 256 << 10;

    /// <summary>Which sending of this installation it is; null from an agent that does not count them.</summary>
    public Sending? Sending { get; init; }

    /// <summary>Which labels the device goes by: see <see cref="DevicePassport.DigestOf"/>. The answer brings a passport when they are others.</summary>
    public Trust.Sha256Digest? Labels { get; init; }
}

/// <summary>One sending of a batch. An installation gives each number once, so that the same number twice tells of two installations with one identity.</summary>
/// <param name="Number">Grows with each sending for the life of the data folder, with gaps.</param>
/// <param name="Nonce">Random, for this sending: <see cref="NonceLength"/> characters of base64url.</param>
/// <param name="At">When, by the device's clock.</param>
[JsonUnmappedMemberHandling(JsonUnmappedMemberHandling.Skip)] // an agent may be newer than its server
public sealed record Sending(long Number, string Nonce, DateTimeOffset At)
{
    /// <summary>Characters of a nonce: 6 random bytes.</summary>
    public const int NonceLength = 8;
}

/// <summary>The answer to a batch: what the device need not send again.</summary>
/// <param name="Through">Reports up to this sequence number are kept; null from a mirror that was sent none and cannot ask the server.</param>
[JsonUnmappedMemberHandling(JsonUnmappedMemberHandling.Skip)] // a server may be newer than its agents
public sealed record ReportAnswer(long? Through = null)
{
    /// <summary>A signed <see cref="DevicePassport"/>, in base64, when the device goes by other labels than the operator's; null when it goes by them, and from a mirror.</summary>
    public string? Passport { get; init; }

    /// <summary>True from a mirror that keeps the reports until it reaches the server: that one has not said so yet, and may say less for a while.</summary>
    public bool? OnTheWay { get; init; }
}

/// <summary>One thing that happened. The device and <paramref name="Sequence"/> identify it, so that a repeat changes nothing.</summary>
/// <param name="Sequence">1 and up, without gaps, for the life of the device's data folder.</param>
/// <param name="At">By the device's clock.</param>
/// <param name="Kind">What happened.</param>
/// <param name="Model">To which model.</param>
/// <param name="Release">Which release it is about.</param>
[JsonUnmappedMemberHandling(JsonUnmappedMemberHandling.Skip)] // an agent may be newer than its server
public sealed record Report(long Sequence, DateTimeOffset At, ReportKind Kind, ModelName Model, SemanticVersion Release)
{
    /// <summary>The variant that was chosen.</summary>
    public string? Variant { get; init; }

    /// <summary>The rollout that brought it.</summary>
    public string? Rollout { get; init; }

    /// <summary>True for a release that runs beside the serving one and answers nobody: what serves is as before. Switched is then that it runs, and taken back that it does not any more.</summary>
    public bool? Shadow { get; init; }

    /// <summary>The rollout's attempt.</summary>
    public int Attempt { get; init; }

    /// <summary>In words for a person: why it was refused, taken back, or could not go on.</summary>
    public string? Why { get; init; }

    /// <summary>Bytes that came over the network for this update.</summary>
    public long? BytesFetched { get; init; }

    /// <summary>Bytes of the release's files on this device; the difference was saved.</summary>
    public long? BytesTotal { get; init; }

    /// <summary>The bytes by the way they came: <c>whole</c>, <c>compressed</c>, <c>patch</c>, <c>chain</c>, <c>ranges</c>, <c>index</c>, and <c>copied</c> for those that
    /// were here already; see <see cref="Coppice.Delivery.DeliveryWay"/>.</summary>
    public ImmutableSortedDictionary<string, long>? BytesByWay { get; init; }

    /// <summary>Figures of a trial or of probation: accuracy, latencyP95Ms, memoryBytes…</summary>
    public ImmutableDictionary<string, double>? Measures { get; init; }
}

/// <summary>What a report says.</summary>
public enum ReportKind
{
    /// <summary>The device has begun to fetch a release.</summary>
    Started,

    /// <summary>The trial, or loading, failed: the release never served.</summary>
    Refused,

    /// <summary>The release serves, on probation.</summary>
    Switched,

    /// <summary>Probation is over: the release stays.</summary>
    Settled,

    /// <summary>The release served and was taken back.</summary>
    TakenBack,

    /// <summary>Nothing of the release fits the device; it looks again at the next poll.</summary>
    Unfit,

    /// <summary>The device stopped serving the model: its release is revoked and there is no other.</summary>
    Stopped,
}

/// <summary>JSON of the messages between device and server.</summary>
[JsonSourceGenerationOptions(
    JsonSerializerDefaults.Web,
    NumberHandling = JsonNumberHandling.Strict,
    AllowDuplicateProperties = false,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true,
    MaxDepth = 16,
    Converters = [typeof(SemanticVersionConverter), typeof(ModelNameConverter), typeof(Sha256DigestConverter), typeof(NamedEnum<ReportKind>)])]
[JsonSerializable(typeof(EnrolRequest))]
[JsonSerializable(typeof(EnrolAnswer))]
[JsonSerializable(typeof(EnrolWaiting))]
[JsonSerializable(typeof(RenewRequest))]
[JsonSerializable(typeof(RenewAnswer))]
[JsonSerializable(typeof(ReportBatch))]
[JsonSerializable(typeof(ReportAnswer))]
[JsonSerializable(typeof(KeyRequest))]
[JsonSerializable(typeof(KeyAnswer))]
[JsonSerializable(typeof(DevicePassport))]
public sealed partial class DeviceMessagesContext : JsonSerializerContext;
