using System.Collections.Immutable;
using Coppice.Protocol;
using Coppice.Server.Access;
using Coppice.Server.Registry;
using Coppice.Server.Rollouts;
using Coppice.Server.Storage;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;

namespace Coppice.Server.Health;

static class HealthApi
{
    public static void MapHealth(this IEndpointRouteBuilder routes)
    {
        routes.MapGet("/healthz", () => TypedResults.Text("ok")).WithTags("Health").AllowAnonymous().WithMetadata(RequestKind.Reading).WithSummary("The process answers.");
        routes.MapGet("/readyz", Ready).WithTags("Health").AllowAnonymous().WithMetadata(RequestKind.Reading).Produces<Readiness>(503);
    }

    /// <summary>Whether the server can do its work: the database answers, the tree can be written, and devices trust its metadata.</summary>
    internal static async Task<JsonHttpResult<Readiness>> Ready(Database database, Repository repository, PlanPublisher plans, TimeProvider time, CancellationToken cancel)
    {
        var problems = ImmutableArray.CreateBuilder<string>();
        var warnings = ImmutableArray<string>.Empty;
        try
        {
            await database.ReadAsync(db => db.Operators.AnyAsync(cancel), cancel);
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            problems.Add($"The database does not answer: {e.Message}"); // whatever is wrong with it, this is the place that says so
        }

        try
        {
            if (repository.FolderOf("metadata/timestamp.json") is { } folder)
            {
                var probe = Path.Combine(folder, ".partial", Path.GetRandomFileName());
                await File.WriteAllBytesAsync(probe, [0], cancel);
                File.Delete(probe);
            }

            var now = time.GetUtcNow();
            var status = repository.Tree.Status(now);
            warnings = status.Warnings;
            problems.AddRange(status.Roles.Where(role => role.Expires <= now).Select(role => $"The metadata '{role.Role}' expired at {role.Expires:u}, and devices refuse it."));
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            problems.Add($"The repository cannot be read or written: {e.Message}"); // as above
        }

        if (plans.IsBehind)
            problems.Add("A rollout's plan could not be signed and published; the log says why, and the server tries again.");
        return TypedResults.Json(new Readiness(problems.Count == 0, problems.ToImmutable(), warnings), statusCode: problems.Count == 0 ? 200 : 503);
    }
}
