using System.Security.Claims;
using Coppice.Access;
using Coppice.Fleet;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Rollouts;
using Coppice.Server.Access;
using Coppice.Server.Approvals;
using Coppice.Server.Patches;
using Coppice.Server.Preconditions;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;

namespace Coppice.Server.Rollouts;

static class RolloutsApi
{
    const int MaxPage = 1000;

    public static void MapRollouts(this IEndpointRouteBuilder routes)
    {
        var rollouts = routes.MapGroup("/v1/rollouts").WithTags("Rollouts").ProducesProblem(400);
        rollouts.MapPost("/", Start).Needs(Permission.RolloutStart, Abouts.Rollout<StartRollout>(wanted => wanted.With.Select(member => member.Model).Prepend(wanted.Model), (wanted, devices) => wanted with { Selector = Within(wanted.Selector, devices) })).MayAwaitApproval(ApprovalAct.Start).ProducesProblem(409);
        rollouts.MapGet("/", List).Needs(Permission.RolloutRead);
        rollouts.MapGet("/{id}", Get).Tagged<RolloutDetail>(found => found.Rollout.Revision).Needs(Permission.RolloutRead, Abouts.RolloutInRoute).ProducesProblem(404);
        rollouts.MapGet("/{id}/why", Why).Needs(Permission.RolloutRead, Abouts.RolloutInRoute).ProducesProblem(404);
        rollouts.MapPost("/{id}/checks", Say).Needs(Permission.RolloutAdvance, Abouts.RolloutInRoute).ProducesProblem(404).ProducesProblem(409);
        rollouts.MapPost("/{id}/promote", Promote).Tagged<RolloutView>(rollout => rollout.Revision).ProducesProblem(412).Needs(Permission.RolloutStart, Abouts.RolloutInRoute).MayAwaitApproval(ApprovalAct.Promote).ProducesProblem(404).ProducesProblem(409);
        rollouts.MapPost("/{id}/abort", Abort).Tagged<RolloutView>(rollout => rollout.Revision).ProducesProblem(412).Needs(Permission.RolloutRevert, Abouts.RolloutInRoute).ProducesProblem(404).ProducesProblem(409);
        rollouts.MapPost("/{id}/hold", Hold).Tagged<RolloutView>(rollout => rollout.Revision).ProducesProblem(412).Needs(Permission.RolloutHold, Abouts.RolloutInRoute).ProducesProblem(404).ProducesProblem(409);
        rollouts.MapPost("/{id}/resume", Resume).Tagged<RolloutView>(rollout => rollout.Revision).ProducesProblem(412).Needs(Permission.RolloutResume, Abouts.RolloutInRoute).MayAwaitApproval(ApprovalAct.Resume).ProducesProblem(404).ProducesProblem(409);
        rollouts.MapPost("/{id}/revert", Revert).Tagged<RolloutView>(rollout => rollout.Revision).ProducesProblem(412).Needs(Permission.RolloutRevert, Abouts.RolloutInRoute).ProducesProblem(404).ProducesProblem(409);
        rollouts.MapPost("/{id}/advance", Advance).Tagged<RolloutView>(rollout => rollout.Revision).ProducesProblem(412).Needs(Permission.RolloutAdvance, Abouts.RolloutInRoute).MayAwaitApproval(ApprovalAct.Advance).ProducesProblem(404).ProducesProblem(409);
        rollouts.MapPost("/{id}/retry", Retry).Tagged<RolloutView>(rollout => rollout.Revision).ProducesProblem(412).Needs(Permission.RolloutRetry, Abouts.RolloutInRoute).MayAwaitApproval(ApprovalAct.Retry).ProducesProblem(404).ProducesProblem(409);
    }

    /// <summary>Starts a rollout. A model has one running rollout; an older one that is held, complete or reverted stays below it.</summary>
    internal static async Task<Results<Created<RolloutView>, ProblemHttpResult>> Start(
        StartRollout request, RolloutStore rollouts, PatchSignal patches, ClaimsPrincipal caller, TimeProvider time, CancellationToken cancel)
    {
        var problems = RolloutDraft.Check(request).ToList();
        if (problems.Count > 0)
            return Problems.Validation(problems);
        var (started, refused) = await rollouts.StartAsync(request, caller.Name(), time.GetUtcNow(), cancel);
        if (refused is not null)
            return Conflict(refused);
        patches.Raise();
        return TypedResults.Created($"/v1/rollouts/{started!.Id}", started);
    }

    /// <summary>Rollouts of models that the caller may see, newest first.</summary>
    internal static async Task<Results<Ok<RolloutPage>, ProblemHttpResult>> List(
        RolloutStore rollouts, ClaimsPrincipal caller, TimeProvider time, CancellationToken cancel, string? model = null, string? state = null, long? before = null, int limit = 100)
    {
        var problems = new List<Problem>();
        if (!ModelName.TryParse(model, out var name) && model is not null)
            problems.Add(new("model", $"'{model}' is not a model name; write owner/name in lower case, as plant/bearing."));
        RolloutState? wanted = null;
        if (state is not null)
        {
            if (Enum.GetValues<RolloutState>().Where(value => RolloutVerbs.Name(value) == state).ToArray() is [var known])
                wanted = known;
            else
                problems.Add(new("state", $"'{state}' is not a state; give {string.Join(", ", Enum.GetValues<RolloutState>().Select(RolloutVerbs.Name))}."));
        }

        return problems.Count > 0
            ? Problems.Validation(problems)
            : TypedResults.Ok(await rollouts.ListAsync(name, wanted, caller.Rights().Sees, before ?? long.MaxValue, Math.Clamp(limit, 1, MaxPage), time.GetUtcNow(), cancel));
    }

    /// <summary>How a rollout stands, with a page of its devices.</summary>
    internal static async Task<Results<Ok<RolloutDetail>, ProblemHttpResult>> Get(
        string id, RolloutStore rollouts, TimeProvider time, CancellationToken cancel, string? after = null, int limit = 100) =>
        RolloutRow.TryNumber(id) is { } number && await rollouts.FindAsync(number, after ?? "", Math.Clamp(limit, 1, MaxPage), time.GetUtcNow(), cancel) is { } found
            ? TypedResults.Ok(found)
            : Unknown(id);

    /// <summary>Why a rollout is where it is: each decision with its evidence, each order, and what is known now.</summary>
    internal static async Task<Results<Ok<RolloutWhy>, ProblemHttpResult>> Why(string id, RolloutStore rollouts, TimeProvider time, CancellationToken cancel) =>
        RolloutRow.TryNumber(id) is { } number && await rollouts.WhyAsync(number, time.GetUtcNow(), cancel) is { } found ? TypedResults.Ok(found) : Unknown(id);

    /// <summary>Takes what a test bench, a monitor or a person says of the present phase.</summary>
    internal static async Task<Results<Ok<RolloutView>, ProblemHttpResult>> Say(
        string id, SayCheck request, RolloutStore rollouts, RolloutSignal signal, ClaimsPrincipal caller, TimeProvider time, CancellationToken cancel)
    {
        if (RolloutRow.TryNumber(id) is not { } number)
            return Unknown(id);
        if (Unexplained(request.Why) is { } problem)
            return Problems.Validation([problem]);
        var (now, refused) = await rollouts.CheckAsync(number, request, caller.Name(), time.GetUtcNow(), cancel);
        signal.Raise();
        return refused is not null ? Conflict(refused) : now is not null ? TypedResults.Ok(now) : Unknown(id);
    }

    /// <summary>Makes an arm of an experiment everybody's.</summary>
    internal static async Task<Results<Ok<RolloutView>, ProblemHttpResult>> Promote(
        string id, PromoteArm request, RolloutStore rollouts, PatchSignal patches, ClaimsPrincipal caller, TimeProvider time, CancellationToken cancel, [FromHeader(Name = "If-Match")] string? ifMatch = null)
    {
        if (RolloutRow.TryNumber(id) is not { } number)
            return Unknown(id);
        if (Unexplained(request.Why) is { } problem)
            return Problems.Validation([problem]);
        var (now, refused) = await rollouts.PromoteAsync(number, request, caller.Name(), time.GetUtcNow(), cancel, match: IfMatch.Read(ifMatch));
        patches.Raise();
        return refused is not null ? Conflict(refused) : now is not null ? TypedResults.Ok(now) : Unknown(id);
    }

    /// <summary>Gives the rollout up, for good: no further device takes the release, and those that have it keep it.</summary>
    internal static Task<Results<Ok<RolloutView>, ProblemHttpResult>> Abort(
        string id, RolloutOrder request, RolloutStore rollouts, ClaimsPrincipal caller, TimeProvider time, CancellationToken cancel, [FromHeader(Name = "If-Match")] string? ifMatch = null) =>
        Order(RolloutVerb.Abort, id, request, rollouts, caller, time, ifMatch, cancel);

    /// <summary>Lets no further device take the release.</summary>
    internal static Task<Results<Ok<RolloutView>, ProblemHttpResult>> Hold(
        string id, RolloutOrder request, RolloutStore rollouts, ClaimsPrincipal caller, TimeProvider time, CancellationToken cancel, [FromHeader(Name = "If-Match")] string? ifMatch = null) =>
        Order(RolloutVerb.Hold, id, request, rollouts, caller, time, ifMatch, cancel);

    /// <summary>Lets a held rollout go on.</summary>
    internal static Task<Results<Ok<RolloutView>, ProblemHttpResult>> Resume(
        string id, RolloutOrder request, RolloutStore rollouts, ClaimsPrincipal caller, TimeProvider time, CancellationToken cancel, [FromHeader(Name = "If-Match")] string? ifMatch = null) =>
        Order(RolloutVerb.Resume, id, request, rollouts, caller, time, ifMatch, cancel);

    /// <summary>Takes the release back everywhere, for good.</summary>
    internal static Task<Results<Ok<RolloutView>, ProblemHttpResult>> Revert(
        string id, RolloutOrder request, RolloutStore rollouts, ClaimsPrincipal caller, TimeProvider time, CancellationToken cancel, [FromHeader(Name = "If-Match")] string? ifMatch = null) =>
        Order(RolloutVerb.Revert, id, request, rollouts, caller, time, ifMatch, cancel);

    /// <summary>Starts the phase named in the order, without waiting for the present one; past the last, completes the rollout.</summary>
    internal static Task<Results<Ok<RolloutView>, ProblemHttpResult>> Advance(
        string id, RolloutOrder request, RolloutStore rollouts, ClaimsPrincipal caller, TimeProvider time, CancellationToken cancel, [FromHeader(Name = "If-Match")] string? ifMatch = null) =>
        Order(RolloutVerb.Advance, id, request, rollouts, caller, time, ifMatch, cancel);

    /// <summary>Lets devices that refused the release or took it back try it again.</summary>
    internal static Task<Results<Ok<RolloutView>, ProblemHttpResult>> Retry(
        string id, RolloutOrder request, RolloutStore rollouts, ClaimsPrincipal caller, TimeProvider time, CancellationToken cancel, [FromHeader(Name = "If-Match")] string? ifMatch = null) =>
        Order(RolloutVerb.Retry, id, request, rollouts, caller, time, ifMatch, cancel);

    static async Task<Results<Ok<RolloutView>, ProblemHttpResult>> Order(
        RolloutVerb verb, string id, RolloutOrder order, RolloutStore rollouts, ClaimsPrincipal caller, TimeProvider time, string? ifMatch, CancellationToken cancel)
    {
        if (RolloutRow.TryNumber(id) is not { } number)
            return Unknown(id);
        var problems = Check(verb, order).ToList();
        if (problems.Count > 0)
            return Problems.Validation(problems);

        var (now, refused) = await rollouts.OrderAsync(number, verb, order, caller.Name(), time.GetUtcNow(), cancel, IfMatch.Read(ifMatch));
        return refused is not null ? Conflict(refused) : now is not null ? TypedResults.Ok(now) : Unknown(id);
    }

    internal static Problem? Unexplained(string why) => why.Length is 0 or > Reason.MaxLength ? new Problem("why", $"has {why.Length} characters; say in 1 to {Reason.MaxLength} why.") : null;

    /// <summary>Everything that is wrong with an order.</summary>
    internal static IEnumerable<Problem> Check(RolloutVerb verb, RolloutOrder order)
    {
        if (Unexplained(order.Why) is { } unexplained)
            yield return unexplained;
        if (verb == RolloutVerb.Advance && order.Phase is null)
            yield return new("phase", "is missing; give the phase to be in afterwards, counted from 0, so that the order can be sent twice.");
        if (verb == RolloutVerb.Retry && order.Attempt is null)
            yield return new("attempt", "is missing; give the attempt to be at afterwards, so that the order can be sent twice.");
    }

    // A selector that cannot be read is left for Check to say so.
    static string Within(string selector, Selector devices) => Selector.TryParse(selector, out var wanted, out _) ? Selector.Both(devices, wanted).ToString() : selector;

    static ProblemHttpResult Conflict(Refused refused) => Problems.Of(refused.Type == "no-release" ? 404 : 409, refused.Type, refused.Title, refused.Detail);

    static ProblemHttpResult Unknown(string id) => Problems.NotFound($"There is no rollout '{id}'; 'coppice rollout list' shows those there are.");
}
