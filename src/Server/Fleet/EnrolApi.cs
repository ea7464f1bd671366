using Coppice.Protocol;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;

namespace Coppice.Server.Fleet;

static class EnrolApi
{
    /// <summary>Name of the rate limit for callers who have not proved who they are.</summary>
    public const string Unproved = "unproved";

    const int MaxBytes = 160 << 10; // the most facts there may be, escaped

    public static void MapEnrol(this IEndpointRouteBuilder routes) => routes.MapPost("/v1/enrol", Enrol)
        .WithTags("Devices").AllowAnonymous().RequireRateLimiting(Unproved)
        .WithMetadata(new RequestSizeLimitAttribute(MaxBytes))
        .ProducesProblem(400).ProducesProblem(401).ProducesProblem(409).ProducesProblem(413).ProducesProblem(429);

    /// <summary>A device joins by a join token. Sent again with the same id and key, it gets the same answer.</summary>
    internal static async Task<Results<Ok<EnrolAnswer>, ProblemHttpResult>> Enrol(EnrolRequest request, DeviceStore devices, TimeProvider time, CancellationToken cancel)
    {
        var problems = DeviceRules.Check(request).ToList();
        if (problems.Count > 0)
            return Problems.Validation(problems);

        var (outcome, answer) = await devices.EnrolAsync(request, time.GetUtcNow(), cancel);
        return outcome switch
        {
            Enrolment.Joined => TypedResults.Ok(answer!),
            Enrolment.OtherKey => Problems.Of(409, "device-known", "The id is taken.", $"'{request.Device}' has enrolled with another key; choose another id, or give back the data folder that holds its key."),
            Enrolment.Retired => Problems.Of(409, "device-retired", "The device is retired.", $"'{request.Device}' was taken out by an operator; enrol it under another id."),
            Enrolment.ExpiredToken => NoEntry("The join token has expired; make another with 'coppice join-token create'."),
            Enrolment.UsedUpToken => NoEntry("As many devices as the join token allows have joined by it; make another with 'coppice join-token create'."),
            _ => NoEntry("The join token is not known here; make one with 'coppice join-token create', and copy it whole."),
        };
    }

    static ProblemHttpResult NoEntry(string detail) => Problems.Of(401, "join-token", "The join token does not open.", detail);
}
