using Coppice.Access;
using Coppice.Protocol;
using Coppice.Server.Access;
using Microsoft.AspNetCore.Http.HttpResults;

namespace Coppice.Server.Events;

static class EventsApi
{
    const int MaxEvents = 500;

    public static void MapEvents(this IEndpointRouteBuilder routes) => routes.MapGet("/v1/events", List).Needs(Permission.EventRead).WithTags("Events");

    /// <summary>What happened, oldest first, from the one after the id given.</summary>
    internal static async Task<Ok<EventPage>> List(EventStore events, CancellationToken cancel, long after = 0, int limit = 100) =>
        TypedResults.Ok(new EventPage(await events.AfterAsync(after, Math.Clamp(limit, 1, MaxEvents), cancel)));
}
