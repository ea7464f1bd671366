using System.Collections.Immutable;
using System.Security.Claims;
using Coppice.Access;
using Coppice.Fleet;
using Coppice.Protocol;
using Coppice.Server.Access;
using Coppice.Server.Preconditions;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;

namespace Coppice.Server.Fleet;

static class GroupsApi
{
    public static void MapGroups(this IEndpointRouteBuilder routes)
    {
        var groups = routes.MapGroup("/v1/groups").WithTags("Devices");
        groups.MapGet("/", List).Needs(Permission.DeviceRead);
        groups.MapGet("/{name}", Get).Tagged<GroupView>(group => group.Revision).Needs(Permission.DeviceRead).ProducesProblem(404);
        groups.MapPut("/{name}", Put).Tagged<GroupView>(group => group.Revision).Needs(Permission.GroupManage).ProducesProblem(400).ProducesProblem(409).ProducesProblem(412);
        groups.MapDelete("/{name}", Delete).Needs(Permission.GroupManage).ProducesProblem(404).ProducesProblem(412);
        groups.MapPost("/{name}/devices", Change).Needs(Permission.GroupManage).ProducesProblem(400).ProducesProblem(404).ProducesProblem(409);
    }

    internal static async Task<Ok<ImmutableArray<GroupView>>> List(GroupStore groups, CancellationToken cancel) => TypedResults.Ok(await groups.ListAsync(cancel));

    internal static async Task<Results<Ok<GroupView>, ProblemHttpResult>> Get(string name, GroupStore groups, CancellationToken cancel) =>
        await groups.FindAsync(name, cancel) is { } group ? TypedResults.Ok(group) : Unknown(name);

    /// <summary>Makes a group or changes it. Rollouts that are confined to it follow.</summary>
    internal static async Task<Results<Ok<GroupView>, ProblemHttpResult>> Put(
        string name, PutGroup request, GroupStore groups, ClaimsPrincipal caller, TimeProvider time, CancellationToken cancel, [FromHeader(Name = "If-Match")] string? ifMatch = null)
    {
        var problems = DeviceGroup.Check(name, request.Selector, request.Description).ToList();
        if (problems.Count > 0)
            return Problems.Validation(problems);
        var (outcome, group) = await groups.PutAsync(name, request, caller.Name(), time.GetUtcNow(), cancel, IfMatch.Read(ifMatch));
        return outcome switch
        {
            GroupOutcome.Done => TypedResults.Ok(group!),
            GroupOutcome.TooMany => Problems.Of(409, "too-many-groups", "There are too many groups.", $"{DeviceGroup.MaxCount} are the most; delete one, or use labels."),
            _ => OtherKind(name, group!.Selector is not null),
        };
    }

    /// <summary>Deletes a group. A rollout that is confined to it reaches no further device.</summary>
    internal static async Task<Results<NoContent, ProblemHttpResult>> Delete(
        string name, GroupStore groups, ClaimsPrincipal caller, TimeProvider time, CancellationToken cancel, [FromHeader(Name = "If-Match")] string? ifMatch = null) =>
        await groups.DeleteAsync(name, caller.Name(), time.GetUtcNow(), cancel, IfMatch.Read(ifMatch)) ? TypedResults.NoContent() : Unknown(name);

    /// <summary>Puts devices into a group and takes others out. Each learns of it with its next report.</summary>
    internal static async Task<Results<Ok<GroupChange>, ProblemHttpResult>> Change(string name, GroupMembers request, GroupStore groups, ClaimsPrincipal caller, TimeProvider time, CancellationToken cancel)
    {
        if (request.Add.Length + request.Remove.Length is var count and (0 or > GroupMembers.MaxDevices))
            return Problems.Validation([new("add", $"{count} devices with those of 'remove'; give 1 to {GroupMembers.MaxDevices}.")]);
        if (request.Add.Intersect(request.Remove, StringComparer.Ordinal).FirstOrDefault() is { } both)
            return Problems.Validation([new("remove", $"names '{DeviceRules.Shown(both)}', which 'add' names too; give it once.")]);
        var (outcome, change) = await groups.ChangeAsync(name, request, caller.Name(), time.GetUtcNow(), cancel);
        return outcome switch
        {
            GroupOutcome.Done => TypedResults.Ok(change!),
            GroupOutcome.Unknown => Unknown(name),
            _ => OtherKind(name, bySelector: true),
        };
    }

    static ProblemHttpResult OtherKind(string name, bool bySelector) => Problems.Of(409, "other-kind-of-group", "The group is of the other kind.", bySelector
        ? $"The devices of '{name}' are those that its selector holds for; change the selector, or make another group to put devices into."
        : $"Devices are put into '{name}'; make another group for a selector.");

    static ProblemHttpResult Unknown(string name) => Problems.NotFound($"No group '{DeviceRules.Shown(name)}'; 'coppice group list' shows those that are there.");
}
