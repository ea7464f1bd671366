using Coppice.Access;
using Coppice.Protocol;
using Coppice.Server.Access;
using Microsoft.AspNetCore.Http.HttpResults;

namespace Coppice.Server.Audit;

static class AuditApi
{
    const int MaxPage = 1000;

    public static void MapAudit(this IEndpointRouteBuilder routes)
    {
        var audit = routes.MapGroup("/v1/audit").WithTags("Audit");
        audit.MapGet("/", List).Needs(Permission.AuditRead);
        audit.MapGet("/checkpoint", Checkpoint).Needs(Permission.AuditRead).ProducesProblem(404);
    }

    /// <summary>The audit log, oldest first, from the entry after the id given, with the checkpoints about it and the key that signed them.</summary>
    internal static async Task<Ok<AuditPage>> List(AuditStore audit, CancellationToken cancel, long after = 0, int limit = 100) =>
        TypedResults.Ok(await audit.ListAsync(Math.Max(0, after), Math.Clamp(limit, 1, MaxPage), cancel));

    /// <summary>A checkpoint about the present end of the log, signed now if need be. Keep it apart from the server: with it, a cut-off end is noticed.</summary>
    internal static async Task<Results<Ok<AuditCheckpointRecord>, ProblemHttpResult>> Checkpoint(AuditStore audit, TimeProvider time, CancellationToken cancel) =>
        await audit.CheckpointAsync(time.GetUtcNow(), cancel) is { } row ? TypedResults.Ok(AuditCheckpointRecord.Of(row.Checkpoint())) : Problems.NotFound("The audit log is empty.");
}
