using System.Security.Claims;
using Coppice.Fleet;
using Coppice.Protocol;
using Coppice.Server.Access;
using Microsoft.AspNetCore.Http.HttpResults;

namespace Coppice.Server.Fleet;

static class DevicesApi
{
    const int MaxPage = 1000;

    public static void MapDevices(this IEndpointRouteBuilder routes)
    {
        var devices = routes.MapGroup("/v1/devices").WithTags("Devices");
        devices.MapGet("/", List).ProducesProblem(400);
        devices.MapGet("/{id}", Get).ProducesProblem(404);
        devices.MapPut("/{id}/labels", Label).ProducesProblem(400).ProducesProblem(404);
        devices.MapDelete("/{id}", Retire).ProducesProblem(404);
        devices.MapPost("/{id}/revoke", Revoke).ProducesProblem(400).ProducesProblem(404);
        devices.MapPost("/{id}/replace", Replace).ProducesProblem(400).ProducesProblem(404);
        devices.MapGet("/{id}/reports", Reports).ProducesProblem(404);
    }

    /// <summary>Devices that a selector holds for. A page may be short, even empty, while <c>next</c> says there is more.</summary>
    internal static async Task<Results<Ok<DevicePage>, ProblemHttpResult>> List(
        DeviceStore devices, CancellationToken cancel, string? selector = null, DeviceState? state = null, string? after = null, int limit = 100) =>
        Selector.TryParse(selector, out var condition, out var problems)
            ? TypedResults.Ok(await devices.ListAsync(condition, state, after ?? "", Math.Clamp(limit, 1, MaxPage), cancel))
            : Problems.Validation(problems);

    internal static async Task<Results<Ok<KnownDevice>, ProblemHttpResult>> Get(string id, DeviceStore devices, CancellationToken cancel) =>
        await devices.FindAsync(id, cancel) is { } device ? TypedResults.Ok(device) : Unknown(id);

    /// <summary>Replaces the labels of a device. It learns of them with its next report.</summary>
    internal static async Task<Results<Ok<KnownDevice>, ProblemHttpResult>> Label(
        string id, DeviceLabels request, DeviceStore devices, ClaimsPrincipal caller, TimeProvider time, CancellationToken cancel)
    {
        var problems = DeviceRules.CheckLabels(request.Labels).ToList();
        if (problems.Count > 0)
            return Problems.Validation(problems);
        return await devices.LabelAsync(id, request.Labels, caller.Name(), time.GetUtcNow(), cancel) is { } device ? TypedResults.Ok(device) : Unknown(id);
    }

    /// <summary>Takes a device out for good: its reports are refused, and no rollout waits for it. What it holds, it keeps.</summary>
    internal static async Task<Results<NoContent, ProblemHttpResult>> Retire(string id, DeviceStore devices, ClaimsPrincipal caller, TimeProvider time, CancellationToken cancel) =>
        await devices.RetireAsync(id, caller.Name(), time.GetUtcNow(), cancel) ? TypedResults.NoContent() : Unknown(id);

    /// <summary>Takes a device's keys as stolen: its next call is refused, on connections that are open, too, and its certificates are on the revocation list.</summary>
    internal static async Task<Results<Ok<KnownDevice>, ProblemHttpResult>> Revoke(string id, Reason request, DeviceStore devices, ClaimsPrincipal caller, TimeProvider time, CancellationToken cancel)
    {
        if (string.IsNullOrWhiteSpace(request.Why) || request.Why.Length > Reason.MaxLength)
            return Problems.Validation([new("why", $"give the reason, in 1 to {Reason.MaxLength} characters.")]);
        return await devices.RevokeAsync(id, request.Why, caller.Name(), time.GetUtcNow(), cancel) is { } device ? TypedResults.Ok(device) : Unknown(id);
    }

    /// <summary>Makes a join token by which a device with new keys takes the place of this one, once. Reports and labels stay.</summary>
    internal static async Task<Results<Created<CreatedJoinToken>, ProblemHttpResult>> Replace(string id, ReplaceDevice request, JoinTokenStore tokens, ClaimsPrincipal caller, TimeProvider time, CancellationToken cancel)
    {
        if (JoinTokensApi.LifeProblem(request.ExpiresIn) is { } problem)
            return Problems.Validation([problem]);
        return await tokens.ReplaceAsync(id, request, caller.Name(), time.GetUtcNow(), cancel) is { } token
            ? TypedResults.Created((string?)null, token)
            : Problems.NotFound($"No device '{id}' has enrolled, or it is retired; 'coppice device list' shows those that have.");
    }

    /// <summary>What a device reported, newest first.</summary>
    internal static async Task<Results<Ok<ReportPage>, ProblemHttpResult>> Reports(
        string id, DeviceStore devices, ReportStore reports, CancellationToken cancel, long? before = null, int limit = 100) =>
        await devices.FindAsync(id, cancel) is null
            ? Unknown(id)
            : TypedResults.Ok(await reports.ListAsync(id, before ?? long.MaxValue, Math.Clamp(limit, 1, MaxPage), cancel));

    static ProblemHttpResult Unknown(string id) => Problems.NotFound($"No device '{id}' has enrolled; 'coppice device list' shows those that have.");
}
