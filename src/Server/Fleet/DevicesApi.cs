using System.Security.Claims;
using Coppice.Access;
using Coppice.Fleet;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Server.Access;
using Coppice.Server.Preconditions;
using Coppice.Server.Rollouts;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;

namespace Coppice.Server.Fleet;

static class DevicesApi
{
    const int MaxPage = 1000;

    public static void MapDevices(this IEndpointRouteBuilder routes)
    {
        var devices = routes.MapGroup("/v1/devices").WithTags("Devices");
        devices.MapGet("/", List).Needs(Permission.DeviceRead).ProducesProblem(400);
        devices.MapGet("/{id}", Get).Tagged<KnownDevice>(device => device.Revision).Needs(Permission.DeviceRead, Abouts.DeviceInRoute).ProducesProblem(404);
        devices.MapPut("/{id}/labels", Label).Tagged<KnownDevice>(device => device.Revision).ProducesProblem(412).Needs(Permission.DeviceLabel, Abouts.Relabelling<DeviceLabels>(wanted => wanted.Labels)).ProducesProblem(400).ProducesProblem(404);
        devices.MapDelete("/{id}", Retire).Needs(Permission.DeviceRetire, Abouts.DeviceInRoute).ProducesProblem(404);
        devices.MapPost("/{id}/revoke", Revoke).Needs(Permission.DeviceRetire, Abouts.DeviceInRoute).ProducesProblem(400).ProducesProblem(404);
        devices.MapPost("/{id}/replace", Replace).Needs(Permission.DeviceAdmit, Abouts.DeviceInRoute).ProducesProblem(400).ProducesProblem(404);
        devices.MapPost("/{id}/clear", Clear).Needs(Permission.DeviceAdmit, Abouts.DeviceInRoute).ProducesProblem(404);
        devices.MapGet("/{id}/explanation", Explain).Needs(Permission.DeviceRead, Abouts.DeviceInRoute).ProducesProblem(400).ProducesProblem(403).ProducesProblem(404);
        devices.MapGet("/{id}/reports", Reports).Needs(Permission.DeviceRead, Abouts.DeviceInRoute).ProducesProblem(404);
    }

    /// <summary>Devices that a selector holds for and that the caller may see. A page may be short, even empty, while <c>next</c> says there is more.</summary>
    internal static async Task<Results<Ok<DevicePage>, ProblemHttpResult>> List(
        DeviceStore devices, ClaimsPrincipal caller, CancellationToken cancel, string? selector = null, string? state = null, string? after = null, int limit = 100)
    {
        var readable = Selector.TryParse(selector, out var condition, out var problems);
        DeviceState? wanted = null;
        if (state is not null)
        {
            wanted = Enum.GetValues<DeviceState>().Where(value => value.ToString().Equals(state, StringComparison.OrdinalIgnoreCase)).Select(value => (DeviceState?)value).FirstOrDefault();
            if (wanted is null or DeviceState.Pending)
                problems = [.. problems, new("state", $"'{DeviceRules.Shown(state)}' is not a state of a device that is known; give enrolled, silent, retired or revoked. Those that wait are at /v1/waiting-devices.")];
        }

        return !readable || problems.Length > 0
            ? Problems.Validation(problems)
            : TypedResults.Ok(await devices.ListAsync(Selector.Both(caller.Rights().Confinement(Permission.DeviceRead, null)!, condition!), wanted, after ?? "", Math.Clamp(limit, 1, MaxPage), cancel));
    }

    internal static async Task<Results<Ok<KnownDevice>, ProblemHttpResult>> Get(string id, DeviceStore devices, CancellationToken cancel) =>
        await devices.FindAsync(id, cancel) is { } device ? TypedResults.Ok(device) : Unknown(id);

    /// <summary>Replaces the labels of a device. It learns of them with its next report.</summary>
    internal static async Task<Results<Ok<KnownDevice>, ProblemHttpResult>> Label(
        string id, DeviceLabels request, DeviceStore devices, ClaimsPrincipal caller, TimeProvider time, CancellationToken cancel, [FromHeader(Name = "If-Match")] string? ifMatch = null)
    {
        var problems = DeviceRules.CheckLabels(request.Labels).ToList();
        if (problems.Count > 0)
            return Problems.Validation(problems);
        return await devices.LabelAsync(id, request.Labels, caller.Name(), time.GetUtcNow(), cancel, IfMatch.Read(ifMatch)) is { } device ? TypedResults.Ok(device) : Unknown(id);
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

    /// <summary>Takes suspicion from a device: each installation has its own identity now.</summary>
    internal static async Task<Results<NoContent, ProblemHttpResult>> Clear(string id, DeviceStore devices, ClaimsPrincipal caller, TimeProvider time, CancellationToken cancel) =>
        await devices.ClearAsync(id, caller.Name(), time.GetUtcNow(), cancel) is null ? Unknown(id) : TypedResults.NoContent();

    /// <summary>Makes a join token by which a device with new keys takes the place of this one, once. Reports and labels stay.</summary>
    internal static async Task<Results<Created<CreatedJoinToken>, ProblemHttpResult>> Replace(string id, ReplaceDevice request, JoinTokenStore tokens, ClaimsPrincipal caller, TimeProvider time, CancellationToken cancel)
    {
        if (JoinTokensApi.LifeProblem(request.ExpiresIn) is { } problem)
            return Problems.Validation([problem]);
        return await tokens.ReplaceAsync(id, request, caller.Name(), time.GetUtcNow(), cancel) is { } token
            ? TypedResults.Created((string?)null, token)
            : Problems.NotFound($"No device '{id}' has enrolled, or it is retired; 'coppice device list' shows those that have.");
    }

    /// <summary>Why the device has what it has, and what it does next: decided here as it decides itself.</summary>
    internal static async Task<Results<Ok<DeviceExplanation>, ProblemHttpResult>> Explain(string id, ExplanationStore explanations, ClaimsPrincipal caller, CancellationToken cancel, string? model = null)
    {
        ModelName? asked = null;
        if (model is not null)
        {
            if (!ModelName.TryParse(model, out var name))
                return Problems.Validation([new("model", $"'{DeviceRules.Shown(model)}' is no model's name; give OWNER/NAME.")]);
            if (!caller.Rights().Sees(name))
                return Problems.NotFound($"No model '{model}'; 'coppice model list' shows those that are there.");
            asked = name;
        }

        return await explanations.ExplainAsync(id, asked, caller.Rights().Sees, cancel) is { } explanation ? TypedResults.Ok(explanation) : Unknown(id);
    }

    /// <summary>What a device reported, newest first.</summary>
    internal static async Task<Results<Ok<ReportPage>, ProblemHttpResult>> Reports(
        string id, DeviceStore devices, ReportStore reports, CancellationToken cancel, long? before = null, int limit = 100) =>
        await devices.FindAsync(id, cancel) is null
            ? Unknown(id)
            : TypedResults.Ok(await reports.ListAsync(id, before ?? long.MaxValue, Math.Clamp(limit, 1, MaxPage), cancel));

    static ProblemHttpResult Unknown(string id) => Problems.NotFound($"No device '{id}' has enrolled; 'coppice device list' shows those that have.");
}
