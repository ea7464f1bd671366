using System.Security.Claims;
using Coppice.Access;
using Coppice.Protocol;
using Coppice.Server.Access;
using Microsoft.AspNetCore.Http.HttpResults;

namespace Coppice.Server.Fleet;

static class JoinTokensApi
{
    static readonly TimeSpan LongestLife = TimeSpan.FromDays(366);

    public static void MapJoinTokens(this IEndpointRouteBuilder routes) => routes.MapPost("/v1/join-tokens", Create).Needs(Permission.DeviceAdmit, Abouts.DevicesLabelled<CreateJoinToken>(wanted => wanted.Labels)).WithTags("Devices").ProducesProblem(400);

    /// <summary>Makes a token by which devices join. Its text is told only in this answer.</summary>
    internal static async Task<Results<Created<CreatedJoinToken>, ProblemHttpResult>> Create(
        CreateJoinToken request, JoinTokenStore tokens, ClaimsPrincipal caller, TimeProvider time, CancellationToken cancel)
    {
        var problems = DeviceRules.CheckLabels(request.Labels).ToList();
        if (LifeProblem(request.ExpiresIn) is { } problem)
            problems.Add(problem);
        if (request.MaxUses < 1)
            problems.Add(new("maxUses", $"{request.MaxUses} lets nobody in; give 1 or more."));
        return problems.Count > 0
            ? Problems.Validation(problems)
            : TypedResults.Created((string?)null, await tokens.CreateAsync(request, caller.Name(), time.GetUtcNow(), cancel));
    }

    /// <summary>What is wrong with how long a token is to be good for; null when nothing is.</summary>
    internal static Problem? LifeProblem(TimeSpan life) => life <= TimeSpan.Zero || life > LongestLife
        ? new("expiresIn", $"{Duration.Format(life)} is not a life; give more than nothing and up to {Duration.Format(LongestLife)}.")
        : null;
}
