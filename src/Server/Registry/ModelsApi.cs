using System.Collections.Immutable;
using Coppice.Protocol;
using Coppice.Registry;
using Microsoft.AspNetCore.Http.HttpResults;

namespace Coppice.Server.Registry;

static class ModelsApi
{
    public static void MapModels(this IEndpointRouteBuilder routes)
    {
        var models = routes.MapGroup("/v1/models").WithTags("Models");
        models.MapGet("/", List);
        models.MapGet("/{owner}/{name}", Get).ProducesProblem(404);
    }

    /// <summary>All models, in the order of their names.</summary>
    internal static async Task<Ok<ImmutableArray<ModelView>>> List(ReleaseStore releases, CancellationToken cancel) => TypedResults.Ok(await releases.ModelsAsync(cancel));

    /// <summary>A model with its releases and rollouts.</summary>
    internal static async Task<Results<Ok<ModelDetail>, ProblemHttpResult>> Get(string owner, string name, ReleaseStore releases, TimeProvider time, CancellationToken cancel) =>
        ModelName.TryParse($"{owner}/{name}", out var model) && await releases.ModelAsync(model, time.GetUtcNow(), cancel) is { } found
            ? TypedResults.Ok(found)
            : Problems.NotFound($"There is no model {owner}/{name}; 'coppice model list' shows those there are. A model begins with its first release.");
}
