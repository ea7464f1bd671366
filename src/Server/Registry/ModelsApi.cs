using System.Collections.Immutable;
using System.Security.Claims;
using Coppice.Access;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Server.Access;
using Microsoft.AspNetCore.Http.HttpResults;

namespace Coppice.Server.Registry;

static class ModelsApi
{
    public static void MapModels(this IEndpointRouteBuilder routes)
    {
        var models = routes.MapGroup("/v1/models").WithTags("Models");
        models.MapGet("/", List).Needs(Permission.ModelRead);
        models.MapGet("/{owner}/{name}", Get).Needs(Permission.ModelRead, Abouts.ModelInRoute).ProducesProblem(404);
    }

    /// <summary>All models that the caller may see, in the order of their names.</summary>
    internal static async Task<Ok<ImmutableArray<ModelView>>> List(ReleaseStore releases, ClaimsPrincipal caller, CancellationToken cancel) =>
        TypedResults.Ok<ImmutableArray<ModelView>>([.. (await releases.ModelsAsync(cancel)).Where(model => caller.Rights().Sees(model.Name))]);

    /// <summary>A model with its releases and rollouts.</summary>
    internal static async Task<Results<Ok<ModelDetail>, ProblemHttpResult>> Get(string owner, string name, ReleaseStore releases, TimeProvider time, CancellationToken cancel) =>
        ModelName.TryParse($"{owner}/{name}", out var model) && await releases.ModelAsync(model, time.GetUtcNow(), cancel) is { } found
            ? TypedResults.Ok(found)
            : Problems.NotFound($"There is no model {owner}/{name}; 'coppice model list' shows those there are. A model begins with its first release.");
}
