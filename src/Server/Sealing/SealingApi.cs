using System.Security.Claims;
using Coppice.Access;
using Coppice.Fleet;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Server.Access;
using Coppice.Server.Patches;
using Coppice.Trust;
using Coppice.Trust.Sealing;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;

namespace Coppice.Server.Sealing;

static class SealingApi
{
    /// <summary>For devices.</summary>
    public static void MapKeys(this IEndpointRouteBuilder routes) => routes.MapPost("/v1/keys", Ask)
        .WithTags("Devices").RequireAuthorization(BearerTokens.Device)
        .WithMetadata(new RequestSizeLimitAttribute(KeyRequest.MaxBytes))
        .ProducesProblem(400).ProducesProblem(401).ProducesProblem(403).ProducesProblem(413);

    /// <summary>For publishers and operators.</summary>
    public static void MapSealing(this IEndpointRouteBuilder routes)
    {
        routes.MapGet("/v1/sealing", Get).Needs(Permission.ModelRead).WithTags("Sealing");
        routes.MapPut("/v1/grants", PutGrants).Needs(Permission.BlobWrite).WithTags("Sealing").WithMetadata(new RequestSizeLimitAttribute(SealedGrants.MaxBytes)).ProducesProblem(400).ProducesProblem(413);
        routes.MapDelete("/v1/grants/{recipient}", Withdraw).Needs(Permission.ServerManage).WithTags("Sealing").ProducesProblem(400);
        var models = routes.MapGroup("/v1/models/{owner}/{name}").WithTags("Sealing").ProducesProblem(400).ProducesProblem(404);
        models.MapGet("/sealing", Find).Needs(Permission.ModelRead, Abouts.ModelInRoute);
        models.MapPut("/sealing", Seal).Needs(Permission.PolicyWrite, Abouts.ModelInRoute);
        models.MapDelete("/sealing", Unseal).Needs(Permission.PolicyWrite, Abouts.ModelInRoute);
        models.MapPut("/keys", Keep).Needs(Permission.ReleasePublish, Abouts.ModelInRoute).WithMetadata(new RequestSizeLimitAttribute(SealedGrants.MaxBytes)).ProducesProblem(409).ProducesProblem(413);
    }

    /// <summary>Seals to the device the content keys that it is entitled to.</summary>
    internal static async Task<Results<Ok<KeyAnswer>, ProblemHttpResult>> Ask(KeyRequest request, ContentKeyStore keys, ClaimsPrincipal caller, TimeProvider time, CancellationToken cancel)
    {
        if (request.Keys.IsDefaultOrEmpty || request.Keys.Length > KeyRequest.MaxKeys)
            return Problems.Validation([new("keys", $"{(request.Keys.IsDefault ? 0 : request.Keys.Length)}; ask for 1 to {KeyRequest.MaxKeys} keys.")]);
        return await keys.GrantAsync(caller.Name(), request.Keys, time.GetUtcNow(), cancel) is { } answer
            ? TypedResults.Ok(answer)
            : Problems.Of(403, "device-retired", "The device is given no keys.", $"'{caller.Name()}' was retired or revoked by an operator.");
    }

    /// <summary>The public key that publishers seal content keys to.</summary>
    internal static Ok<ServerSealing> Get(ServerKeys keys) => TypedResults.Ok(new ServerSealing(keys.Current?.Public.ToString()));

    /// <summary>Whether a model must be sealed, and for whom.</summary>
    internal static async Task<Results<Ok<SealedModel>, ProblemHttpResult>> Find(string owner, string name, SealedModelStore models, CancellationToken cancel) =>
        ModelName.TryParse($"{owner}/{name}", out var model) && await models.FindAsync(model, cancel) is { } found
            ? TypedResults.Ok(found)
            : Problems.NotFound($"Nothing is said of sealing {owner}/{name}; do it with 'coppice model seal {owner}/{name} --for SELECTOR'.");

    /// <summary>Says that releases of a model must be sealed, and which devices are given its keys. It may be said before the first release.</summary>
    internal static async Task<Results<Ok<SealedModel>, ProblemHttpResult>> Seal(
        string owner, string name, SealModel request, SealedModelStore models, ClaimsPrincipal caller, TimeProvider time, CancellationToken cancel)
    {
        if (!ModelName.TryParse($"{owner}/{name}", out var model))
            return Problems.NotFound($"'{owner}/{name}' is not a model name; write owner/name in lower case, as plant/bearing.");
        if (!Selector.TryParse(request.Selector, out _, out var problems))
            return Problems.Validation(problems);
        return TypedResults.Ok(await models.SetAsync(model, request.Selector, caller.Name(), time.GetUtcNow(), cancel));
    }

    /// <summary>Lets releases of a model be published in the clear again; no device is given its keys from now on.</summary>
    internal static async Task<Results<NoContent, ProblemHttpResult>> Unseal(
        string owner, string name, SealedModelStore models, ClaimsPrincipal caller, TimeProvider time, CancellationToken cancel) =>
        ModelName.TryParse($"{owner}/{name}", out var model) && await models.RemoveAsync(model, caller.Name(), time.GetUtcNow(), cancel)
            ? TypedResults.NoContent()
            : Problems.NotFound($"Nothing is said of sealing {owner}/{name}.");

    /// <summary>Keeps content keys that a publisher sealed to this server.</summary>
    internal static async Task<Results<NoContent, ProblemHttpResult>> Keep(
        string owner, string name, SealedGrants request, ContentKeyStore keys, SealedModelStore models, PatchSignal patches, ClaimsPrincipal caller, TimeProvider time, CancellationToken cancel)
    {
        if (!ModelName.TryParse($"{owner}/{name}", out var model))
            return Problems.NotFound($"'{owner}/{name}' is not a model name; write owner/name in lower case, as plant/bearing.");
        if (await models.FindAsync(model, cancel) is null)
            return Problems.Of(409, "nobody-entitled", "No device is entitled to the model.", $"Say first which devices are given the keys of {model}: coppice model seal {model} --for SELECTOR.");
        if (!TryRead(request, out var grants, out var problem))
            return problem!;
        if (await keys.KeepAsync(model, grants!, caller.Name(), time.GetUtcNow(), cancel) is { } wrong)
            return Problems.Validation([new("grants", wrong)]);
        patches.Raise(); // some may have waited for the keys
        return TypedResults.NoContent();
    }

    /// <summary>Puts grants that a publisher made offline into the repository, beside those that are there.</summary>
    internal static async Task<Results<NoContent, ProblemHttpResult>> PutGrants(SealedGrants request, GrantStore store, ClaimsPrincipal caller, TimeProvider time, CancellationToken cancel)
    {
        if (!TryRead(request, out var grants, out var problem))
            return problem!;
        try
        {
            await store.AddAsync(grants!, caller.Name(), time.GetUtcNow(), cancel);
            return TypedResults.NoContent();
        }
        catch (ArgumentException tooMany)
        {
            return Problems.Validation([new("grants", tooMany.Message)]);
        }
    }

    /// <summary>Leaves a public key no grants in the repository.</summary>
    internal static async Task<Results<NoContent, ProblemHttpResult>> Withdraw(string recipient, GrantStore store, ClaimsPrincipal caller, TimeProvider time, CancellationToken cancel)
    {
        if (!Sha256Digest.TryParse(recipient, out var digest))
            return Problems.Validation([new("recipient", $"is not a SHA-256; give the {Sha256Digest.HexLength} hexadecimal digits of the public key's digest.")]);
        await store.WithdrawAsync(digest, caller.Name(), time.GetUtcNow(), cancel);
        return TypedResults.NoContent();
    }

    static bool TryRead(SealedGrants request, out GrantFile? grants, out ProblemHttpResult? problem)
    {
        (grants, problem) = (null, null);
        try
        {
            grants = GrantFile.Read(request.Grants);
        }
        catch (BrokenSealException broken)
        {
            problem = Problems.Validation([new("grants", broken.Message)]);
        }

        return grants is not null;
    }
}
