using System.Globalization;
using System.Security.Claims;
using System.Text.Json;
using Coppice.Protocol;
using Coppice.Protocol.Signatures;
using Coppice.Server.Access;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;

namespace Coppice.Server.Fleet;

static class EnrolApi
{
    const int MaxBytes = 160 << 10; // the most facts there may be, escaped

    /// <summary>Seconds after which a device that waits asks again.</summary>
    const int AskAgain = 30;

    public static void MapEnrol(this IEndpointRouteBuilder routes)
    {
        var devices = routes.MapGroup("/v1").WithTags("Devices").ProducesProblem(400).ProducesProblem(401).ProducesProblem(403).ProducesProblem(413);
        devices.MapPost("/enrol", Enrol).AllowAnonymous().WithMetadata(RequestKind.Enrolment, new RequestSizeLimitAttribute(MaxBytes))
            .Accepts<EnrolRequest>("application/json").ProducesProblem(409).ProducesProblem(415).ProducesProblem(429);
        devices.MapPost("/renew", Renew).RequireAuthorization(BearerTokens.Device).WithMetadata(new MayBeSigned(), new RequestSizeLimitAttribute(8 << 10));
    }

    /// <summary>A device joins: by a join token, by the list of those that may, or after an operator has accepted it. The request is signed by the device's key. Sent again with the same id and key, it gets the same answer.</summary>
    internal static async Task<Results<Ok<EnrolAnswer>, Accepted<EnrolWaiting>, ProblemHttpResult>> Enrol(
        HttpContext context, EnrolmentStore enrolments, CallerAddresses callers, TimeProvider time, CancellationToken cancel)
    {
        var request = await ReadAsync(context.Request, cancel);
        var problems = DeviceRules.Check(request, out var key);
        if (problems.Count > 0)
            return Problems.Validation(problems);
        var signed = SignedBody.Read(context.Request);
        var problem = signed.Problem.Length > 0 ? signed.Problem
            : signed.Device != request.Device ? $"it is signed as '{signed.Device}', and asks for '{request.Device}'."
            : await SignedBody.VerifyAsync(context.Request, key!, time.GetUtcNow(), DeviceSignature.ClockTolerance, cancel);
        if (problem is not null)
            return Problems.Of(401, DeviceSignature.TimeProblem(signed.Created, time.GetUtcNow(), DeviceSignature.ClockTolerance) is null || signed.Problem.Length > 0 ? "unauthorised" : "clock", "The request is not signed by the device.", char.ToUpperInvariant(problem[0]) + problem[1..]);

        var (outcome, answer) = await enrolments.EnrolAsync(request, key!, callers.AddressOf(context).ToString(), time.GetUtcNow(), cancel);
        if (outcome == Enrolment.Waits)
        {
            context.Response.Headers.RetryAfter = AskAgain.ToString(CultureInfo.InvariantCulture);
            return TypedResults.Accepted((string?)null, new EnrolWaiting(request.Device, key!.Digest));
        }

        return outcome switch
        {
            Enrolment.Joined => TypedResults.Ok(answer!),
            Enrolment.Rejected => Problems.Of(403, "device-rejected", "The device was turned away.", $"An operator has turned '{request.Device}' away; 'coppice device accept {request.Device}' lets it in after all."),
            Enrolment.TooManyWait => Problems.Of(429, "too-many-wait", "Too many devices wait.", "So many devices wait for an operator that no more are taken; accept or reject some ('coppice device pending'), or join with a token."),
            Enrolment.OtherKey => Problems.Of(409, "device-known", "The id is taken.", $"'{request.Device}' has enrolled with another key; choose another id, give back the data folder that holds its key, or let this device take its place with 'coppice device replace'."),
            Enrolment.OtherId => Problems.Of(409, "device-known", "The key is taken.", "The key has enrolled under another id; make new keys: delete device.json, signing.key and sealing.key in the device's data folder."),
            Enrolment.Retired => Problems.Of(409, "device-retired", "The device is retired.", $"'{request.Device}' was taken out by an operator; enrol it under another id."),
            Enrolment.Revoked => Problems.Of(403, "device-revoked", "The device is revoked.", $"The keys of '{request.Device}' were revoked by an operator; 'coppice device replace {request.Device}' lets one with new keys take its place."),
            Enrolment.ExpiredToken => NoEntry("The join token has expired; make another with 'coppice join-token create'."),
            Enrolment.UsedUpToken => NoEntry("As many devices as the join token allows have joined by it; make another with 'coppice join-token create'."),
            Enrolment.TokenOfAnother => NoEntry("The join token is for another id: it lets one device take the place of that one."),
            Enrolment.NeedsToken => NoEntry("This server lets nobody in without a join token unless the list of devices has it; make one with 'coppice join-token create'."),
            _ => NoEntry("The join token is not known here; make one with 'coppice join-token create', and copy it whole."),
        };
    }

    /// <summary>A device gets its next certificate.</summary>
    internal static async Task<Results<Ok<RenewAnswer>, ProblemHttpResult>> Renew(RenewRequest request, EnrolmentStore enrolments, DeviceStore devices, ClaimsPrincipal caller, TimeProvider time, CancellationToken cancel)
    {
        if (!DeviceRules.ReadRequest(request.Request, caller.Name(), out var asked, out var problem))
            return Problems.Validation([problem]);
        if ((await devices.StandingAsync(caller.Name(), cancel))?.SigningKey != asked.Key.ToString())
            return Problems.Validation([new("request", "is of another key than the one the device enrolled with; renew with that one, or let it join anew with 'coppice device replace'.")]);
        return TypedResults.Ok(await enrolments.RenewAsync(caller.Name(), time.GetUtcNow(), cancel));
    }

    /// <summary>By hand, because the bytes are needed too: their digest is what was signed.</summary>
    static async Task<EnrolRequest> ReadAsync(HttpRequest request, CancellationToken cancel)
    {
        if (!request.HasJsonContentType())
            throw new BadHttpRequestException("Expected a JSON content type.", StatusCodes.Status415UnsupportedMediaType);
        var body = await SignedBody.ReadAsync(request, cancel);
        try
        {
            return JsonSerializer.Deserialize(body.Span, DeviceMessagesContext.Default.EnrolRequest) ?? throw new JsonException("null is no enrolment.");
        }
        catch (JsonException e)
        {
            throw new BadHttpRequestException("The body cannot be read.", StatusCodes.Status400BadRequest, e);
        }
    }

    static ProblemHttpResult NoEntry(string detail) => Problems.Of(401, "join-token", "The join token does not open.", detail);
}
