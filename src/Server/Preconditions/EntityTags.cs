using Microsoft.Net.Http.Headers;

namespace Coppice.Server.Preconditions;

/// <summary>Answers with the revision of what they tell, as the header <c>ETag</c>.</summary>
/// <remarks>The tag is of what operators change; figures that devices report move on under it, so it is for <c>If-Match</c>, and none is answered with 304.</remarks>
static class EntityTags
{
    /// <summary>Gives the answers of an endpoint their tag.</summary>
    /// <typeparam name="T">What a good answer holds.</typeparam>
    /// <param name="endpoint">The endpoint.</param>
    /// <param name="revision">Its revision.</param>
    public static RouteHandlerBuilder Tagged<T>(this RouteHandlerBuilder endpoint, Func<T, string?> revision) where T : class => endpoint.AddEndpointFilter(async (call, next) =>
    {
        var result = await next(call);
        if ((result is INestedHttpResult nested ? nested.Result : result) is IValueHttpResult<T> { Value: { } value } && revision(value) is { } now)
            call.HttpContext.Response.Headers.ETag = new EntityTagHeaderValue($"\"{now}\"").ToString();
        return result;
    });
}
