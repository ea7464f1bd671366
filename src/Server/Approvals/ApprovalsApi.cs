using System.Collections.Immutable;
using System.Security.Claims;
using Coppice.Access;
using Coppice.Protocol;
using Coppice.Server.Access;
using Coppice.Server.Patches;
using Coppice.Server.Preconditions;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;

namespace Coppice.Server.Approvals;

static class ApprovalsApi
{
    const int MaxPage = 500;
    const int MostApprovals = 10;

    public static void MapApprovals(this IEndpointRouteBuilder routes)
    {
        var approvals = routes.MapGroup("/v1/approvals").WithTags("Approvals").ProducesProblem(400);
        approvals.MapGet("/", List).Needs(Permission.RolloutRead);
        approvals.MapGet("/{id}", Get).Needs(Permission.RolloutRead, InRoute).ProducesProblem(404);
        approvals.MapPost("/{id}/approve", Approve).Needs(Permission.RolloutApprove, InRoute).ProducesProblem(404).ProducesProblem(409);
        approvals.MapPost("/{id}/reject", Reject).Needs(Permission.RolloutApprove, InRoute).ProducesProblem(404).ProducesProblem(409);
        var policies = routes.MapGroup("/v1/policies").WithTags("Approvals");
        policies.MapGet("/", Policies).Needs(Permission.PolicyRead);
        policies.MapPut("/", SetPolicy).Tagged<PolicyView>(policy => policy.Revision).Needs(Permission.PolicyWrite, OfModels).ProducesProblem(400).ProducesProblem(412);
    }

    /// <summary>The act in the route, by its model and devices.</summary>
    static readonly About InRoute = async (call, caller, permission) =>
    {
        if (ApprovalRow.TryNumber(call.HttpContext.GetRouteValue("id") as string) is not { } number
            || await call.HttpContext.RequestServices.GetRequiredService<ApprovalStore>().FindAsync(number, default) is not { } approval)
            return null;
        if (!caller.Rights.Sees(approval.Model))
            return $"on the model of {approval.Id}";
        var may = PermissionTable.Of(permission).Reach == Reach.ModelOnDevices ? caller.Rights.May(permission, approval.Model, approval.Selector) : caller.Rights.May(permission, approval.Model);
        if (may && permission == Permission.RolloutApprove && approval.Ordered?.With.FirstOrDefault(member => !caller.Rights.May(permission, member.Model, approval.Selector)) is { } member)
            return $"on {member.Model}, which it brings with {approval.Model}";
        return may ? null : $"on {approval.Model}{(approval.Selector.Length == 0 ? " on all devices" : $" where {approval.Selector}")}";
    };

    /// <summary>The models in the body, all of them.</summary>
    static readonly About OfModels = (call, caller, permission) =>
    {
        var wanted = call.Arguments.OfType<SetPolicy>().First().Models;
        return ValueTask.FromResult(!ModelPattern.TryParse(wanted, out var models) || caller.Rights.May(permission, models) ? null : $"on {wanted}");
    };

    /// <summary>Acts that wait for another person, or waited, newest first; those on models that the caller may see.</summary>
    internal static async Task<Results<Ok<ApprovalPage>, ProblemHttpResult>> List(ApprovalStore approvals, ClaimsPrincipal caller, CancellationToken cancel, string? state = null, long? before = null, int limit = 100)
    {
        ApprovalState? wanted = null;
        if (state is not null)
        {
            if (Enum.GetValues<ApprovalState>().Where(value => value.ToString().Equals(state, StringComparison.OrdinalIgnoreCase)).ToArray() is not [var known])
                return Problems.Validation([new("state", $"'{state}' is not a state; give awaiting, done or rejected.")]);
            wanted = known;
        }

        var (page, next) = await approvals.ListAsync(wanted, before ?? long.MaxValue, Math.Clamp(limit, 1, MaxPage), cancel);
        return TypedResults.Ok(new ApprovalPage([.. page.Where(approval => caller.Rights().Sees(approval.Model))], next));
    }

    internal static async Task<Results<Ok<ApprovalView>, ProblemHttpResult>> Get(string id, ApprovalStore approvals, CancellationToken cancel) =>
        ApprovalRow.TryNumber(id) is { } number && await approvals.FindAsync(number, cancel) is { } found ? TypedResults.Ok(found) : Unknown(id);

    /// <summary>Approves an act that somebody else asked for. With the last approval that it needs it is done at once; when it cannot be done any more, the answer says why and it goes on waiting.</summary>
    internal static async Task<Results<Ok<ApprovalView>, ProblemHttpResult>> Approve(
        string id, Reason request, ApprovalStore approvals, PatchSignal patches, ClaimsPrincipal caller, TimeProvider time, CancellationToken cancel)
    {
        if (CheckWhy(request.Why) is { } problem)
            return Problems.Validation([problem]);
        if (ApprovalRow.TryNumber(id) is not { } number || await approvals.ApproveAsync(number, request.Why, caller.Caller(), time.GetUtcNow(), cancel) is not { } outcome)
            return Unknown(id);
        if (outcome.Refused is { } refused)
            return Problems.Of(refused.Type == "own-approval" ? 403 : 409, refused.Type, refused.Title, refused.Detail);
        patches.Raise();
        return TypedResults.Ok(outcome.Now!);
    }

    /// <summary>Rejects an act, or takes back one's own.</summary>
    internal static async Task<Results<Ok<ApprovalView>, ProblemHttpResult>> Reject(string id, Reason request, ApprovalStore approvals, ClaimsPrincipal caller, TimeProvider time, CancellationToken cancel)
    {
        if (CheckWhy(request.Why) is { } problem)
            return Problems.Validation([problem]);
        if (ApprovalRow.TryNumber(id) is not { } number || await approvals.RejectAsync(number, request.Why, caller.Caller(), time.GetUtcNow(), cancel) is not { } outcome)
            return Unknown(id);
        return outcome.Refused is { } refused ? Problems.Of(409, refused.Type, refused.Title, refused.Detail) : TypedResults.Ok(outcome.Now!);
    }

    /// <summary>How many others must approve acts on which models.</summary>
    internal static async Task<Ok<ImmutableArray<PolicyView>>> Policies(ApprovalStore approvals, CancellationToken cancel) => TypedResults.Ok(await approvals.PoliciesAsync(cancel));

    /// <summary>Sets how many others must approve acts on some models; 0 takes the policy away. What waits already needs what it needed when it was asked for.</summary>
    internal static async Task<Results<Ok<PolicyView>, ProblemHttpResult>> SetPolicy(
        SetPolicy request, ApprovalStore approvals, ClaimsPrincipal caller, TimeProvider time, CancellationToken cancel, [FromHeader(Name = "If-Match")] string? ifMatch = null)
    {
        var problems = new List<Problem>();
        if (!ModelPattern.TryParse(request.Models, out var models))
            problems.Add(new("models", $"'{request.Models}' is no set of models; give *, vision/*, vision/cam* or vision/camera."));
        if (request.Approvals is < 0 or > MostApprovals)
            problems.Add(new("approvals", $"{request.Approvals} is not a number of others; give 0 to {MostApprovals}."));
        if (CheckWhy(request.Why) is { } problem)
            problems.Add(problem);
        return problems.Count > 0 ? Problems.Validation(problems) : TypedResults.Ok(await approvals.SetPolicyAsync(models!, request, caller.Name(), time.GetUtcNow(), cancel, IfMatch.Read(ifMatch)));
    }

    static Problem? CheckWhy(string why) => why.Length is 0 or > Reason.MaxLength ? new("why", $"has {why.Length} characters; say in 1 to {Reason.MaxLength} why.") : null;

    static ProblemHttpResult Unknown(string id) => Problems.NotFound($"Nothing awaits approval as '{id}'; 'coppice rollout awaiting' shows what does.");
}
