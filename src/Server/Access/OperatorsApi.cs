using System.Collections.Immutable;
using System.Security.Claims;
using Coppice.Access;
using Coppice.Protocol;
using Coppice.Server.Preconditions;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;

namespace Coppice.Server.Access;

static class OperatorsApi
{
    const int MaxGrants = 64;
    const int MaxSubject = 256;

    public static void MapOperators(this IEndpointRouteBuilder routes)
    {
        routes.MapGet("/v1/me", Me).WithTags("Operators").Needs(Permission.SelfRead);
        routes.MapGet("/v1/permissions", Table).WithTags("Operators").Needs(Permission.SelfRead);
        var operators = routes.MapGroup("/v1/operators").WithTags("Operators");
        operators.MapGet("/", List).Needs(Permission.OperatorManage);
        operators.MapGet("/{name}", Get).Tagged<OperatorView>(one => one.Revision).Needs(Permission.OperatorManage).ProducesProblem(404);
        operators.MapPut("/{name}", Put).Tagged<OperatorView>(one => one.Revision).Needs(Permission.OperatorManage).ProducesProblem(400).ProducesProblem(409).ProducesProblem(412);
        operators.MapDelete("/{name}", Remove).Needs(Permission.OperatorManage).ProducesProblem(404).ProducesProblem(409).ProducesProblem(412);
    }

    /// <summary>Who the caller is and what they may do.</summary>
    internal static Ok<WhoAmI> Me(ClaimsPrincipal caller)
    {
        var me = caller.Caller();
        return TypedResults.Ok(new WhoAmI(
            me.Name, me.Subject, me.Credential, [.. me.Rights.Layers.Select(layer => layer.Select(RoleGrant.Of).ToImmutableArray())],
            [.. PermissionTable.Rows.Where(row => me.Rights.MaySomewhere(row.Permission)).Select(row => PermissionTable.Name(row.Permission))]));
    }

    /// <summary>What each role may: the table by which every request is judged.</summary>
    internal static Ok<ImmutableArray<PermissionRow>> Table() => TypedResults.Ok<ImmutableArray<PermissionRow>>(
        [.. PermissionTable.Rows.Select(row => new PermissionRow(PermissionTable.Name(row.Permission), row.Reach, [.. Enum.GetValues<Role>().Where(row.Allows)]))]);

    /// <summary>All operators, in the order of their names, also those who were removed.</summary>
    internal static async Task<Ok<OperatorPage>> List(OperatorStore operators, CancellationToken cancel) => TypedResults.Ok(new OperatorPage(await operators.ListAsync(cancel)));

    internal static async Task<Results<Ok<OperatorView>, ProblemHttpResult>> Get(string name, OperatorStore operators, CancellationToken cancel) =>
        await operators.FindAsync(name, cancel) is { } found ? TypedResults.Ok(found) : Unknown(name);

    /// <summary>Makes an operator known, or replaces what they may do. A removed one may act again, but their old tokens stay revoked.</summary>
    internal static async Task<Results<Ok<OperatorView>, ProblemHttpResult>> Put(
        string name, PutOperator request, OperatorStore operators, ClaimsPrincipal caller, TimeProvider time, CancellationToken cancel, [FromHeader(Name = "If-Match")] string? ifMatch = null)
    {
        var problems = CheckGrants(request.Grants).ToList();
        if (name.Length is 0 or > 64 || !name.All(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c is '-' or '_' or '.' or '@') || name == Events.EventRow.Itself)
            problems.Add(new("name", "is not an operator's name; give 1 to 64 of a-z, 0-9, '-', '_', '.', '@', and not 'coppice'."));
        if (request.Grants.IsDefaultOrEmpty)
            problems.Add(new("grants", "is empty; give at least one, or remove the operator."));
        if (request.Subject is { Length: 0 or > MaxSubject })
            problems.Add(new("subject", $"has {request.Subject.Length} characters; give 1 to {MaxSubject}, or leave it out."));
        if (problems.Count > 0)
            return Problems.Validation(problems);
        var (now, taken) = await operators.PutAsync(name, request, caller.Name(), time.GetUtcNow(), cancel, IfMatch.Read(ifMatch));
        return now is not null ? TypedResults.Ok(now)
            : taken ? Problems.Of(409, "subject-taken", "The subject is another operator's.", $"An operator signs in as '{request.Subject}' already; 'coppice operator list' shows who.")
            : LastAdmin(name);
    }

    /// <summary>Takes an operator's rights and revokes their tokens. Their name stays in events.</summary>
    internal static async Task<Results<NoContent, ProblemHttpResult>> Remove(
        string name, OperatorStore operators, ClaimsPrincipal caller, TimeProvider time, CancellationToken cancel, [FromHeader(Name = "If-Match")] string? ifMatch = null) =>
        await operators.RemoveAsync(name, caller.Name(), time.GetUtcNow(), cancel, IfMatch.Read(ifMatch)) switch
        {
            true => TypedResults.NoContent(),
            false => Unknown(name),
            null => LastAdmin(name),
        };

    /// <summary>Everything that is wrong with grants.</summary>
    internal static IEnumerable<Problem> CheckGrants(ImmutableArray<RoleGrant> grants)
    {
        if (grants.IsDefaultOrEmpty)
            return [];
        if (grants.Length > MaxGrants)
            return [new("grants", $"{grants.Length} are too many; give at most {MaxGrants}.")];
        GrantText.TryLayer("grants", grants, out _, out var problems);
        return problems;
    }

    static ProblemHttpResult Unknown(string name) => Problems.NotFound($"There is no operator '{name}'; 'coppice operator list' shows those there are.");

    static ProblemHttpResult LastAdmin(string name) =>
        Problems.Of(409, "last-admin", "Nobody would be left who may manage operators.", $"{name} is the last admin of everything; make another one first.");
}
