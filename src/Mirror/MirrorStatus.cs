using System.Text.Json;
using System.Text.Json.Serialization;
using Coppice.Mirror.Reports;
using Coppice.Mirror.Tree;
using Coppice.Mirror.Upstream;
using Coppice.Trust;
using Microsoft.AspNetCore.Http;

namespace Coppice.Mirror;

/// <summary>How a mirror is: <c>GET /v1/mirror/status</c>.</summary>
/// <param name="Upstream">The server.</param>
/// <param name="Reached">Whether it answers.</param>
/// <param name="LastAnswer">When it last did; null when it never did since the start.</param>
/// <param name="Trouble">Why it does not; null when it does.</param>
/// <param name="Since">Since when it does not.</param>
/// <param name="TimestampVersion">Version of the timestamp that devices are served; null when there is none.</param>
/// <param name="TimestampExpires">Until when devices take it without an offline grace.</param>
/// <param name="Held">Bytes of blobs and patches here.</param>
/// <param name="Fetched">Files fetched from upstream since the start.</param>
/// <param name="ReportsWaiting">Requests of devices that wait for upstream.</param>
/// <param name="ReportsDelivered">Requests that upstream took since the start.</param>
/// <param name="ReportsRefused">Requests that upstream refused for good since the start.</param>
public sealed record MirrorStatus(
    Uri Upstream, bool Reached, DateTimeOffset? LastAnswer, string? Trouble, DateTimeOffset? Since, long? TimestampVersion, DateTimeOffset? TimestampExpires,
    long Held, long Fetched, int ReportsWaiting, long ReportsDelivered, long ReportsRefused);

sealed class MirrorStatusPage(SiteTree tree, FileCache cache, ReportSpool spool, ReportCarrier carrier, UpstreamState state, MirrorOptions options)
{
    public const string Path = "/v1/mirror/status";

    public Task ServeAsync(HttpContext context, string path)
    {
        if (path is not (Path or "/health"))
            return RepositoryFiles.Plain(context, StatusCodes.Status404NotFound, "This is a Coppice mirror: /repository/ serves devices, /v1/mirror/status says how it is.");
        context.Response.ContentType = "application/json";
        return context.Response.Body.WriteAsync(JsonSerializer.SerializeToUtf8Bytes(Now(), MirrorContext.Default.MirrorStatus), context.RequestAborted).AsTask();
    }

    MirrorStatus Now()
    {
        Timestamp? timestamp = null;
        try
        {
            timestamp = new TreeMetadata(tree.Disk).Read(TopLevelRole.Timestamp) is { } bytes ? MetadataFile.ReadTimestamp(bytes).Signed : null;
        }
        catch (UntrustedMetadataException) // damaged on this disk: as none
        {
        }

        var trouble = state.Trouble;
        return new(
            options.Upstream, trouble is null && state.LastAnswer is not null, state.LastAnswer, trouble?.Why, trouble?.Since, timestamp?.Version, timestamp?.Expires,
            cache.Held, cache.Fetched, spool.Count, carrier.Delivered, carrier.Refused);
    }
}

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web)]
[JsonSerializable(typeof(MirrorStatus))]
sealed partial class MirrorContext : JsonSerializerContext;
