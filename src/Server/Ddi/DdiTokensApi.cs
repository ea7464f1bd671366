using System.Security.Claims;
using Coppice.Access;
using Coppice.Fleet;
using Coppice.Protocol;
using Coppice.Server.Access;
using Coppice.Server.Fleet;
using Coppice.Trust;
using Microsoft.AspNetCore.Http.HttpResults;

namespace Coppice.Server.Ddi;

/// <summary>Operators' side: who may come in that speaks DDI.</summary>
static class DdiTokensApi
{
    const int MaxPage = 1000;

    public static void MapDdiTokens(this IEndpointRouteBuilder routes)
    {
        var tokens = routes.MapGroup("/v1/ddi-tokens").WithTags("Devices");
        tokens.MapPost("/", Create).Needs(Permission.DeviceAdmit, Abouts.DevicesLabelled<CreateDdiToken>(wanted => wanted.Labels)).ProducesProblem(400);
        tokens.MapGet("/", List).Needs(Permission.DeviceAdmit);
        tokens.MapDelete("/{id}", Revoke).Needs(Permission.DeviceAdmit, OfToken).ProducesProblem(404);
    }

    /// <summary>The token in the route, by the labels of its devices.</summary>
    static readonly About OfToken = async (call, caller, permission) =>
        call.HttpContext.GetRouteValue("id") is string id
        && await call.HttpContext.RequestServices.GetRequiredService<DdiTokenStore>().FindAsync(id, call.HttpContext.RequestAborted) is { } token
        && !caller.Rights.May(permission, LabelledBy(token)) ? "on devices with these labels" : null;

    static FactSet LabelledBy(DdiTokenView token) => new(FactSet.OfLabels(token.Labels));

    /// <summary>Makes a token by which devices come in that speak hawkBit's device API. Its text is told only in this answer.</summary>
    internal static async Task<Results<Created<CreatedDdiToken>, ProblemHttpResult>> Create(CreateDdiToken request, DdiTokenStore tokens, ClaimsPrincipal caller, TimeProvider time, CancellationToken cancel)
    {
        var problems = DeviceRules.CheckLabels(request.Labels).ToList();
        if (request.Models.IsDefaultOrEmpty || request.Models.Length > CreateDdiToken.MaxModels)
            problems.Add(new("models", $"{(request.Models.IsDefault ? 0 : request.Models.Length)} models; say which the devices run, 1 to {CreateDdiToken.MaxModels}."));
        if (request.Device is not null && !DeviceRequest.IsDevice(request.Device))
            problems.Add(new("device", $"'{DeviceRules.Shown(request.Device)}' is not a device id; give 1 to {DeviceRequest.MaxDevice} of a-z, 0-9, '-', '_', '.'."));
        if (request.MaxDevices is < 1 or > CreateDdiToken.MostDevices)
            problems.Add(new("maxDevices", $"{request.MaxDevices} is out of bounds; give 1 to {CreateDdiToken.MostDevices}."));
        if (problems.Count > 0)
            return Problems.Validation(problems);
        var created = await tokens.CreateAsync(request, caller.Name(), time.GetUtcNow(), cancel);
        return TypedResults.Created($"/v1/ddi-tokens/{created.View.Id}", created);
    }

    /// <summary>Tokens of devices that the caller may admit, in the order of their ids.</summary>
    internal static async Task<Ok<DdiTokenPage>> List(DdiTokenStore tokens, ClaimsPrincipal principal, CancellationToken cancel, string? after = null, int limit = 100)
    {
        var page = await tokens.ListAsync(after ?? "", Math.Clamp(limit, 1, MaxPage), cancel);
        var rights = principal.Caller().Rights;
        return TypedResults.Ok(page with { Tokens = [.. page.Tokens.Where(token => rights.May(Permission.DeviceAdmit, LabelledBy(token)))] });
    }

    /// <summary>Revokes a token at once. Devices that came by it are refused until they come by another.</summary>
    internal static async Task<Results<Ok<DdiTokenView>, ProblemHttpResult>> Revoke(string id, DdiTokenStore tokens, ClaimsPrincipal caller, TimeProvider time, CancellationToken cancel) =>
        await tokens.RevokeAsync(id, caller.Name(), time.GetUtcNow(), cancel) is { } token
            ? TypedResults.Ok(token)
            : Problems.NotFound($"There is no DDI token '{DeviceRules.Shown(id)}'; 'coppice ddi-token list' shows those that are there.");
}
