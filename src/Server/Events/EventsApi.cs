using System.Globalization;
using System.Security.Claims;
using System.Text;
using System.Text.Json;
using Coppice.Access;
using Coppice.Protocol;
using Coppice.Registry;
using Coppice.Server.Access;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Http.HttpResults;

namespace Coppice.Server.Events;

static class EventsApi
{
    const int MaxEvents = 500;

    /// <summary>A stream ends after so long, and the reader comes again with the last id: it then proves anew who it is.</summary>
    static readonly TimeSpan StreamLife = TimeSpan.FromMinutes(15);

    static readonly TimeSpan Beat = TimeSpan.FromSeconds(15);

    public static void MapEvents(this IEndpointRouteBuilder routes)
    {
        routes.MapGet("/v1/events", List).WithTags("Events").Needs(Permission.EventRead).ProducesProblem(400);
        routes.MapGet("/v1/events/stream", Stream).WithTags("Events").Needs(Permission.EventRead).Produces(200, contentType: "text/event-stream");
    }

    /// <summary>What happened, oldest first, from the one after the id given; as much of it as the caller may see. A page may be short, even empty, while <c>next</c> says there is more.</summary>
    internal static async Task<Results<Ok<EventPage>, ProblemHttpResult>> List(
        EventStore events, ClaimsPrincipal caller, CancellationToken cancel, long after = 0, int limit = 100, string? kind = null, string? model = null)
    {
        var problems = new List<Problem>();
        if (!ModelName.TryParse(model, out var name) && model is not null)
            problems.Add(new("model", $"'{model}' is not a model name; write owner/name in lower case, as plant/bearing."));
        EventKind? wanted = null;
        if (kind is not null)
        {
            if (Enum.GetValues<EventKind>().Where(value => value.ToString().Equals(kind, StringComparison.OrdinalIgnoreCase)).ToArray() is [var known])
                wanted = known;
            else
                problems.Add(new("kind", $"'{kind}' is not a kind of event; give {string.Join(", ", Enum.GetNames<EventKind>().Select(JsonNamingPolicy.CamelCase.ConvertName))}."));
        }

        if (problems.Count > 0)
            return Problems.Validation(problems);
        var some = await events.AfterAsync(after, Math.Clamp(limit, 1, MaxEvents), caller.Rights(), wanted, name, cancel);
        return TypedResults.Ok(new EventPage(some.Seen, some.More ? some.Last : null));
    }

    /// <summary>What happens, as server-sent events: after the header <c>Last-Event-ID</c>, else after <c>after</c>, else from now on. Each has its id, its kind and the event as JSON.</summary>
    internal static async Task Stream(HttpContext context, EventStore events, EventBell bell, TokenStore tokens, TimeProvider time, IHostApplicationLifetime lifetime, long? after = null)
    {
        using var until = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, lifetime.ApplicationStopping); // a stop waits for requests, and this one would never end
        try
        {
            await StreamAsync(context, events, bell, tokens, time, after, until.Token);
        }
        catch (OperationCanceledException) when (until.IsCancellationRequested)
        {
            // The reader has gone, or the server stops; the reader comes again with its last id.
        }
    }

    static async Task StreamAsync(HttpContext context, EventStore events, EventBell bell, TokenStore tokens, TimeProvider time, long? after, CancellationToken cancel)
    {
        var caller = context.User.Caller();
        var start = long.TryParse(context.Request.Headers["Last-Event-ID"], NumberStyles.None, CultureInfo.InvariantCulture, out var seen) ? seen : after;
        context.Response.ContentType = "text/event-stream";
        context.Response.Headers.CacheControl = "no-store";
        context.Features.Get<IHttpResponseBodyFeature>()!.DisableBuffering();
        await context.Response.Body.FlushAsync(cancel); // so that the reader knows it is heard
        var last = start ?? await events.EndAsync(cancel);
        var end = time.GetUtcNow() + StreamLife;
        while (!cancel.IsCancellationRequested && time.GetUtcNow() < end)
        {
            var ring = bell.Next;
            if (caller.TokenId is { } token && !await tokens.IsGoodAsync(token, time.GetUtcNow(), cancel))
                return;
            var some = await events.AfterAsync(last, MaxEvents, caller.Rights, null, null, cancel);
            last = some.Last;
            foreach (var what in some.Seen)
                await WriteAsync(context.Response, string.Create(CultureInfo.InvariantCulture, $"id: {what.Id}\nevent: {JsonNamingPolicy.CamelCase.ConvertName(what.Kind.ToString())}\ndata: {JsonSerializer.Serialize(what, ControlContext.Default.ControlEvent)}\n\n"), cancel);
            if (some.More)
                continue;
            await context.Response.Body.FlushAsync(cancel);
            if (await Task.WhenAny(ring, Task.Delay(Beat, time, cancel)) != ring)
                await WriteAsync(context.Response, ":\n\n", cancel); // a comment: proxies and readers see that the line is alive
        }
    }

    static ValueTask WriteAsync(HttpResponse response, string text, CancellationToken cancel) => response.Body.WriteAsync(Encoding.UTF8.GetBytes(text), cancel);
}
