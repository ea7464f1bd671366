using System.Text.Json;
using Coppice.Protocol;
using Coppice.Server.Access;
using Coppice.Server.Preconditions;
using Coppice.Server.Rollouts;
using Coppice.Server.Storage;
using Microsoft.EntityFrameworkCore;

namespace Coppice.Server.Approvals;

/// <summary>Lets an order about a rollout wait for another person where a policy says so: the endpoint then answers 202 and does nothing yet.</summary>
static class AwaitsApproval
{
    public static TBuilder MayAwaitApproval<TBuilder>(this TBuilder endpoint, ApprovalAct act) where TBuilder : IEndpointConventionBuilder => endpoint
        .WithMetadata(new ProducesResponseTypeMetadata(202, typeof(ApprovalView), ["application/json"]))
        .AddEndpointFilter(async (call, next) => await AskAsync(call, act) is { } waits
            ? TypedResults.Accepted($"/v1/approvals/{waits.Id}", waits)
            : await next(call));

    static async Task<ApprovalView?> AskAsync(EndpointFilterInvocationContext call, ApprovalAct act)
    {
        var context = call.HttpContext;
        var (approvals, now, cancel) = (context.RequestServices.GetRequiredService<ApprovalStore>(), context.RequestServices.GetRequiredService<TimeProvider>().GetUtcNow(), context.RequestAborted);
        if (act == ApprovalAct.Start)
        {
            var wanted = call.Arguments.OfType<StartRollout>().First();
            // What is wrong with it is for the endpoint to say, at once.
            if (RolloutDraft.Check(wanted).Any())
                return null;
            return await approvals.AskAsync(act, [wanted.Model, .. wanted.With.Select(member => member.Model)], wanted.Release, null, wanted.Selector, JsonSerializer.Serialize(wanted, ControlContext.Default.StartRollout), wanted.Why, context.User.Caller(), now, cancel);
        }

        var id = context.GetRouteValue("id") as string;
        var (request, why, bad) = act == ApprovalAct.Promote ? Ask(call.Arguments.OfType<PromoteArm>().First()) : Ask(act, call.Arguments.OfType<RolloutOrder>().First());
        if (bad || RolloutRow.TryNumber(id) is not { } number || await context.RequestServices.GetRequiredService<Database>().ReadAsync(
            db => db.Rollouts.FirstOrDefaultAsync(row => row.Number == number, cancel), cancel) is not { } rollout)
            return null;
        // The others decide on what they see then; what the asker had not seen is not put before them.
        IfMatch.Read(context.Request.Headers.IfMatch)?.Require($"the rollout {rollout.Id}", rollout.Revision());
        return await approvals.AskAsync(act, [.. rollout.Models()], rollout.Release, rollout.Id, rollout.Selector, request, why, context.User.Caller(), now, cancel);
    }

    static (string Request, string Why, bool IsBad) Ask(PromoteArm order) => (JsonSerializer.Serialize(order, ControlContext.Default.PromoteArm), order.Why, RolloutsApi.Unexplained(order.Why) is not null);

    static (string Request, string Why, bool IsBad) Ask(ApprovalAct act, RolloutOrder order)
    {
        var verb = act switch { ApprovalAct.Resume => RolloutVerb.Resume, ApprovalAct.Advance => RolloutVerb.Advance, _ => RolloutVerb.Retry };
        return (JsonSerializer.Serialize(order, ControlContext.Default.RolloutOrder), order.Why, RolloutsApi.Check(verb, order).Any());
    }
}
