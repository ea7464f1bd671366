using System.Security.Claims;
using Coppice.Access;
using Coppice.Protocol;
using Coppice.Server.Access;
using Coppice.Server.Registry;
using Coppice.Server.Storage;
using Coppice.Trust;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;

namespace Coppice.Server.Trust;

static class SigningApi
{
    public static void MapSigning(this IEndpointRouteBuilder routes)
    {
        var repository = routes.MapGroup("/v1/repository").WithTags("Repository");
        repository.MapGet("/", Get).Needs(Permission.ModelRead);
        repository.MapPost("/metadata", Apply).Needs(Permission.ServerManage).WithMetadata(new RequestSizeLimitAttribute(ApplyMetadata.MaxBytes)).ProducesProblem(400).ProducesProblem(409).ProducesProblem(413);
    }

    /// <summary>Who signs what, until when, and what somebody should do.</summary>
    internal static Ok<RepositoryView> Get(Repository repository, TimeProvider time) => TypedResults.Ok(repository.Tree.Status(time.GetUtcNow()).View());

    /// <summary>Puts in force what offline keys signed: other keys, teams, thresholds, expiries. The same again changes nothing.</summary>
    internal static async Task<Results<Ok<AppliedMetadata>, ProblemHttpResult>> Apply(
        ApplyMetadata request, Repository repository, Database database, ClaimsPrincipal caller, TimeProvider time, CancellationToken cancel)
    {
        if (request.Files.IsDefaultOrEmpty || request.Files.Select(file => file.Role).Distinct(StringComparer.Ordinal).Count() != request.Files.Length)
            return Problems.Validation([new("files", "is empty or has a role twice; give each role once.")]);
        var now = time.GetUtcNow();
        bool changed;
        try
        {
            changed = repository.Tree.Apply([.. request.Files.Select(file => new KeyValuePair<string, ReadOnlyMemory<byte>>(file.Role, file.Bytes))], [], now);
        }
        catch (RepositoryConflictException stale)
        {
            return Problems.Of(409, "stale-metadata", "The metadata does not follow the present one.", stale.Message);
        }
        catch (UntrustedMetadataException untrusted)
        {
            return Problems.Of(400, "untrusted-metadata", "The metadata is not trusted.", untrusted.Message);
        }
        catch (ArgumentException adds)
        {
            return Problems.Validation([new("files", $"{adds.Message} A release is handed in at /v1/models/OWNER/NAME/releases.")]);
        }

        var status = repository.Tree.Status(now);
        if (changed)
        {
            var roles = request.Files.Select(file => $"{file.Role} {status.Roles.FirstOrDefault(role => role.Role == file.Role)?.Version}");
            await database.WriteAsync(db =>
            {
                db.Events.Add(new() { At = now, Kind = EventKind.KeysChanged, By = caller.Name(), Why = $"signed offline: {string.Join(", ", roles)}" });
                return Task.FromResult(true);
            }, CancellationToken.None); // it is in force by now
        }

        return TypedResults.Ok(new AppliedMetadata(changed, status.View()));
    }
}
