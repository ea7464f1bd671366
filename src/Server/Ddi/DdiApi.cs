using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Coppice.Server.Fleet;
using Coppice.Trust;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;

namespace Coppice.Server.Ddi;

/// <summary>hawkBit's Direct Device Integration API: what swupdate, rauc-hawkbit-updater and others speak. Specified at https://eclipse.dev/hawkbit/apis/ddi_api/.</summary>
static class DdiApi
{
    /// <summary>The one tenant, by hawkBit's name for it.</summary>
    const string Tenant = "DEFAULT";

    const int MaxBody = 64 << 10;
    const string Root = "/{tenant}/controller/v1/{controller}";

    public static void MapDdi(this IEndpointRouteBuilder routes)
    {
        var api = routes.MapGroup(Root).RequireAuthorization(DdiProof.Name).WithMetadata(new RequestSizeLimitAttribute(MaxBody)).ExcludeFromDescription();
        api.AddEndpointFilter(async (call, next) => string.Equals(call.HttpContext.GetRouteValue("tenant") as string, Tenant, StringComparison.OrdinalIgnoreCase)
            ? await next(call)
            : Problems.NotFound($"There is no tenant '{DeviceRules.Shown(call.HttpContext.GetRouteValue("tenant") as string ?? "")}'; a Coppice server has one, {Tenant}."));
        api.MapGet("/", Poll);
        api.MapPut("/configData", Tell);
        api.MapGet("/deploymentBase/{number:long}", Deployment);
        api.MapGet("/installedBase/{number:long}", Installed);
        api.MapPost("/deploymentBase/{number:long}/feedback", Feedback);
        api.MapGet("/cancelAction/{number:long}", Cancel);
        api.MapPost("/cancelAction/{number:long}/feedback", CancelFeedback);
        api.MapGet("/confirmationBase", AutoConfirm);
        api.MapGet("/confirmationBase/{number:long}", Confirmation);
        api.MapPost("/confirmationBase/{number:long}/feedback", Confirm);
        api.MapGet("/softwaremodules/{number:long}/artifacts", Artifacts);
    }

    static DdiCaller Who(HttpContext context) => context.Features.Get<DdiCaller>()!;

    /// <summary>What there is to do.</summary>
    static async Task<IResult> Poll(HttpContext context, DdiActionStore actions, DdiLinks links, ControlPlaneOptions options, CancellationToken cancel)
    {
        var caller = Who(context);
        var found = await actions.AskAsync(caller, cancel);
        var all = ImmutableSortedDictionary.CreateBuilder<string, DdiLink>(StringComparer.Ordinal);
        if (found.Asks)
            all.Add("configData", links.To(context, caller, "configData"));
        switch (found)
        {
            case { Action: { State: DdiActionState.Cancelling } cancelled }:
                all.Add("cancelAction", links.To(context, caller, $"cancelAction/{Text(cancelled.Number)}"));
                break;
            case { Action: { } action, Need: DdiNeed.Confirm }:
                all.Add("confirmationBase", links.To(context, caller, $"confirmationBase/{Text(action.Number)}"));
                break;
            case { Action: { } action, Need: DdiNeed.Deploy or DdiNeed.Prepare }:
                // The link changes with what is to be done, for clients that look at links alone.
                all.Add("deploymentBase", links.To(context, caller, $"deploymentBase/{Text(action.Number)}?c={(found.Need == DdiNeed.Deploy ? 1 : 0)}"));
                break;
        }

        if (found.Last is { } last)
            all.Add("installedBase", links.To(context, caller, $"installedBase/{Text(last.Number)}"));
        return Answer(context, new(new(new(options.DdiPoll.ToString(@"hh\:mm\:ss", CultureInfo.InvariantCulture))), all.ToImmutable()), DdiContext.Default.DdiBase);
    }

    /// <summary>What the device is.</summary>
    static async Task<IResult> Tell(HttpContext context, DdiTokenStore tokens, TimeProvider time, CancellationToken cancel)
    {
        var told = await ReadAsync(context, DdiContext.Default.DdiAttributes, cancel);
        if (told.Mode is not (null or "merge" or "replace" or "remove"))
            return Problems.Validation([new("mode", $"'{DeviceRules.Shown(told.Mode)}' is none; give merge, replace or remove.")]);
        // Members that the device knows by other rules than ours are left out, lest one of them keep out the rest.
        var said = (told.Data ?? []).Where(pair => pair.Value is not null || told.Mode == "remove").ToImmutableDictionary(pair => pair.Key, pair => pair.Value ?? "", StringComparer.Ordinal);
        var problems = DeviceRules.CheckFacts(said).ToList();
        if (problems.Count > 0)
            return Problems.Validation(problems.Select(problem => problem with { Where = problem.Where.Replace("facts", "data", StringComparison.Ordinal) }));
        await tokens.TellAsync(Who(context), facts => told.Mode switch
        {
            "replace" => said,
            "remove" => facts.RemoveRange(said.Keys),
            _ => facts.SetItems(said),
        }, time.GetUtcNow(), cancel);
        return TypedResults.Ok();
    }

    static async Task<IResult> Deployment(HttpContext context, long number, DdiActionStore actions, DdiLinks links, CancellationToken cancel)
    {
        var caller = Who(context);
        // The rollout may have moved since the device was given the link: it is looked at anew.
        var found = await actions.AskAsync(caller, cancel);
        if (found is not { Action: { State: DdiActionState.Open } open, Need: DdiNeed.Deploy or DdiNeed.Prepare } || open.Number != number)
            return NoAction(caller, number);
        var action = (await actions.FindAsync(caller, number, begins: true, cancel))!;
        return await links.PlanAsync(context, action, found.Need, found.Rollout, cancel) is { } plan
            ? Answer(context, new(Text(number), plan), DdiContext.Default.DdiDeployment)
            : NoAction(caller, number);
    }

    static async Task<IResult> Installed(HttpContext context, long number, DdiActionStore actions, DdiLinks links, CancellationToken cancel)
    {
        var caller = Who(context);
        return await actions.FindAsync(caller, number, begins: false, cancel) is { State: DdiActionState.Done } action && await links.PlanAsync(context, action, DdiNeed.Deploy, null, cancel) is { } plan
            ? Answer(context, new(Text(number), plan), DdiContext.Default.DdiDeployment)
            : NoAction(caller, number);
    }

    static async Task<IResult> Feedback(HttpContext context, long number, DdiActionStore actions, CancellationToken cancel)
    {
        var (status, said, problem) = await ReadStatusAsync(context, cancel);
        if (problem is not null)
            return problem;
        bool? ended = status!.Execution switch
        {
            "closed" => status.Result?.Finished != "failure",
            "canceled" => false,
            _ => null,
        };
        return Heard(context, number, await actions.HearAsync(Who(context), number, ended, status.Execution == "canceled" && said.Length == 0 ? "the device gave it up" : said, cancel));
    }

    static async Task<IResult> Cancel(HttpContext context, long number, DdiActionStore actions, CancellationToken cancel)
    {
        var caller = Who(context);
        return await actions.FindAsync(caller, number, begins: false, cancel) is { State: DdiActionState.Cancelling }
            ? Answer(context, new(Text(number), new(Text(number))), DdiContext.Default.DdiCancel)
            : NoAction(caller, number);
    }

    static async Task<IResult> CancelFeedback(HttpContext context, long number, DdiActionStore actions, CancellationToken cancel)
    {
        var (status, said, problem) = await ReadStatusAsync(context, cancel);
        if (problem is not null)
            return problem;
        bool? left = status!.Execution switch
        {
            "closed" => status.Result?.Finished != "failure",
            "canceled" => true,
            "rejected" => false,
            _ => null,
        };
        return Heard(context, number, await actions.LeaveAsync(Who(context), number, left, said, cancel));
    }

    /// <summary>Whether the device's user is asked at all is the rollout's to say.</summary>
    static FileContentHttpResult AutoConfirm(HttpContext context) => Answer(context, new(new(false), ImmutableSortedDictionary<string, DdiLink>.Empty), DdiContext.Default.DdiAutoConfirm);

    static async Task<IResult> Confirmation(HttpContext context, long number, DdiActionStore actions, DdiLinks links, CancellationToken cancel)
    {
        var caller = Who(context);
        var found = await actions.AskAsync(caller, cancel);
        return found is { Action: { State: DdiActionState.Open } action, Need: DdiNeed.Confirm } && action.Number == number && await links.PlanAsync(context, action, DdiNeed.Deploy, found.Rollout, cancel) is { } plan
            ? Answer(context, new(Text(number), plan), DdiContext.Default.DdiConfirmation)
            : NoAction(caller, number);
    }

    static async Task<IResult> Confirm(HttpContext context, long number, DdiActionStore actions, CancellationToken cancel)
    {
        var word = await ReadAsync(context, DdiContext.Default.DdiConfirmed, cancel);
        if (word.Confirmation is not ("confirmed" or "denied"))
            return Problems.Validation([new("confirmation", $"'{DeviceRules.Shown(word.Confirmation ?? "")}' is none; give confirmed or denied.")]);
        return Heard(context, number, await actions.ConsentAsync(Who(context), number, word.Confirmation == "confirmed", Said(word.Details), cancel));
    }

    static async Task<IResult> Artifacts(HttpContext context, long number, DdiActionStore actions, DdiLinks links, CancellationToken cancel)
    {
        var caller = Who(context);
        return await actions.FindAsync(caller, number, begins: false, cancel) is { } action && await links.PlanAsync(context, action, DdiNeed.Deploy, null, cancel) is { } plan
            ? Answer(context, plan.Chunks[0].Artifacts, DdiContext.Default.ImmutableArrayDdiArtifact)
            : NoAction(caller, number);
    }

    static async Task<(DdiStatus? Status, string Said, IResult? Problem)> ReadStatusAsync(HttpContext context, CancellationToken cancel)
    {
        var feedback = await ReadAsync(context, DdiContext.Default.DdiFeedback, cancel);
        return feedback.Status is { Execution: "closed" or "proceeding" or "canceled" or "scheduled" or "rejected" or "resumed" or "downloaded" or "download" } status
            ? (status, Said(status.Details), null)
            : (null, "", Problems.Validation([new("status.execution", $"'{DeviceRules.Shown(feedback.Status?.Execution ?? "")}' is none; give closed, proceeding, canceled, scheduled, rejected, resumed, downloaded or download.")]));
    }

    static string Said(ImmutableArray<string> details) =>
        details.IsDefaultOrEmpty ? "" : ReportStore.Cut(string.Join("; ", details.Where(detail => !string.IsNullOrWhiteSpace(detail))))!;

    /// <summary>Read by hand: clients send other media types than JSON's own, and members of their own.</summary>
    static async Task<T> ReadAsync<T>(HttpContext context, JsonTypeInfo<T> type, CancellationToken cancel) where T : class
    {
        try
        {
            return await JsonSerializer.DeserializeAsync(context.Request.Body, type, cancel) ?? throw new JsonException("null is no message.");
        }
        catch (JsonException e)
        {
            throw new BadHttpRequestException("The body cannot be read.", StatusCodes.Status400BadRequest, e);
        }
    }

    static IResult Heard(HttpContext context, long number, DdiHeard heard) => heard switch
    {
        DdiHeard.Taken => TypedResults.Ok(),
        DdiHeard.Over => Problems.Of(410, "action-over", "The action is over.", $"Action {number} of '{Who(context).Device}' has ended; ask for what there is now."),
        _ => NoAction(Who(context), number),
    };

    static ProblemHttpResult NoAction(DdiCaller caller, long number) => Problems.NotFound($"'{caller.Device}' has no such action {number} now; ask for what there is.");

    static FileContentHttpResult Answer<T>(HttpContext context, T answer, JsonTypeInfo<T> type)
    {
        var bytes = JsonSerializer.SerializeToUtf8Bytes(answer, type);
        var media = context.Request.Headers.Accept.ToString().Contains("application/hal+json", StringComparison.OrdinalIgnoreCase) ? "application/hal+json" : "application/json";
        context.Response.Headers.CacheControl = "no-cache";
        return TypedResults.Bytes(bytes, media, entityTag: new($"\"{Sha256Digest.Of(bytes).ToString()[..32]}\""));
    }

    static string Text(long number) => number.ToString(CultureInfo.InvariantCulture);
}
