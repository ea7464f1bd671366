using System.Text.Json;
using Coppice.Server.Storage;
using Microsoft.AspNetCore.Http.HttpResults;

namespace Coppice.Server;

/// <summary>Every refusal's form: RFC 9457 with a stable <c>type</c> that clients branch on.</summary>
static class Problems
{
    /// <summary>A refusal.</summary>
    /// <param name="status">HTTP status.</param>
    /// <param name="type">Last part of the type: <c>rollout-active</c>.</param>
    /// <param name="title">What is wrong, in few words.</param>
    /// <param name="detail">What was found, what is wanted, what to do.</param>
    /// <param name="more">A member that clients read.</param>
    public static ProblemHttpResult Of(int status, string type, string title, string detail, params (string Name, object Value)[] more) =>
        TypedResults.Problem(detail, statusCode: status, title: title, type: "/problems/" + type, extensions: more.ToDictionary(part => part.Name, part => (object?)part.Value));

    public static ProblemHttpResult NotFound(string detail) => Of(StatusCodes.Status404NotFound, "not-found", "There is no such thing.", detail);

    public static ProblemHttpResult Unauthorised(string detail) => Of(StatusCodes.Status401Unauthorized, "unauthorised", "The caller is not known.", detail);

    /// <summary>All of the caller's mistakes at once, by field.</summary>
    public static ProblemHttpResult Validation(IEnumerable<Problem> problems)
    {
        var byField = problems.GroupBy(problem => problem.Where, StringComparer.Ordinal).ToDictionary(group => group.Key, group => group.Select(problem => problem.What).ToArray());
        return Of(StatusCodes.Status400BadRequest, "validation", "The request breaks rules.",
            string.Join(" ", byField.SelectMany(field => field.Value.Select(what => new Problem(field.Key, what).ToString()))), ("errors", byField));
    }

    /// <summary>Gives a stable type and a detail to refusals that the framework makes.</summary>
    public static void AddProblems(this IServiceCollection services) => services.AddProblemDetails(options => options.CustomizeProblemDetails = context =>
    {
        var problem = context.ProblemDetails;
        problem.Extensions.Remove("traceId"); // the log says it; the answer stays the same for the same question
        if (problem.Type?.StartsWith("/problems/", StringComparison.Ordinal) == true)
            return;
        var status = context.HttpContext.Response.StatusCode;
        (problem.Type, problem.Title) = status switch
        {
            400 => ("/problems/malformed", "The request cannot be read."),
            404 => ("/problems/not-found", "There is no such thing."),
            405 => ("/problems/method", "The method does not fit."),
            412 => ("/problems/changed", "It is not as it was when it was read."),
            413 => ("/problems/too-large", "The body is too large."),
            415 => ("/problems/media-type", "The body is of another media type."),
            429 => ("/problems/too-many-requests", "Too many requests."),
            500 => ("/problems/internal", "The server failed; its log says why."),
            503 => ("/problems/database-unavailable", "The database does not answer."),
            _ => ("about:blank", problem.Title),
        };
        if (context.Exception is BucketException store)
            (problem.Type, problem.Title, problem.Detail) = ("/problems/blobs-unavailable", "The store of files does not do its work.", store.Message);
        problem.Detail = context.Exception is BadHttpRequestException bad ? Detail(bad) : problem.Detail ?? status switch
        {
            404 => $"Nothing is at {context.HttpContext.Request.Path}; /openapi/v1.json lists what is.",
            405 => $"{context.HttpContext.Request.Method} is not for {context.HttpContext.Request.Path}; /openapi/v1.json lists what is.",
            415 => "Send application/json.",
            503 => "Whether a change was made is not known; send the same again in a moment. /readyz says when the server is whole again.",
            _ => null,
        };
    });

    static string Detail(BadHttpRequestException bad) => bad.InnerException switch
    {
        // The serializer's own words name types of this program, which tell a caller nothing.
        JsonException json when json.Message.Contains("could not be mapped", StringComparison.Ordinal) => $"{json.Path}: is not known; take it out, or see /openapi/v1.json for what is.",
        JsonException json => $"{(json.Path is null or "$" ? "body" : json.Path)}: {json.Message}",
        null when bad.Message.StartsWith("Implicit body", StringComparison.Ordinal) => "The body is missing; send JSON as /openapi/v1.json says.",
        _ => bad.Message,
    };
}
