using System.Security.Claims;
using Coppice.Access;
using Coppice.Protocol;
using Coppice.Server.Access;
using Microsoft.AspNetCore.Http.HttpResults;

namespace Coppice.Server.Events;

static class WebhooksApi
{
    const int MaxPage = 1000;
    const int MaxText = 64;
    const int MaxTarget = 2048;

    public static void MapWebhooks(this IEndpointRouteBuilder routes)
    {
        var webhooks = routes.MapGroup("/v1/webhooks").WithTags("Webhooks");
        webhooks.MapPost("/", Create).Needs(Permission.EventSend, OfModels).ProducesProblem(400);
        webhooks.MapGet("/", List).Needs(Permission.EventSend);
        webhooks.MapGet("/{id}/deliveries", Deliveries).Needs(Permission.EventSend, InRoute).ProducesProblem(404);
        webhooks.MapPost("/{id}/test", Test).Needs(Permission.EventSend, InRoute).ProducesProblem(404);
        webhooks.MapPost("/{id}/replay", Replay).Needs(Permission.EventSend, InRoute).ProducesProblem(404);
        webhooks.MapDelete("/{id}", Delete).Needs(Permission.EventSend, InRoute).ProducesProblem(404);
    }

    static readonly About OfModels = (call, caller, permission) =>
    {
        var wanted = call.Arguments.OfType<CreateWebhook>().First().Models;
        return ValueTask.FromResult(!ModelPattern.TryParse(wanted, out var models) || caller.Rights.May(permission, models) ? null : $"on {wanted}");
    };

    static readonly About InRoute = async (call, caller, permission) =>
        await FindAsync(call.HttpContext.GetRouteValue("id") as string, call.HttpContext.RequestServices.GetRequiredService<WebhookStore>()) is not { } row
        || (ModelPattern.TryParse(row.Models, out var models) && caller.Rights.May(permission, models)) ? null : $"on {row.Models}";

    /// <summary>Has events sent to a URL, signed as Standard Webhooks says, or to a mail address. The secret is told only in this answer.</summary>
    internal static async Task<Results<Created<CreatedWebhook>, ProblemHttpResult>> Create(CreateWebhook request, WebhookStore webhooks, ClaimsPrincipal caller, TimeProvider time, CancellationToken cancel)
    {
        var problems = new List<Problem>();
        if (request.Name.Length is 0 or > MaxText)
            problems.Add(new("name", $"has {request.Name.Length} characters; say in 1 to {MaxText} what it is for."));
        if (!IsTarget(request.Target))
            problems.Add(new("target", $"is no place to send events to; give https://…, http://… or mailto:ops@example.org, without user and password, in at most {MaxTarget} characters."));
        if (!ModelPattern.TryParse(request.Models, out _))
            problems.Add(new("models", $"'{request.Models}' is no set of models; give *, vision/*, vision/cam* or vision/camera."));
        if (problems.Count > 0)
            return Problems.Validation(problems);
        var created = await webhooks.CreateAsync(request, caller.Rights().MaySomewhere(Permission.AuditRead), caller.Name(), time.GetUtcNow(), cancel);
        return TypedResults.Created($"/v1/webhooks/{created.View.Id}", created);
    }

    /// <summary>Webhooks about models that the caller may have sent, with what is being tried and what was given up.</summary>
    internal static async Task<Ok<WebhookPage>> List(WebhookStore webhooks, ClaimsPrincipal caller, CancellationToken cancel) => TypedResults.Ok(new WebhookPage(
        [.. (await webhooks.ListAsync(cancel)).Where(webhook => ModelPattern.TryParse(webhook.Models, out var models) && caller.Rights().May(Permission.EventSend, models))]));

    /// <summary>What was sent to a webhook and what came of it, newest event first.</summary>
    internal static async Task<Results<Ok<DeliveryPage>, ProblemHttpResult>> Deliveries(string id, WebhookStore webhooks, CancellationToken cancel, string? state = null, long? before = null, int limit = 100)
    {
        DeliveryState? wanted = null;
        if (state is not null)
        {
            if (!Enum.TryParse<DeliveryState>(state, ignoreCase: true, out var known) || !state.All(char.IsAsciiLetter))
                return Problems.Validation([new("state", $"'{state}' is not a state; give pending, again, delivered or dead.")]);
            wanted = known;
        }

        return await FindAsync(id, webhooks) is { } row ? TypedResults.Ok(await webhooks.DeliveriesAsync(row.Number, wanted, before ?? long.MaxValue, Math.Clamp(limit, 1, MaxPage), cancel)) : Unknown(id);
    }

    /// <summary>Sends a made-up event at once, and says what the receiver answered.</summary>
    internal static async Task<Results<Ok<WebhookTest>, ProblemHttpResult>> Test(string id, WebhookStore webhooks, EventSender sender, ClaimsPrincipal caller, TimeProvider time, CancellationToken cancel)
    {
        if (await FindAsync(id, webhooks) is not { } row)
            return Unknown(id);
        var sent = await sender.SendAsync(row, new(0, time.GetUtcNow(), EventKind.WebhookTested, caller.Name(), "a test; nothing happened"), time.GetUtcNow(), cancel);
        return TypedResults.Ok(new WebhookTest(sent.Taken, sent.Status, sent.Error));
    }

    /// <summary>Sends an event again, or everything that was given up; lets a webhook that was shut off work again.</summary>
    internal static async Task<Results<Accepted, ProblemHttpResult>> Replay(string id, ReplayEvents request, WebhookStore webhooks, EventBell bell, TimeProvider time, CancellationToken cancel)
    {
        if (WebhookRow.TryNumber(id) is not { } number || await webhooks.ReplayAsync(number, request.Event, time.GetUtcNow(), cancel) is null)
            return request.Event is { } what ? Problems.NotFound($"There is no webhook '{id}', or it wants no event {what}.") : Unknown(id);
        bell.Ring();
        return TypedResults.Accepted($"/v1/webhooks/{id}/deliveries");
    }

    /// <summary>Sends no more there.</summary>
    internal static async Task<Results<NoContent, ProblemHttpResult>> Delete(string id, WebhookStore webhooks, ClaimsPrincipal caller, TimeProvider time, CancellationToken cancel) =>
        WebhookRow.TryNumber(id) is { } number && await webhooks.DeleteAsync(number, caller.Name(), time.GetUtcNow(), cancel) ? TypedResults.NoContent() : Unknown(id);

    static bool IsTarget(string target) => target.Length <= MaxTarget && (target.StartsWith("mailto:", StringComparison.Ordinal)
        ? MimeKit.MailboxAddress.TryParse(target["mailto:".Length..], out var address) && address.Address == target["mailto:".Length..] && address.Address.Contains('@', StringComparison.Ordinal)
        : Uri.TryCreate(target, UriKind.Absolute, out var url) && url.Scheme is "http" or "https" && url.UserInfo.Length == 0);

    static async Task<WebhookRow?> FindAsync(string? id, WebhookStore webhooks) => WebhookRow.TryNumber(id) is { } number ? await webhooks.FindAsync(number, default) : null;

    static ProblemHttpResult Unknown(string id) => Problems.NotFound($"There is no webhook '{id}'; 'coppice webhook list' shows those there are.");
}
