using System.Collections.Immutable;
using System.Text.Json.Serialization;

namespace Coppice.Server.Ddi;

// The messages of hawkBit's Direct Device Integration API, version 1, as its clients read and write them:
// https://eclipse.dev/hawkbit/apis/ddi_api/. Members that clients leave out or add are borne with.

sealed record DdiBase(DdiConfig Config, [property: JsonPropertyName("_links")] ImmutableSortedDictionary<string, DdiLink> Links);

sealed record DdiConfig(DdiPolling Polling);

/// <param name="Sleep">HH:mm:ss.</param>
sealed record DdiPolling(string Sleep);

sealed record DdiLink(string Href);

sealed record DdiDeployment(string Id, DdiPlan Deployment);

/// <param name="Download"><c>skip</c>, <c>attempt</c> or <c>forced</c>.</param>
/// <param name="Update">The same.</param>
/// <param name="Chunks">One: the variant.</param>
/// <param name="MaintenanceWindow"><c>available</c> or <c>unavailable</c>; null where rollouts have none.</param>
sealed record DdiPlan(string Download, string Update, ImmutableArray<DdiChunk> Chunks, string? MaintenanceWindow);

sealed record DdiChunk(string Part, string Version, string Name, ImmutableArray<DdiArtifact> Artifacts);

sealed record DdiArtifact(string Filename, DdiHashes Hashes, long Size, [property: JsonPropertyName("_links")] ImmutableSortedDictionary<string, DdiLink> Links);

sealed record DdiHashes(string Sha1, string Md5, string Sha256);

sealed record DdiConfirmation(string Id, DdiPlan Confirmation);

sealed record DdiCancel(string Id, DdiCancelled CancelAction);

sealed record DdiCancelled(string StopId);

sealed record DdiAutoConfirm(DdiActive AutoConfirm, [property: JsonPropertyName("_links")] ImmutableSortedDictionary<string, DdiLink> Links);

sealed record DdiActive(bool Active);

sealed record DdiFeedback(DdiStatus? Status);

sealed record DdiStatus(string? Execution, DdiResult? Result, ImmutableArray<string> Details);

sealed record DdiResult(string? Finished);

sealed record DdiConfirmed(string? Confirmation, ImmutableArray<string> Details);

/// <param name="Mode"><c>merge</c>, <c>replace</c> or <c>remove</c>; null for merge.</param>
/// <param name="Data">The attributes.</param>
sealed record DdiAttributes(string? Mode, Dictionary<string, string?>? Data);

[JsonSourceGenerationOptions(
    System.Text.Json.JsonSerializerDefaults.Web,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    AllowDuplicateProperties = false,
    MaxDepth = 16)]
[JsonSerializable(typeof(DdiBase))]
[JsonSerializable(typeof(DdiDeployment))]
[JsonSerializable(typeof(DdiConfirmation))]
[JsonSerializable(typeof(DdiCancel))]
[JsonSerializable(typeof(DdiAutoConfirm))]
[JsonSerializable(typeof(DdiFeedback))]
[JsonSerializable(typeof(DdiConfirmed))]
[JsonSerializable(typeof(DdiAttributes))]
[JsonSerializable(typeof(ImmutableArray<DdiArtifact>))]
sealed partial class DdiContext : JsonSerializerContext;
