using System.Security.Claims;
using Coppice.Access;
using Coppice.Protocol;
using Microsoft.AspNetCore.Http.HttpResults;

namespace Coppice.Server.Access;

static class TokensApi
{
    const int MaxPage = 1000;
    const int MaxName = 64;
    static readonly TimeSpan LongestLife = TimeSpan.FromDays(366);

    public static void MapTokens(this IEndpointRouteBuilder routes)
    {
        var tokens = routes.MapGroup("/v1/tokens").WithTags("Operators");
        tokens.MapPost("/", Create).Needs(Permission.TokenOwn).ProducesProblem(400).ProducesProblem(404);
        tokens.MapGet("/", List).Needs(Permission.TokenOwn);
        tokens.MapDelete("/{id}", Revoke).Needs(Permission.TokenOwn).ProducesProblem(404);
    }

    /// <summary>Makes an API token. Its text is told only in this answer. A token makes no tokens, except an admin's: a stolen one would outlive its revocation.</summary>
    internal static async Task<Results<Created<CreatedApiToken>, ProblemHttpResult>> Create(
        CreateApiToken request, TokenStore tokens, RefusedActs refused, ClaimsPrincipal principal, HttpContext context, TimeProvider time, CancellationToken cancel)
    {
        var caller = principal.Caller();
        var owner = request.Operator ?? caller.Operator;
        var own = caller is { TokenId: null, Operator: not null } && owner == caller.Operator;
        if (!own && !caller.Rights.MaySomewhere(Permission.OperatorManage))
            return await refused.ForbidAsync(context, caller, Permission.OperatorManage, "here");
        var problems = OperatorsApi.CheckGrants(request.Grants).ToList();
        if (request.Name.Length is 0 or > MaxName)
            problems.Add(new("name", $"has {request.Name.Length} characters; say in 1 to {MaxName} what the token is for."));
        if (request.ExpiresIn <= TimeSpan.Zero || request.ExpiresIn > LongestLife)
            problems.Add(new("expiresIn", $"{Duration.Format(request.ExpiresIn)} is not a life; give more than nothing and up to {Duration.Format(LongestLife)}."));
        if (owner is null)
            problems.Add(new("operator", "is missing, and the caller is known only to the identity provider; give the operator whose token it is to be."));
        if (problems.Count > 0)
            return Problems.Validation(problems);
        return await tokens.CreateAsync(request, owner!, caller.Name, time.GetUtcNow(), cancel) is { } created
            ? TypedResults.Created($"/v1/tokens/{created.View.Id}", created)
            : Problems.NotFound($"There is no operator '{owner}', or they were removed; make them known with 'coppice operator set'.");
    }

    /// <summary>Tokens in the order of their ids: the caller's own, or everybody's for who manages operators.</summary>
    internal static async Task<Ok<ApiTokenPage>> List(TokenStore tokens, ClaimsPrincipal principal, CancellationToken cancel, string? after = null, int limit = 100)
    {
        var caller = principal.Caller();
        var owner = caller.Rights.MaySomewhere(Permission.OperatorManage) ? null : caller.Operator ?? "";
        return TypedResults.Ok(await tokens.ListAsync(owner, after ?? "", Math.Clamp(limit, 1, MaxPage), cancel));
    }

    /// <summary>Revokes a token at once: one of the caller's own, or anybody's for who manages operators.</summary>
    internal static async Task<Results<Ok<ApiTokenView>, ProblemHttpResult>> Revoke(string id, TokenStore tokens, ClaimsPrincipal principal, TimeProvider time, CancellationToken cancel)
    {
        var caller = principal.Caller();
        var owner = await tokens.OwnerAsync(id, cancel);
        if (owner is null || (owner != caller.Operator && !caller.Rights.MaySomewhere(Permission.OperatorManage)))
            return Problems.NotFound($"There is no token '{id}' that you may revoke; 'coppice token list' shows yours.");
        return TypedResults.Ok(await tokens.RevokeAsync(id, caller.Name, time.GetUtcNow(), cancel));
    }
}
